"""`make eval-ingest`: how well each parser of images reads posters whose truth is known.

Two sets: the committed sample posters, and random ones drawn now in fonts, colours and words of their
own, on which nothing was tuned (their number and seed are arguments). Synthetic posters are kinder than
real ones: the figures are an upper bound, and good for comparing parsers and versions.

    python -m evals.parsers --random 40 --seed 4242 --output figures.jsonl

Measures: see `evals.parsers_text`, `evals.parsers_tables` and `evals.parsers_fields` (the offline model
sorts what was read into positions). Seconds are per image, with all cores at
work; CPU and the peak of memory are those of this process and the reading processes together.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.table import Table as Grid

from evals.parsers_fields import field_lines_found
from evals.parsers_tables import score_tables, tree_of_html, trees_of
from evals.parsers_text import Score, score_text, text_lines
from ingest.documents import Hints, Parsed, Position, RawFile
from ingest.parsers.local import LocalParser
from ingest.parsers.parser import Parser
from ingest.samples.draw_posters import HERE, TRUTH, write_posters
from ingest.samples.drawing.fonts import find_fonts
from ingest.samples.drawing.sets import random_posters
from ingest.samples.drawing.style import HELD_OUT
from ingest.tagging import Tagger
from tools.chat import ChatModel
from tools.embedded import attached
from tools.errors import NotAPostingError, SetupError
from tools.openai_client import open_http_client
from tools.prompts.registry import PromptRegistry
from tools.refusals import refusals
from tools.settings import Settings
from tools.terminal import Terminal

_SAMPLE_EVERY = 0.2
"""Seconds between two looks at the memory in use."""


@dataclass(frozen=True)
class Figures:
    """One parser on one set. Rates and scores from 0 to 1; seconds; bytes."""

    parser: str
    posters: str
    images: int
    line_cer: float
    ordered_cer: float
    word_recall: float
    skill_recall: float
    teds: float
    teds_structure: float
    tables: int
    field_recall: float | None
    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Poster:
    """A poster's files and what is true of each, as a row of `truth.ndjson` has it."""

    files: list[Path]
    pages: list[dict[str, list[str]]]
    positions: list[dict[str, str | None]]


def posters_of(folder: Path) -> list[Poster]:
    """Reads the truth beside a folder's posters."""
    rows = [json.loads(line) for line in (folder / TRUTH).read_text(encoding="utf-8").splitlines()]
    return [Poster([folder / name for name in row["files"]], row["pages"], row["positions"]) for row in rows]


Tag = Callable[[Parsed], Awaitable[Sequence[Position]]]
"""Sorts what was read of a poster's images into positions."""


async def measure(parser: Parser, name: str, posters: Sequence[Poster], tag: Tag | None = None) -> Figures:
    """Has a parser read posters, all at once as far as it lets them, and scores what it read.

    With `tag`, the recall of the four fields is measured, too.
    """
    files = [file for poster in posters for file in poster.files]
    pages = [page for poster in posters for page in poster.pages]
    async with _watched() as usage:
        # The first image starts the processes, which is no part of reading one.
        await parser.parse(_raw(files[0]))
        cpu, started = usage.cpu(), time.monotonic()
        read = await asyncio.gather(*(parser.parse(_raw(file)) for file in files))
        seconds, cpu = time.monotonic() - started, usage.cpu() - cpu
    scores = [score_text(page["lines"], text_lines(parsed)) for page, parsed in zip(pages, read, strict=True)]
    tables = [
        score_tables([tree_of_html(table) for table in page["tables"]], trees_of(parsed))
        for page, parsed in zip(pages, read, strict=True)
    ]
    full = [score for one, _ in tables for score in one]
    structure = [score for _, one in tables for score in one]
    return Figures(
        parser=parser.name,
        posters=name,
        images=len(read),
        line_cer=_share(scores, "errors", "letters"),
        ordered_cer=_share(scores, "ordered_errors", "letters"),
        word_recall=_share(scores, "words_found", "words"),
        skill_recall=_share(scores, "skills_found", "skills"),
        teds=sum(full) / len(full) if full else 1.0,
        teds_structure=sum(structure) / len(structure) if structure else 1.0,
        tables=len(full),
        field_recall=None if tag is None else await _field_recall(tag, posters, read),
        seconds=seconds / len(read),
        cpu_seconds=cpu / len(read),
        peak_bytes=usage.peak,
    )


async def _field_recall(tag: Tag, posters: Sequence[Poster], read: Sequence[Parsed]) -> float:
    rest = iter(read)
    found = total = 0
    for poster in posters:
        images = [next(rest) for _ in poster.files]
        whole = Parsed(blocks=[block for image in images for block in image.blocks], parser=images[0].parser)
        here, of = field_lines_found(poster.positions, await tag(whole))
        found, total = found + here, total + of
    return found / total if total else 0.0


