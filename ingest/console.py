"""What the commands of `checkerboard ingest` do and print."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ingest.load import Loaded, load, reembed
from ingest.parsers.document_parser import open_document_parser
from ingest.pipeline import ray_engine
from ingest.pipeline.batch_run import run_by_batches
from ingest.pipeline.local_engine import Counts
from ingest.pipeline.run import open_ingest
from ingest.pipeline.store import STAGES, status
from ingest.sources.folder import WatchedFolder
from ingest.sources.registry import KINDS, reasons_off
from ingest.structured.files import read_postings
from tools.core.database import Pool
from tools.core.processes import with_command_name
from tools.core.settings import Settings
from tools.core.sql import queries
from tools.core.terminal import Terminal
from tools.postings.contracts import TEXT_FIELDS, Posting
from tools.services import Services, open_services

POSTERS = Path(str(files("samples") / "posters"))
"""Thirty posters drawn from the sample postings."""
QUERY = "Java와 Spring으로 서버를 만드는 백엔드 개발자"
HITS = 5
SKILLS = 4
LINE_EVERY_SECONDS = 10.0
_REFRESH_SECONDS = 0.25
_SQL = queries("documents.sql")


async def load_files(settings: Settings, paths: list[Path], console: Terminal) -> Loaded:
    """Loads structured postings under a progress bar; says beforehand how long it takes to embed many."""
    rows = [
        len(row.search_text()) if isinstance(row, Posting) else 0
        for path in paths
        for row in read_postings(path)
    ]
    columns = (TextColumn("postings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with open_services(settings) as services:
        _announce(services, rows, console)
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("postings", total=len(rows))
            return await load(services, paths, lambda count: bar.advance(task, count))


def _announce(services: Services, lengths: Sequence[int], console: Terminal) -> None:
    """Says how long this machine takes to embed texts of these lengths, where that is more than a minute."""
    model = services.embedder.model
    minutes = sum(min(length, model.max_chars) for length in lengths) * model.cpu_seconds_a_character / 60
    if minutes > 1:
        console.print(
            f"{model.name} embeds them in about {minutes:.0f} minutes of CPU, less what has a vector "
            "already. CHECKERBOARD_OFFLINE_EMBEDDINGS=morphemes embeds by words, a hundred times faster."
        )


async def run(settings: Settings, specs: list[str], *, batch: bool = False) -> bool:
    """Runs the ingest. Returns whether every source was read and no document set aside."""
    counts, console = Counts(), Terminal()
    async with open_ingest(settings, specs) as parts, shown(counts, console):
        await parts.tidy()
        if batch:
            await run_by_batches(parts, counts)
        else:
            await parts.collect_and_work(parts.runners(), counts)
        waiting = sum(len(ids) for _, ids in await parts.store.pending_batches())
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
        await parts.collect_and_work(parts.runners(), counts, forever=True)


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
    off = reasons_off(settings)
    for name, kind in KINDS.items():
        from_where.add_row(kind.written, "no" if name in off else "yes", off.get(name, kind.what))
    for name in ("parser of images, in order", "on", "what is missing"):
        parsers_of_images.add_column(name, overflow="fold")
    async with open_document_parser(settings) as parser:
        for state in parser.describe():
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
            await parts.collect_and_work(parts.runners(), counts)
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
    for hit in (await services.search.find(QUERY, k=HITS)).postings:
        first = next(iter(hit.responsibilities.splitlines()), "")
        table.add_row(f"{hit.score:.2f}", hit.company, hit.job_title, first)
    return table


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
    parts: list[RenderableType] = [_documents_table(status["sources"])]
    if status["set_aside"]:
        parts.append(_set_aside(status["set_aside"]))
    if status["not_normalized"]:
        parts.append(
            f"{status['not_normalized']} postings of an earlier version are searched by their literal titles"
            + with_command_name(": the next load normalizes them, or `checkerboard ingest reembed` does now.")
        )
    return Group(*parts)


def _documents_table(rows: list[dict[str, Any]]) -> RenderableType:
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
                note = str(counts.cost) if stage == STAGES[-1] else ""
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
