"""The SQL of the service, in `.sql` files: named queries and numbered migrations."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_OLDEST_CODE = re.compile(r"^-- oldest code: (\d{4})$", re.MULTILINE)


def queries(file_name: str, **columns: str) -> dict[str, str]:
    """Returns the queries of one file by the name in the `-- name:` line above each. `columns` are lists of
    columns, each put in the place of its `{name}`."""
    text = (files(__package__) / file_name).read_text(encoding="utf-8")
    for name, listed in columns.items():
        text = text.replace(f"{{{name}}}", listed)
    parts = _NAME.split(text)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def number(migration: str) -> int:
    """Returns the number that a migration's file name begins with."""
    return int(migration[:4])


def oldest_code(migration: str, text: str) -> int:
    """Returns the number of the newest migration that code has to know, at the least, to work with a schema
    that has `migration`: what its line `-- oldest code: 0005` says, else its own, so that only code that
    knows it does."""
    said = _OLDEST_CODE.search(text)
    return int(said[1]) if said else number(migration)


def migrations() -> list[tuple[str, str]]:
    """Returns (name, text) of every migration, in the order of their numbers."""
    listed = (files(__package__) / "migrations").iterdir()
    return sorted((f.name, f.read_text(encoding="utf-8")) for f in listed if f.name.endswith(".sql"))
