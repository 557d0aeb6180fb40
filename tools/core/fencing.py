"""Fences that keep data apart from instructions in a prompt.

A fence is a block that only data can stand in:

    <postings>
    {"posting_id":"p-17","job_title":"…"}
    {"posting_id":"p-42","job_title":"…"}
    </postings>

Each row is one line of JSON in which `<` and `>` are written as escapes, so no posting and no
profile, however hostile, can close its fence or open another. A model reads the escapes as the
characters they stand for, so quotes come back letter for letter.

A model's own words are data too, once they go back to it: a hostile posting may have put them there.
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
    lines = [escaped(orjson.dumps(row).decode()) for row in listed]
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


def escaped(text: str) -> str:
    """Returns JSON, or what was meant to be JSON, in which nothing can open or close a fence."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def shortened(text: str, limit: int) -> str:
    """Returns `text` in at most `limit` characters: of a longer one the beginning, which says what it is
    about, and the end, which says what to do."""
    if len(text) <= limit:
        return text
    end = limit // 3
    return f"{text[: limit - end - 3]} … {text[len(text) - end :]}"
