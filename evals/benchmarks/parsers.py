"""`make eval-ingest`: how well each parser of images reads posters whose truth is known.

Three sets: the committed sample posters; random ones that the same program draws now, in fonts, colours and
words of their own; and pages that a browser lays out and photographs, layout by layout, so that not all
figures are those of the hand that drew what the parser was made on (`evals.posters`). On the random ones and
the browser's nothing was tuned; their number and seed are arguments. Synthetic posters are kinder than real
ones: the figures are an upper bound, and good for comparing parsers and versions.

    python -m evals.benchmarks.parsers --posters 40 --seed 4242 --output figures.jsonl

Measures: see `evals.benchmarks.parser_scores` (the offline model
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

from evals.benchmarks.parser_scores import Score, score_text, text_lines
from evals.benchmarks.parsers_fields import field_lines_found
from evals.benchmarks.parsers_tables import score_tables, tree_of_html, trees_of
from evals.posters.photographs import write_photographs
from evals.posters.texts import varied_postings
from ingest.documents import Hints, Parsed, Position, RawFile
from ingest.errors import NotAPostingError
from ingest.parsers.local import LocalParser
from ingest.parsers.parser import Parser
from ingest.tagging import Tagger
from local.servers import attached
from samples.programs.draw_posters import HERE, TRUTH, write_posters
from samples.programs.drawing.fonts import find_fonts
from samples.programs.drawing.sets import random_posters
from samples.programs.drawing.style import HELD_OUT
from tools.core.errors import SetupError
from tools.core.refusals import refusals
from tools.core.settings import Settings
from tools.core.terminal import Terminal
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client
from tools.prompts.registry import PromptRegistry

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
    lines_found: float
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
    layout: str = ""


def posters_of(folder: Path) -> list[Poster]:
    """Reads the truth beside a folder's posters."""
    rows = [json.loads(line) for line in (folder / TRUTH).read_text(encoding="utf-8").splitlines()]
    return [
        Poster(
            [folder / name for name in row["files"]], row["pages"], row["positions"], row.get("layout", "")
        )
        for row in rows
    ]


Tag = Callable[[Parsed], Awaitable[Sequence[Position]]]
"""Sorts what was read of a poster's images into positions."""


@dataclass(frozen=True)
class _Read:
    """A poster as a parser read it, image by image, and how well it did."""

    poster: Poster
    images: list[Parsed]
    scores: list[Score]
    tables: list[tuple[list[float], list[float]]]


async def measure(
    parser: Parser, name: str, posters: Sequence[Poster], tag: Tag | None = None
) -> list[Figures]:
    """Has a parser read posters, all at once as far as it lets them, and scores what it read.

    Returns the figures of all of them, and where they have layouts, those of each. With `tag`, the recall
    of the four fields is measured, too.
    """
    async with _watched() as usage:
        # The first image starts the processes, which is no part of reading one.
        await parser.parse(_raw(posters[0].files[0]))
        cpu, started = usage.cpu(), time.monotonic()
        read = await asyncio.gather(*(_read(parser, poster) for poster in posters))
        seconds, cpu = time.monotonic() - started, usage.cpu() - cpu
    images = sum(len(one.images) for one in read)
    costs = (seconds / images, cpu / images, usage.peak)
    sets = {name: read}
    for layout in sorted({poster.layout for poster in posters} - {""}):
        sets[f"{name}: {layout}"] = [one for one in read if one.poster.layout == layout]
    return [await _figures(parser.name, title, own, tag, costs) for title, own in sets.items()]


async def _read(parser: Parser, poster: Poster) -> _Read:
    images = await asyncio.gather(*(parser.parse(_raw(file)) for file in poster.files))
    pages = list(zip(poster.pages, images, strict=True))
    return _Read(
        poster,
        images,
        [score_text(page["lines"], text_lines(parsed)) for page, parsed in pages],
        [
            score_tables([tree_of_html(table) for table in page["tables"]], trees_of(parsed))
            for page, parsed in pages
        ],
    )


