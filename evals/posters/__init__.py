"""Posters drawn by another hand than that of the samples: laid out as web pages, photographed by Chromium."""
