"""The interface of the parsers that read images, and what is made of several results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from ingest.blocks import block_lines
from ingest.documents import Block, Cost, Parsed, RawFile

LOW_CONFIDENCE = "low_confidence"
"""The flag of a document of which a part was read below `settings.parser_confidence` by all parsers."""

_T = TypeVar("_T")


class Parser(Protocol):
    """Reads a file into blocks."""

    @property
    def name(self) -> str:
        """Its name in the setting that orders the parsers: `local`, `upstage`, `vision`."""

    async def parse(self, file: RawFile) -> Parsed:
        """Reads one file, all its pages.

        Raises:
            DocumentUnreadableError: this file cannot be read by this parser, however often one tries.
            ParserUnavailableError: the parser did not answer; it may later.
        """


def confidence_of(parsed: Parsed) -> float:
    """Returns the confidence of a result, from 0 to 1: 1 where the parser gives none, 0 without blocks."""
    if not parsed.blocks:
        return 0.0
    return 1.0 if parsed.confidence is None else parsed.confidence


def mean_confidence(blocks: Iterable[Block]) -> float | None:
    """Returns the mean confidence of blocks, weighted by the length of their text; None where no block has
    both."""
    return _weighted_mean((block.confidence, _letters([block])) for block in blocks)


def combine(results: Sequence[Parsed]) -> Parsed:
    """Returns the results for a document's parts, in reading order, as one: pages are numbered through,
    costs added, confidence is the mean weighted by length."""
    blocks: list[Block] = []
    pages = 0
    for parsed in results:
        blocks += [block.model_copy(update={"page": pages + block.page}) for block in parsed.blocks]
        pages += max((block.page for block in parsed.blocks), default=1)
    return Parsed(
        blocks=blocks,
        parser="+".join(_unique(parsed.parser for parsed in results)),
        confidence=_weighted_mean((parsed.confidence, _letters(parsed.blocks)) for parsed in results),
        warnings=_unique(warning for parsed in results for warning in parsed.warnings),
        flags=_unique(flag for parsed in results for flag in parsed.flags),
        cost=sum((parsed.cost for parsed in results), Cost()),
    )


def _weighted_mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    weighted = [(value, weight) for value, weight in values if value is not None]
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else None


def _letters(blocks: Iterable[Block]) -> int:
    return sum(len(line) for block in blocks for line in block_lines(block))


def _unique(items: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(items))
