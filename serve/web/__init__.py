"""What the pages are made of: templates, words, and the files that a browser loads."""

from __future__ import annotations

from pathlib import Path

WEB = Path(__file__).parent