async def _figures(
    parser: str, name: str, read: Sequence[_Read], tag: Tag | None, costs: tuple[float, float, int]
) -> Figures:
    """The figures of a set; `costs` are seconds and CPU seconds of an image, and the peak of memory."""
    scores = [score for one in read for score in one.scores]
    full = [score for one in read for scored, _ in one.tables for score in scored]
    structure = [score for one in read for _, scored in one.tables for score in scored]
    return Figures(
        parser=parser,
        posters=name,
        images=len(scores),
        line_cer=_share(scores, "errors", "letters"),
        ordered_cer=_share(scores, "ordered_errors", "letters"),
        word_recall=_share(scores, "words_found", "words"),
        skill_recall=_share(scores, "skills_found", "skills"),
        lines_found=_share(scores, "lines_found", "lines"),
        teds=sum(full) / len(full) if full else 1.0,
        teds_structure=sum(structure) / len(structure) if structure else 1.0,
        tables=len(full),
        field_recall=None if tag is None else await _field_recall(tag, read),
        seconds=costs[0],
        cpu_seconds=costs[1],
        peak_bytes=costs[2],
    )


async def _field_recall(tag: Tag, read: Sequence[_Read]) -> float:
    found = total = 0
    for one in read:
        blocks = [block for image in one.images for block in image.blocks]
        whole = Parsed(blocks=blocks, parser=one.images[0].parser)
        here, of = field_lines_found(one.poster.positions, await tag(whole))
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
            figures
            for parser in parsers
            for name, posters in sets.items()
            for figures in await measure(parser, name, posters, tag)
        ]


def shown(figures: Sequence[Figures]) -> Grid:
    """The figures as a table for people."""
    grid = Grid(title="Parsers on posters with known truth")
    heads = ("parser", "posters", "images", "line CER", "CER in order", "words", "skills", "lines", "TEDS")
    for head in (*heads, "TEDS-S", "tables", "fields", "s/image", "CPU s", "peak MB"):
        named = head in ("parser", "posters")
        grid.add_column(head, justify="left" if named else "right", no_wrap=head == "posters")
    for row in figures:
        rates = (row.line_cer, row.ordered_cer, row.word_recall, row.skill_recall, row.lines_found)
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


def _draw_random(count: int, seed: int, folder: Path, home: Path) -> None:
    write_posters(random_posters(count, seed, HELD_OUT, find_fonts(home)), folder)


def _draw_in_browser(count: int, seed: int, folder: Path, home: Path) -> None:
    write_photographs(list(varied_postings(count, seed)), seed, folder, home)


_DRAWN: dict[str, Callable[[int, int, Path, Path], None]] = {
    "random": _draw_random,
    "browser": _draw_in_browser,
}


def main(
    posters: Annotated[int, typer.Option(min=1, help="how many of each set, at most")] = 30,
    seed: Annotated[int, typer.Option(help="which posters are drawn")] = 4242,
    output: Annotated[Path | None, typer.Option(help="where the figures go as JSON lines")] = None,
) -> None:
    """Measures the local parser, and prints a table and a line of JSON for each set."""
    # A table of fifteen columns; what is no terminal is as wide as one needs.
    console = Terminal(width=None if sys.stdout.isatty() else 150)
    # Whatever the shell has configured: the offline model sorts what was read.
    settings = Settings().model_copy(update={"openai_api_key": None, "openai_base_url": None})
    with tempfile.TemporaryDirectory() as scratch:
        sets = {"samples": posters_of(HERE)[:posters]}
        for name, draw in _DRAWN.items():
            folder = Path(scratch, name)
            try:
                draw(posters, seed, folder, settings.home)
            except SetupError as error:
                console.print(f"no posters of the set {name}: {error}", style="yellow")
            else:
                sets[f"{name} {seed}"] = posters_of(folder)
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
