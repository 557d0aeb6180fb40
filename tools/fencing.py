"""Fences that keep data apart from instructions in a prompt.

A fence is a block that only data can stand in:

    <postings>
    {"posting_id":"p-17","job_title":"…"}
    {"posting_id":"p-42","job_title":"…"}
    </postings>

Each row is one line of JSON in which `<` and `>` are written as escapes, so no posting and no
profile, however hostile, can close its fence or open another. A model reads the escapes as the
characters they stand for, so quotes come back letter for letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

_FENCE = re.compile(r"^<([a-z_]+)>\n(.*?)^</\1>$", re.MULTILINE | re.DOTALL)


def fence(name: str, rows: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> str:
    """Returns the fenced block `name` with one JSON line per row (one row for a mapping)."""
    listed = [rows] if isinstance(rows, Mapping) else rows
    lines = [_escape(orjson.dumps(row).decode()) for row in listed]
    return "\n".join([f"<{name}>", *lines, f"</{name}>"])


def unfence(prompt: str) -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of every fenced block in `prompt`, by block name.

    Raises:
        ValueError: a line inside a fence is not JSON.
    """
    return {
        match[1]: [orjson.loads(line) for line in match[2].split("\n") if line]
        for match in _FENCE.finditer(prompt)
    }


def _escape(line: str) -> str:
    return line.replace("<", "\\u003c").replace(">", "\\u003e")
