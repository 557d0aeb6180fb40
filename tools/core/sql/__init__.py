"""The SQL of the service, in `.sql` files: named queries and numbered migrations.

The tables of the engine that hands runs over (`serve/runs/engine.py`) come with it, as migrations of its own
that go on with each of its releases. Those it had when it was taken in are one of ours, `ENGINE`; each later
one is applied under its own name, after all of ours.
"""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
ENGINE = "0006_procrastinate.sql"
ENGINE_HAD = "03.04.00_50_post_add_retry_failed_job_procedure.sql"
"""The newest of procrastinate's migrations that are in `ENGINE`: all that its release 3.10 has."""


def queries(file_name: str, **columns: str) -> dict[str, str]:
    """Returns the queries of one file by the name in the `-- name:` line above each. `columns` are lists of
    columns, each put in the place of its `{name}`."""
    text = (files(__package__) / file_name).read_text(encoding="utf-8")
    for name, listed in columns.items():
        text = text.replace(f"{{{name}}}", listed)
    parts = _NAME.split(text)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def migrations() -> list[tuple[str, str]]:
    """Returns (name, text) of every migration, in the order in which they are applied."""
    listed = (files(__package__) / "migrations").iterdir()
    own = [(f.name, f.read_text(encoding="utf-8")) for f in listed if f.name.endswith(".sql")]
    engines = (files("procrastinate.sql") / "migrations").iterdir()
    theirs = sorted((f.name, f.read_text(encoding="utf-8")) for f in engines if f.name.endswith(".sql"))
    first = "\n".join(text for name, text in theirs if name <= ENGINE_HAD)
    later = [(f"procrastinate-{name}", text) for name, text in theirs if name > ENGINE_HAD]
    return [*sorted([*own, (ENGINE, first)]), *later]
