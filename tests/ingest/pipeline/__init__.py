"""The pipeline, on real servers."""
