"""What a run has done so far, and how it is shown: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ingest.documents import Cost
from ingest.store import STAGES
from tools.core.terminal import Terminal

LINE_EVERY_SECONDS = 10.0
_REFRESH_SECONDS = 0.25


@dataclass(slots=True)
class Counts:
    """What one run has done. `cost` is of this run, whatever earlier ones have paid."""

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
        """Everything in one line."""
        stages = ", ".join(f"{self.reached[stage]} {stage}" for stage in STAGES[1:])
        found = self.collected
        collected = f"{found['new']} new, {found['changed']} changed, {found['unchanged']} unchanged"
        return f"{collected}; {stages}; {self.set_aside} set aside; {spent(self.cost)}"


def spent(cost: Cost) -> str:
    """Pages, tokens and money in words."""
    money = "price unknown" if cost.usd is None else f"${cost.usd:.4f}"
    return f"{cost.pages} pages, {cost.input_tokens + cost.output_tokens} tokens, {money}"


@asynccontextmanager
async def shown(counts: Counts, console: Terminal) -> AsyncIterator[None]:
    """Shows `counts` while the block runs, and once more at its end."""
    task = asyncio.create_task(_bars(counts, console) if console.is_terminal else _lines(counts, console))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        console.print(counts.line(), soft_wrap=True)


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
                note = spent(counts.cost) if stage == STAGES[-1] else ""
                bars.update(task, total=most, completed=counts.reached[stage], note=note)
            await asyncio.sleep(_REFRESH_SECONDS)


async def _lines(counts: Counts, console: Terminal) -> None:
    begun, said = time.monotonic(), ""
    while True:
        await asyncio.sleep(LINE_EVERY_SECONDS)
        if counts.line() == said:
            continue
        said = counts.line()
        seconds = time.monotonic() - begun
        console.print(f"{seconds:.0f} s: {counts.line()}{_eta(counts, seconds)}", soft_wrap=True)


def _eta(counts: Counts, seconds: float) -> str:
    done, total = counts.reached[STAGES[-1]], counts.collected["new"] + counts.collected["changed"]
    left = max(0, total - done - counts.set_aside)
    return f"; about {left * seconds / done:.0f} s left" if done and left else ""
