"""What a run has done so far, and the state of all documents, as a terminal shows them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ingest.documents import Cost
from ingest.pipeline.store import STAGES
from tools.core.processes import with_command_name
from tools.core.terminal import Terminal

LINE_EVERY_SECONDS = 10.0
_REFRESH_SECONDS = 0.25


@dataclass(slots=True)
class Counts:
    """What one run has done. `cost` is of this run only."""

    collected: Counter[str] = field(default_factory=Counter)
    """Documents by `new`, `changed`, `unchanged`."""
    reached: Counter[str] = field(default_factory=Counter)
    """Documents by stage they came to."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed tries by code."""
    set_aside: int = 0
    withdrawn: int = 0
    cost: Cost = field(default_factory=Cost)
    sources_failed: dict[str, str] = field(default_factory=dict)

    def add(self, stage: str, cost: Cost) -> None:
        """Counts a document that came to a stage."""
        self.reached[stage] += 1
        self.cost += cost

    def failed(self, code: str, cost: Cost, *, last: bool) -> None:
        """Counts a failed try and what it cost; the last one sets the document aside."""
        self.errors[code] += 1
        self.cost += cost
        self.set_aside += last

    def line(self) -> str:
        """Returns all counts in one line."""
        collected = ", ".join(f"{self.collected[how]} {how}" for how in ("new", "changed", "unchanged"))
        stages = ", ".join(f"{self.reached[stage]} {stage}" for stage in STAGES[1:])
        return f"{collected}; {stages}; {self.set_aside} set aside; {_spent(self.cost)}"


@asynccontextmanager
async def shown(counts: Counts, console: Terminal) -> AsyncIterator[None]:
    """Shows `counts` while the block runs, as bars in a terminal and lines elsewhere, and once more at its
    end."""
    task = asyncio.create_task(_bars(counts, console) if console.is_terminal else _lines(counts, console))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        console.print(counts.line(), soft_wrap=True)


def status_tables(status: dict[str, Any]) -> RenderableType:
    """Returns the `status` of all documents (`ingest.pipeline.store`) as tables."""
    parts: list[RenderableType] = [_documents(status["sources"])]
    if status["set_aside"]:
        parts.append(_set_aside(status["set_aside"]))
    if status["not_normalized"]:
        parts.append(
            f"{status['not_normalized']} postings of an earlier version are searched by their literal titles"
            + with_command_name(": the next load normalizes them, or `checkerboard ingest reembed` does now.")
        )
    return Group(*parts)


def _documents(rows: list[dict[str, Any]]) -> RenderableType:
    if not rows:
        return with_command_name("No documents yet. `checkerboard ingest run SOURCE…` collects some.")
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
    return table


def _set_aside(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        title=with_command_name("set aside, newest first (`checkerboard ingest retry`)"), title_justify="left"
    )
    for name in ("id", "source", "document", "stage", "tries", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        error = row["error"] or {}
        why = f"{error.get('code')}: {error.get('message')}"
        cells = (row["id"], row["source"], row["source_id"], error.get("stage"), row["attempts"], why)
        table.add_row(*map(str, cells))
    return table


def _spent(cost: Cost) -> str:
    money = "price unknown" if cost.usd is None else f"${cost.usd:.4f}"
    return f"{cost.pages} pages, {cost.input_tokens + cost.output_tokens} tokens, {money}"


async def _bars(counts: Counts, console: Terminal) -> None:
    columns = (
        TextColumn("{task.description:>9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {stage: bars.add_task(stage, note="") for stage in STAGES[1:]}
        while True:
            total = counts.collected["new"] + counts.collected["changed"]
            for stage, task in tasks.items():
                # A run that goes on where another stopped reaches more than it has collected.
                most = max(total, max(counts.reached.values(), default=0))
                note = _spent(counts.cost) if stage == STAGES[-1] else ""
                bars.update(task, total=most, completed=counts.reached[stage], note=note)
            await asyncio.sleep(_REFRESH_SECONDS)


async def _lines(counts: Counts, console: Terminal) -> None:
    started, printed = time.monotonic(), ""
    while True:
        await asyncio.sleep(LINE_EVERY_SECONDS)
        if counts.line() == printed:
            continue
        printed = counts.line()
        seconds = time.monotonic() - started
        console.print(f"{seconds:.0f} s: {printed}{_eta(counts, seconds)}", soft_wrap=True)


def _eta(counts: Counts, seconds: float) -> str:
    done, total = counts.reached[STAGES[-1]], counts.collected["new"] + counts.collected["changed"]
    left = max(0, total - done - counts.set_aside)
    return f"; about {left * seconds / done:.0f} s left" if done and left else ""
