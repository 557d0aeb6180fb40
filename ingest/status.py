"""What `ingest status` shows: documents by source and stage, what was set aside and why, what it cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table

from ingest.store import STAGES
from tools.core.database import Pool, open_pool, unhurried
from tools.core.processes import typed
from tools.core.settings import Settings
from tools.core.sql import queries

_SQL = queries("documents.sql")
T = TypeVar("T")
SHOWN = 20
"""Documents set aside that are listed one by one, newest first."""


async def asked(settings: Settings, ask: Callable[[Pool], Awaitable[T]]) -> T:
    """Asks with a pool that is closed afterwards."""
    async with await open_pool(settings) as pool:
        return await ask(pool)


async def status(pool: Pool) -> dict[str, Any]:
    """Returns `sources` (rows by source and stage) and `set_aside` (the newest SHOWN), JSON-ready."""
    async with unhurried(pool) as connection:
        sources = await (await connection.execute(_SQL["by_stage"])).fetchall()
        aside = await (await connection.execute(_SQL["set_aside"], {"count": SHOWN})).fetchall()
    for row in aside:
        row["set_aside_at"] = row["set_aside_at"].isoformat()
    return {"sources": sources, "set_aside": aside}


def render(found: dict[str, Any]) -> RenderableType:
    """The status as tables."""
    rows = found["sources"]
    if not rows:
        return typed("No documents yet. `checkerboard ingest run SOURCE…` collects some.")
    columns = [*STAGES, "set aside"]
    table = Table(title="documents", title_justify="left")
    for name in ("source", *columns, "unsure", "pages", "tokens", "USD"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for source in sorted({row["source"] for row in rows}):
        own = [row for row in rows if row["source"] == source]
        stages = [sum(row["documents"] for row in own if row["stage"] == name) for name in columns]
        tokens = sum(row["input_tokens"] + row["output_tokens"] for row in own)
        priced = sum(row["usd"] or 0 for row in own)
        unpriced = " + ?" if any(row["unpriced"] for row in own) else ""
        sums = [sum(row[name] for row in own) for name in ("low_confidence", "pages")]
        table.add_row(source, *map(str, [*stages, *sums, tokens]), f"{priced:.4f}{unpriced}")
    return Group(table, _set_aside(found["set_aside"])) if found["set_aside"] else table


def _set_aside(rows: list[dict[str, Any]]) -> Table:
    table = Table(title=typed("set aside, newest first (`checkerboard ingest retry`)"), title_justify="left")
    for name in ("id", "source", "document", "stage", "tries", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        error = row["error"] or {}
        why = f"{error.get('code')}: {error.get('message')}"
        shown = (row["id"], row["source"], row["source_id"], error.get("stage"), row["attempts"], why)
        table.add_row(*map(str, shown))
    return table


async def retry(pool: Pool, *, ids: list[int], source: str | None, again_from: str | None) -> int:
    """Makes documents due again: what was set aside, or, with `again_from` (`parse`, `tag`, `embed`),
    everything from that stage on. Returns how many."""
    before = {"parse": "collected", "tag": "parsed", "embed": "tagged", None: None}[again_from]
    given = {"ids": ids, "source": source, "stage": before, "stages": list(STAGES)}
    async with unhurried(pool) as connection:
        return (await connection.execute(_SQL["retry"], given)).rowcount
