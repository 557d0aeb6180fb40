"""What the commands of `checkerboard ingest` do, and print meanwhile."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ingest import ray_engine, status
from ingest.batches import run_by_batches
from ingest.load import Loaded, load
from ingest.parsers.reading import open_parsers
from ingest.progress import Counts, shown
from ingest.reembed import reembed
from ingest.rows import read
from ingest.run import open_ingest
from ingest.sources.registry import describe
from ingest.watching import WatchedFolder
from tools.core.processes import typed
from tools.core.settings import Settings
from tools.core.terminal import Terminal
from tools.services import open_services


async def load_files(settings: Settings, paths: list[Path], console: Terminal) -> Loaded:
    """Loads structured postings under a progress bar."""
    total = sum(1 for path in paths for _ in read(path))
    columns = (TextColumn("postings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("postings", total=total)
        async with open_services(settings) as services:
            return await load(services, paths, lambda count: bar.advance(task, count))


async def run(settings: Settings, specs: list[str], *, batch: bool = False) -> bool:
    """Runs the ingest; whether every source was read and nothing set aside."""
    counts, console = Counts(), Terminal()
    async with open_ingest(settings, specs) as parts, shown(counts, console):
        await parts.tidy()
        if batch:
            await run_by_batches(parts, counts)
        else:
            await parts.collect_and_work(parts.steps(), counts)
        waiting = await parts.store.sent()
    _say_failed(counts, console)
    if not batch and (out := sum(len(ids) for _, ids in waiting)):
        said = f"{out} documents wait for a batch: `checkerboard ingest run --batch` collects it."
        console.print(typed(said))
    if counts.set_aside:
        console.print(typed("`checkerboard ingest status` says what was set aside, and why."))
    return not counts.set_aside and not counts.sources_failed


async def run_on_ray(settings: Settings, specs: list[str]) -> bool:
    """As `run`, on a Ray cluster."""
    counts, console = Counts(), Terminal()
    async with open_ingest(settings, specs) as parts:
        await parts.tidy()
        set_aside = await ray_engine.run_on_ray(settings, parts, counts)
        console.print(status.render(await status.status(parts.services.pool)))
    _say_failed(counts, console)
    return not set_aside and not counts.sources_failed


def _say_failed(counts: Counts, console: Terminal) -> None:
    for name, problem in counts.sources_failed.items():
        console.print(f"{name}: {problem}", style="yellow")


async def watch(settings: Settings, folder: Path) -> None:
    """Runs the ingest on a folder until it is cancelled."""
    counts, console = Counts(), Terminal()
    async with open_ingest(settings) as parts, shown(counts, console):
        parts.sources.append(WatchedFolder(folder))
        console.print(f"Watching {folder}. Ctrl-C ends it.")
        await parts.tidy()
        await parts.collect_and_work(parts.steps(), counts, forever=True)


async def embed_again(settings: Settings, *, drop_others: bool) -> None:
    """Embeds every posting by the configured model; then that one serves."""
    console = Terminal()
    async with open_services(settings) as services:
        count = await reembed(
            services, lambda texts, tokens: console.print(f"{texts} texts, {tokens} tokens")
        )
        console.print(f"{count} postings embedded by {services.embedder.model_name}; it serves now.")
        if drop_others:
            dropped = await services.vectors.drop_others()
            console.print(f"Forgotten: {', '.join(dropped) or 'nothing'}.")


async def sources(settings: Settings) -> Group:
    """What postings can be collected from, and what reads their images."""
    collected, read = Table(), Table()
    for name in ("source", "on", "what it has"):
        collected.add_column(name, overflow="fold")
    for row in describe(settings):
        collected.add_row(row.written, "no" if row.off else "yes", row.off or row.what)
    for name in ("parser of images, in order", "on", "what is missing"):
        read.add_column(name, overflow="fold")
    async with open_parsers(settings) as parsers:
        for state in parsers.describe():
            read.add_row(state.name, "yes" if state.usable else "no", state.reason)
    return Group(collected, read)
