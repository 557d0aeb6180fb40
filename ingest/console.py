"""What the commands of `checkerboard ingest` do and print."""

from __future__ import annotations

import asyncio
import shutil
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ingest.load import Loaded, load, reembed
from ingest.parsers.document_parser import open_parsers
from ingest.pipeline import ray_engine
from ingest.pipeline.batch_run import run_by_batches
from ingest.pipeline.progress import Counts, shown, status_tables
from ingest.pipeline.run import open_ingest
from ingest.pipeline.store import status
from ingest.sources.folder import WatchedFolder
from ingest.sources.registry import describe
from ingest.structured.files import read_postings
from tools.core.database import Pool
from tools.core.processes import with_command_name
from tools.core.settings import Settings
from tools.core.sql import queries
from tools.core.terminal import Terminal
from tools.postings.contracts import TEXT_FIELDS
from tools.services import Services, open_services

POSTERS = Path(str(files("samples") / "posters"))
"""Thirty posters drawn from the sample postings."""
QUERY = "Java와 Spring으로 서버를 만드는 백엔드 개발자"
HITS = 5
SKILLS = 4
_SQL = queries("documents.sql")


async def load_files(settings: Settings, paths: list[Path], console: Terminal) -> Loaded:
    """Loads structured postings under a progress bar."""
    total = sum(1 for path in paths for _ in read_postings(path))
    columns = (TextColumn("postings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("postings", total=total)
        async with open_services(settings) as services:
            return await load(services, paths, lambda count: bar.advance(task, count))


async def run(settings: Settings, specs: list[str], *, batch: bool = False) -> bool:
    """Runs the ingest. Returns whether every source was read and no document set aside."""
    counts, console = Counts(), Terminal()
    async with open_ingest(settings, specs) as parts, shown(counts, console):
        await parts.tidy()
        if batch:
            await run_by_batches(parts, counts)
        else:
            await parts.collect_and_work(parts.steps(), counts)
        waiting = sum(len(ids) for _, ids in await parts.store.batches())
    _print_failed_sources(counts, console)
    if not batch and waiting:
        line = f"{waiting} documents wait for a batch: `checkerboard ingest run --batch` collects it."
        console.print(with_command_name(line))
    if counts.set_aside:
        console.print(with_command_name("`checkerboard ingest status` says what was set aside, and why."))
    return not counts.set_aside and not counts.sources_failed


async def run_on_ray(settings: Settings, specs: list[str]) -> bool:
    """As `run`, on a Ray cluster."""
    counts, console = Counts(), Terminal()
    async with open_ingest(settings, specs) as parts:
        await parts.tidy()
        set_aside = await ray_engine.run_on_ray(settings, parts, counts)
        console.print(status_tables(await status(parts.services.pool)))
    _print_failed_sources(counts, console)
    return not set_aside and not counts.sources_failed


def _print_failed_sources(counts: Counts, console: Terminal) -> None:
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
    """Embeds every posting by the configured model, which then serves."""
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
    """Returns, as tables, what postings can be collected from and what parses their images."""
    from_where, parsers_of_images = Table(), Table()
    for name in ("source", "on", "what it has"):
        from_where.add_column(name, overflow="fold")
    for row in describe(settings):
        from_where.add_row(row.written, "no" if row.off else "yes", row.off or row.what)
    for name in ("parser of images, in order", "on", "what is missing"):
        parsers_of_images.add_column(name, overflow="fold")
    async with open_parsers(settings) as parsers:
        for state in parsers.describe():
            parsers_of_images.add_row(state.name, "yes" if state.usable else "no", state.reason)
    return Group(from_where, parsers_of_images)


async def demo(settings: Settings, console: Terminal, posters: int | None = None) -> bool:
    """Runs the ingest on the sample posters, or the first so many, shows what was read, and searches. Returns
    whether all were read."""
    counts = Counts()
    started = time.monotonic()
    folder = POSTERS if posters is None else await asyncio.to_thread(_copy_first, posters, settings.home)
    async with open_ingest(settings, [f"folder:{folder}"]) as parts:
        console.print("Reading the sample posters …")
        async with shown(counts, console):
            await parts.collect_and_work(parts.steps(), counts)
        seconds = time.monotonic() - started
        console.print(await _documents(parts.services.pool))
        console.print(f"{counts.reached['loaded']} documents in {seconds:.0f} s.")
        console.print(await _hits(parts.services))
    return not counts.set_aside


def _copy_first(number: int, home: Path) -> Path:
    """Copies the first so many posters, each with all its pages, into a folder of `home`; returns that."""
    pages = sorted(POSTERS.glob("*.webp"))
    first = list(dict.fromkeys(page.stem.partition("-")[0] for page in pages))[:number]
    folder = home / POSTERS.name
    folder.mkdir()
    for page in pages:
        if page.stem.partition("-")[0] in first:
            shutil.copy2(page, folder)
    return folder


async def _documents(pool: Pool) -> Table:
    table = Table(title="what was read", title_justify="left")
    for name in ("document", "files", "sure", "position", "work", "must", "welcome", "skills"):
        table.add_column(name, overflow="fold")
    async with pool.connection() as connection:
        rows = await (await connection.execute(_SQL["parsed_and_tagged"])).fetchall()
    for row in rows:
        document = (row["source_id"], str(len(row["files"])), _confidence(row))
        for position in row["tagged"]["positions"]:
            lines = [str(len(position[name].splitlines())) for name in TEXT_FIELDS]
            table.add_row(*document, position["job_title"], *lines, _first_of(position["skills"]))
            document = ("", "", "")
    return table


def _confidence(row: dict[str, Any]) -> str:
    confidence = row["parsed"]["confidence"]
    return "" if confidence is None else f"{confidence:.2f}{' (unsure)' if row['flags'] else ''}"


def _first_of(skills: list[str]) -> str:
    more = f" +{len(skills) - SKILLS}" if len(skills) > SKILLS else ""
    return ", ".join(skills[:SKILLS]) + more


async def _hits(services: Services) -> Table:
    table = Table(title=f"nearest to “{QUERY}”", title_justify="left")
    for name in ("score", "company", "position", "its first line"):
        table.add_column(name, overflow="fold")
    vector = await services.embedder.query(QUERY)
    for hit in await services.postings.nearest(vector, k=HITS):
        first = next(iter(hit.responsibilities.splitlines()), "")
        table.add_row(f"{hit.score:.2f}", hit.company, hit.job_title, first)
    return table
