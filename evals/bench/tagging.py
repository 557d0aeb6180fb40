"""Part of `make eval-ingest`: how well what the local parser read of posters becomes positions.

The posters are pages that a browser photographs (`evals/posters/`), their truth is known, and what sorts them
is the offline model, or with `--configured` the chat model of the settings, at its price:

    python -m evals.bench.tagging --posters 10 --configured

Misread letters are the parser's: a line counts with one letter in five wrong (`parser_scores.READ`). Of the
names that search goes by, none may be.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid

from evals.bench.parser_scores import READ, bare
from evals.bench.parsers import Poster, draw_in_browser, posters_of, raw_file
from ingest.documents import Hints, Parsed
from ingest.errors import NotAPostingError
from ingest.parsers.local import LocalParser
from ingest.parsers.tessdata import find_tessdata
from ingest.tagging.tagger import Tagger
from local.servers import embedded_servers
from tools.core.extras import require_extra
from tools.core.settings import Settings
from tools.core.terminal import Terminal, exit_on_errors
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client
from tools.postings.contracts import TEXT_FIELDS, Position
from tools.postings.normalization import normal_company, normal_skills, normal_title
from tools.prompts.registry import PromptRegistry

# rapidfuzz is imported where it is used: it is in the extra `eval`.


@dataclass
class Counts:
    """Of positions and their parts, how many are right, and of how many."""

    positions: int = 0
    """True positions that one of the tagged is: the one with the nearest title."""
    of_positions: int = 0
    tagged: int = 0
    """Positions that were made."""
    items: int = 0
    """True lines that are one line of their field of their position."""
    of_items: int = 0
    lines: int = 0
    """Tagged lines that are one line of the truth, there."""
    of_lines: int = 0
    titles: int = 0
    literal_titles: int = 0
    companies: int = 0
    literal_companies: int = 0
    of_companies: int = 0
    """Positions of posters that name the company."""
    skills: int = 0
    """Skills of the true lines that are named."""
    of_skills: int = 0
    true_skills: int = 0
    """Skills named that the lines or the truth's list have."""
    of_named: int = 0
    dropped: int = 0
    """Lines of the model that are not in the document."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Counts)))


def count(poster: Poster, tagged: Sequence[Position], dropped: int = 0) -> Counts:
    """Compares the true positions of a poster with those that were made of it."""
    counts = Counts(of_positions=len(poster.positions), tagged=len(tagged), dropped=dropped)
    printed = "\n".join(line for page in poster.pages for line in page["lines"])
    left = list(tagged)
    for true in poster.positions:
        company = true["company"] or ""
        title = normal_title(true["job_title"] or "", company)
        named = company in printed
        near = {_similar(title, position.normalized_title): position for position in left}
        own = near[max(near)] if near and max(near) > 1 - 2 * READ else None
        if own is not None:
            left.remove(own)
            counts += Counts(
                positions=1,
                titles=own.normalized_title == title,
                literal_titles=own.job_title == true["job_title"],
                companies=named and own.normalized_company == normal_company(company),
                literal_companies=named and own.company == company,
            )
        counts += _of_lines(true, own) + Counts(of_companies=named)
    return counts + Counts(of_lines=sum(len(_lines(position)) for position in left))


def _of_lines(true: Mapping[str, Any], own: Position | None) -> Counts:
    counts = Counts()
    for name in TEXT_FIELDS:
        wanted = [line for line in (true[name] or "").split("\n") if line]
        made = [line for line in getattr(own, name, "").split("\n") if line]
        counts += Counts(
            items=sum(any(_same(line, other) for other in made) for line in wanted),
            of_items=len(wanted),
            lines=sum(any(_same(other, line) for other in wanted) for line in made),
            of_lines=len(made),
        )
    text = "\n".join(true[name] or "" for name in ("job_title", *TEXT_FIELDS))
    skills = set(normal_skills([], text))
    named = set(own.normalized_skills if own is not None else ())
    listed = skills | set(normal_skills(true["skills"] or ()))
    return counts + Counts(
        skills=len(skills & named),
        of_skills=len(skills),
        true_skills=len(listed & named),
        of_named=len(named),
    )


def _lines(position: Position) -> list[str]:
    return [line for name in TEXT_FIELDS for line in getattr(position, name).split("\n") if line]


def _same(true: str, made: str) -> bool:
    """Whether a line is another, but for some misread letters."""
    return _similar(true, made) >= 1 - READ


def _similar(one: str, other: str) -> float:
    from rapidfuzz.distance import Levenshtein  # noqa: PLC0415

    return float(Levenshtein.normalized_similarity(bare(one), bare(other)))


async def measure(posters: Iterable[Poster], settings: Settings) -> Counts:
    """Reads posters, sorts what was read by the chat model of `settings`, all at once, and counts."""
    async with AsyncExitStack() as stack:
        parser = await stack.enter_async_context(
            LocalParser.open(find_tessdata(settings), size=settings.parser_processes)
        )
        http_client = await stack.enter_async_context(open_http_client(settings))
        tagger = Tagger(ChatModel(settings, http_client), PromptRegistry.bundled("ingest.tagging"))

        async def of(poster: Poster) -> Counts:
            images = await asyncio.gather(*(parser.parse(raw_file(file)) for file in poster.files))
            blocks = [block for image in images for block in image.blocks]
            try:
                tagged = await tagger.tag(Parsed(blocks=blocks, parser=images[0].parser), Hints())
            except NotAPostingError:
                return count(poster, [])
            return count(poster, tagged.positions, len(tagged.dropped))

        return sum(await asyncio.gather(*map(of, posters)), Counts())


def shown(counts: Counts) -> Grid:
    """Returns the counts as a table for people."""
    grid = Grid("what", "right", "of", "share", title="Positions of posters with known truth")
    rows = (
        ("positions found", counts.positions, counts.of_positions),
        ("positions made that are one", counts.positions, counts.tagged),
        ("lines found as one item, in their field", counts.items, counts.of_items),
        ("lines made that are one", counts.lines, counts.of_lines),
        ("titles, normalized", counts.titles, counts.of_positions),
        ("titles, literal", counts.literal_titles, counts.of_positions),
        ("companies, normalized", counts.companies, counts.of_companies),
        ("companies, literal", counts.literal_companies, counts.of_companies),
        ("skills found", counts.skills, counts.of_skills),
        ("skills named that are there", counts.true_skills, counts.of_named),
    )
    for name, right, of in rows:
        grid.add_row(name, str(right), str(of), f"{right / of:.1%}" if of else "–")
    return grid


def main(
    posters: Annotated[int, typer.Option(min=1, help="how many")] = 30,
    seed: Annotated[int, typer.Option(help="which posters are drawn")] = 4242,
    configured: Annotated[
        bool, typer.Option("--configured", help="the configured chat model sorts, at its price")
    ] = False,
) -> None:
    """Measures how what was read becomes positions, and prints a table and a line of JSON."""
    require_extra("eval", "rapidfuzz", purpose="Measuring the tagging")
    console = Terminal()
    settings = Settings()
    if not configured:
        settings = settings.model_copy(update={"openai_api_key": None, "openai_base_url": None})
    with tempfile.TemporaryDirectory() as scratch:
        draw_in_browser(posters, seed, Path(scratch), settings.home)
        drawn = posters_of(Path(scratch))
        with embedded_servers(settings, servers=("model",)) as running:
            counts = asyncio.run(measure(drawn, running))
    console.print(shown(counts))
    console.print(json.dumps(asdict(counts)), soft_wrap=True)


if __name__ == "__main__":
    with exit_on_errors():
        typer.run(main)
