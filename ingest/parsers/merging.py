"""Several readings as one: pages numbered through, costs added, confidence over all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from ingest.blocks import block_lines
from ingest.documents import Block, Cost, Parsed

LOW_CONFIDENCE = "low_confidence"
"""The flag of a document of which a part was read below `settings.parser_confidence` by all parsers."""

_Named = TypeVar("_Named")


def confidence_of(parsed: Parsed) -> float:
    """How sure a reading is, from 0 to 1. A parser that says nothing of it is sure of what it has read;
    a reading of nothing is worth nothing."""
    if not parsed.blocks:
        return 0.0
    return 1.0 if parsed.confidence is None else parsed.confidence


def joined(read: Sequence[Parsed]) -> Parsed:
    """Returns the readings of a document's parts, in reading order, as one."""
    blocks: list[Block] = []
    pages = 0
    for parsed in read:
        blocks += [block.model_copy(update={"page": pages + block.page}) for block in parsed.blocks]
        pages += max(page_count(parsed), 1)
    return Parsed(
        blocks=blocks,
        parser="+".join(_once(parsed.parser for parsed in read)),
        confidence=mean_confidence(read),
        warnings=_once(warning for parsed in read for warning in parsed.warnings),
        flags=_once(flag for parsed in read for flag in parsed.flags),
        cost=sum((parsed.cost for parsed in read), Cost()),
    )


def page_count(parsed: Parsed) -> int:
    """The last page on which something is written."""
    return max((block.page for block in parsed.blocks), default=0)


def mean_confidence(read: Sequence[Parsed]) -> float | None:
    """The mean over what was recognised, weighted by its length; None where nothing had to be."""
    weighted = [
        (parsed.confidence, sum(len(line) for block in parsed.blocks for line in block_lines(block)))
        for parsed in read
        if parsed.confidence is not None
    ]
    total = sum(weight for _, weight in weighted)
    return sum(confidence * weight for confidence, weight in weighted) / total if total else None


def with_cost(parsed: Parsed, cost: Cost) -> Parsed:
    """Returns a reading that has cost so much more."""
    return parsed.model_copy(update={"cost": parsed.cost + cost})


def _once(items: Iterable[_Named]) -> list[_Named]:
    return list(dict.fromkeys(items))