def _share(scores: Sequence[Score], part: str, whole: str) -> float:
    total = sum(getattr(score, whole) for score in scores)
    return sum(getattr(score, part) for score in scores) / total if total else 0.0


def _raw(file: Path) -> RawFile:
    return RawFile(file.name, "image/webp", file.read_bytes())


class _Usage:
    """CPU and memory of this process and those it started."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self.peak = 0

    def cpu(self) -> float:
        """Seconds of CPU so far, of the processes that are alive."""
        total = 0.0
        for process in self._alive():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def look(self) -> None:
        """Takes note of the memory in use."""
        total = 0
        for process in self._alive():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        self.peak = max(self.peak, total)

    def _alive(self) -> list[psutil.Process]:
        return [self._own, *self._own.children(recursive=True)]


@asynccontextmanager
async def _watched() -> AsyncIterator[_Usage]:
    usage = _Usage()

    async def look() -> None:
        while True:
            usage.look()
            await asyncio.sleep(_SAMPLE_EVERY)

    task = asyncio.create_task(look())
    try:
        yield usage
    finally:
        usage.look()
        task.cancel()


async def _run(sets: dict[str, list[Poster]], settings: Settings) -> list[Figures]:
    async with AsyncExitStack() as stack:
        parsers: list[Parser] = [await stack.enter_async_context(LocalParser.open(settings))]
        http_client = await stack.enter_async_context(open_http_client(settings))
        tagger = Tagger(ChatModel(settings, http_client), PromptRegistry.bundled("ingest.tagging"))

        async def tag(parsed: Parsed) -> Sequence[Position]:
            try:
                return (await tagger.tag(parsed, Hints())).positions
            except NotAPostingError:
                return []

        return [
            await measure(parser, name, posters, tag) for parser in parsers for name, posters in sets.items()
        ]


def shown(figures: Sequence[Figures]) -> Grid:
    """The figures as a table for people."""
    grid = Grid(title="Parsers on posters with known truth")
    heads = ("parser", "posters", "images", "line CER", "CER in order", "words", "skills", "TEDS")
    for head in (*heads, "TEDS-S", "tables", "fields", "s/image", "CPU s", "peak MB"):
        grid.add_column(head, justify="left" if head in ("parser", "posters") else "right")
    for row in figures:
        rates = (row.line_cer, row.ordered_cer, row.word_recall, row.skill_recall)
        grid.add_row(
            row.parser,
            row.posters,
            str(row.images),
            *(f"{rate:.1%}" for rate in rates),
            f"{row.teds:.3f}",
            f"{row.teds_structure:.3f}",
            str(row.tables),
            "–" if row.field_recall is None else f"{row.field_recall:.1%}",
            f"{row.seconds:.2f}",
            f"{row.cpu_seconds:.2f}",
            f"{row.peak_bytes / 1e6:.0f}",
        )
    return grid


def main(
    random: Annotated[int, typer.Option(help="how many random posters")] = 20,
    posters: Annotated[int | None, typer.Option(min=1, help="at most so many of each set")] = None,
    seed: Annotated[int, typer.Option(help="which random posters")] = 4242,
    output: Annotated[Path | None, typer.Option(help="where the figures go as JSON lines")] = None,
) -> None:
    """Measures the local parser, and prints a table and a line of JSON for each set."""
    # A table of fourteen columns; what is no terminal is as wide as one needs.
    console = Terminal(width=None if sys.stdout.isatty() else 150)
    # Whatever the shell has configured: the offline model sorts what was read.
    settings = Settings().model_copy(update={"openai_api_key": None, "openai_base_url": None})
    with tempfile.TemporaryDirectory() as scratch:
        sets = {"samples": posters_of(HERE)[:posters]}
        if random:
            try:
                drawn = random_posters(
                    min(random, posters or random), seed, HELD_OUT, find_fonts(settings.home)
                )
                write_posters(drawn, Path(scratch))
                sets[f"random {seed}"] = posters_of(Path(scratch))
            except SetupError as error:
                console.print(f"no random posters: {error}", style="yellow")
        with attached(settings, parts=("model",)) as running:
            figures = asyncio.run(_run(sets, running))
    console.print(shown(figures))
    lines = [json.dumps(asdict(row), ensure_ascii=False) for row in figures]
    if output is None:
        for line in lines:
            console.print(line, soft_wrap=True)
    else:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with refusals():
        typer.run(main)
