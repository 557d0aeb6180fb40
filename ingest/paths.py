"""Paths as they are typed and as they are on disk."""

from __future__ import annotations

from pathlib import Path

from tools.core.text import clean


def as_on_disk(path: Path) -> Path:
    """Returns a path by the names that its folders have on disk: macOS writes 공고 in pieces, a keyboard
    composed, and other systems take these for two names."""
    if path.exists() or path.parent == path:
        return path
    parent = as_on_disk(path.parent)
    try:
        return next((entry for entry in parent.iterdir() if clean(entry.name) == clean(path.name)), path)
    except OSError:
        return path
