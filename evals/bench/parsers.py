"""`make eval-ingest`: how well the parsers of images read posters whose truth is known.

Three sets: the committed sample posters; random ones of the same program, in fonts, colours and words that no
sample has; and pages that a browser lays out and photographs (`evals/posters/`), so that not all figures come
from the program on whose posters the parser was made. Nothing was tuned on the random ones and the browser's.
Synthetic posters are kinder than real ones: the figures are an upper bound, good for comparing parsers and
versions.

    python -m evals.bench.parsers --posters 40 --seed 4242 --output figures.jsonl

Measures: `parser_scores.py`; the offline model sorts what was read into positions. Seconds are per image,
with all cores at work; CPU and the peak of memory are of this process and the reading processes together.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.table import Table as Grid

from evals.bench.parser_scores import (
    TRUTH,
    Score,
    field_lines_found,
    score_tables,
    score_text,
    text_lines,
    tree_of_html,
    trees_of,
)
from ingest.documents import Hints, Parsed, RawFile
from ingest.errors import NotAPostingError
from ingest.load import SAMPLES
from ingest.parsers.document_parser import Parser
from ingest.parsers.local import LocalParser
from ingest.parsers.tessdata import find_tessdata
from ingest.tagging.tagger import Tagger
from local.servers import embedded_servers
from tools.core.errors import SetupError
from tools.core.extras import require_extra
from tools.core.settings import CHECKOUT, Settings
from tools.core.terminal import Terminal, exit_on_errors
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client
from tools.postings.contracts import Position
from tools.prompts.registry import PromptRegistry

_POLL_SECONDS = 0.2
"""Between two measurements of the memory in use."""


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
    """A poster's files and the truth about each, as a row of `truth.ndjson` has it."""

    files: list[Path]
    pages: list[dict[str, list[str]]]
    positions: list[dict[str, Any]]
    layout: str = ""


def posters_of(folder: Path) -> list[Poster]:
    """Returns a folder's posters with their truth."""
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
class _Reading:
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
    async with _measuring() as usage:
        # The first image starts the processes, which is no part of reading one.
        await parser.parse(raw_file(posters[0].files[0]))
        cpu, started = usage.cpu(), time.monotonic()
        readings = await asyncio.gather(*(_read(parser, poster) for poster in posters))
        seconds, cpu = time.monotonic() - started, usage.cpu() - cpu
    images = sum(len(reading.images) for reading in readings)
    costs = (seconds / images, cpu / images, usage.peak)
    sets = {name: readings}
    for layout in sorted({poster.layout for poster in posters} - {""}):
        sets[f"{name}: {layout}"] = [one for one in readings if one.poster.layout == layout]
    return [await _figures(parser.name, title, own, tag, costs) for title, own in sets.items()]


async def _read(parser: Parser, poster: Poster) -> _Reading:
    images = await asyncio.gather(*(parser.parse(raw_file(file)) for file in poster.files))
    pages = list(zip(poster.pages, images, strict=True))
    return _Reading(
        poster,
        images,
        [score_text(page["lines"], text_lines(parsed)) for page, parsed in pages],
        [score_tables(list(map(tree_of_html, page["tables"])), trees_of(parsed)) for page, parsed in pages],
    )


def raw_file(file: Path) -> RawFile:
    """Returns the image in a file."""
    return RawFile(file.name, "image/webp", file.read_bytes())


async def _figures(
    parser: str, name: str, readings: Sequence[_Reading], tag: Tag | None, costs: tuple[float, float, int]
) -> Figures:
    """The figures of a set; `costs` are seconds and CPU seconds of an image, and the peak of memory."""
    scores = [score for one in readings for score in one.scores]
    full = [score for one in readings for scored, _ in one.tables for score in scored]
    structure = [score for one in readings for _, scored in one.tables for score in scored]
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
        field_recall=None if tag is None else await _field_recall(tag, readings),
        seconds=costs[0],
        cpu_seconds=costs[1],
        peak_bytes=costs[2],
    )


def _share(scores: Sequence[Score], part: str, whole: str) -> float:
    total = sum(getattr(score, whole) for score in scores)
    return sum(getattr(score, part) for score in scores) / total if total else 0.0


async def _field_recall(tag: Tag, readings: Sequence[_Reading]) -> float:
    found = total = 0
    for one in readings:
        blocks = [block for image in one.images for block in image.blocks]
        whole = Parsed(blocks=blocks, parser=one.images[0].parser)
        lines, of = field_lines_found(one.poster.positions, await tag(whole))
        found, total = found + lines, total + of
    return found / total if total else 0.0


