"""Tests of the load experiment."""