class _Usage:
    """CPU and memory of this process and those it started."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self.peak = 0

    def _total(self, measure: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for process in [self._own, *self._own.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += measure(process)
        return total

    def cpu(self) -> float:
        """Returns the seconds of CPU so far, of the processes that are alive."""
        return self._total(lambda process: sum(process.cpu_times()[:2]))

    def measure_memory(self) -> None:
        """Raises the peak to the memory in use."""
        self.peak = max(self.peak, int(self._total(lambda process: process.memory_info().rss)))


@asynccontextmanager
async def _measuring() -> AsyncIterator[_Usage]:
    usage = _Usage()

    async def poll() -> None:
        while True:
            usage.measure_memory()
            await asyncio.sleep(_POLL_SECONDS)

    task = asyncio.create_task(poll())
    try:
        yield usage
    finally:
        usage.measure_memory()
        task.cancel()


async def _run(sets: dict[str, list[Poster]], settings: Settings) -> list[Figures]:
    async with AsyncExitStack() as stack:
        opened = LocalParser.open(find_tessdata(settings), size=settings.parser_processes)
        parser = await stack.enter_async_context(opened)
        http_client = await stack.enter_async_context(open_http_client(settings))
        tagger = Tagger(ChatModel(settings, http_client), PromptRegistry.bundled("ingest.tagging"))

        async def tag(parsed: Parsed) -> Sequence[Position]:
            try:
                return (await tagger.tag(parsed, Hints())).positions
            except NotAPostingError:
                return []

        return [row for name, posters in sets.items() for row in await measure(parser, name, posters, tag)]


def shown(figures: Sequence[Figures]) -> Grid:
    """Returns the figures as a table for people."""
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
    command = [sys.executable, "-m", "samples.programs.draw_posters", "--held-out"]
    command += ["--random", str(count), "--seed", str(seed), "--into", str(folder)]
    environment = {**os.environ, "CHECKERBOARD_HOME": str(home)}
    done = subprocess.run(  # noqa: S603 - a program of the checkout
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SetupError((done.stderr.strip() or "the drawing program failed").splitlines()[-1])


def draw_in_browser(count: int, seed: int, folder: Path, home: Path) -> None:
    """Draws posters by a browser, with their truth beside them (`evals/posters/photographs.py`).

    Raises:
        SetupError: the browser, its fonts or the checkout are missing.
    """
    try:
        # Not in the wheel: what draws needs a browser and the fonts of Debian.
        from evals.posters.photographs import write_photographs  # noqa: PLC0415
    except ImportError as error:
        raise SetupError("the browser's posters are drawn in a checkout only") from error
    write_photographs(count, seed, folder, home)


_DRAWN = {"random": _draw_random, "browser": draw_in_browser}


def main(
    posters: Annotated[int, typer.Option(min=1, help="how many of each set, at most")] = 30,
    seed: Annotated[int, typer.Option(help="which posters are drawn")] = 4242,
    output: Annotated[Path | None, typer.Option(help="where the figures go as JSON lines")] = None,
) -> None:
    """Measures the local parser, and prints a table and a line of JSON for each set."""
    require_extra("eval", "apted", "rapidfuzz", purpose="Measuring parsers")
    # A table of fifteen columns; what is no terminal is as wide as it needs.
    console = Terminal(width=None if sys.stdout.isatty() else 150)
    # Whatever the shell has configured: the offline model sorts what was read.
    settings = Settings().model_copy(update={"openai_api_key": None, "openai_base_url": None})
    with tempfile.TemporaryDirectory() as scratch:
        sets = {"samples": posters_of(SAMPLES.with_name("posters"))[:posters]}
        for name, draw in _DRAWN.items():
            folder = Path(scratch, name)
            try:
                draw(posters, seed, folder, settings.home)
            except SetupError as error:
                console.print(f"no posters of the set {name}: {error}", style="yellow")
            else:
                sets[f"{name} {seed}"] = posters_of(folder)
        with embedded_servers(settings, servers=("model",)) as running:
            figures = asyncio.run(_run(sets, running))
    console.print(shown(figures))
    lines = [json.dumps(asdict(row), ensure_ascii=False) for row in figures]
    if output is None:
        for line in lines:
            console.print(line, soft_wrap=True)
    else:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with exit_on_errors():
        typer.run(main)
