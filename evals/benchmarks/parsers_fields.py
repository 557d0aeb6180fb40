"""How much of the four fields that the service uses comes through, from image to position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.benchmarks.parser_scores import READ, bare, nearest
from ingest.documents import Position

FIELDS = ("job_title", "responsibilities", "requirements", "preferred")


def field_lines_found(
    truth: Sequence[Mapping[str, str | None]], tagged: Sequence[Position]
) -> tuple[int, int]:
    """Lines of the true positions' four fields that stand in the same field of some tagged position.

    Returns how many, and of how many. Spaces and bullets do not count, and one letter in five may be
    wrong: what a recogniser misreads is measured elsewhere.
    """
    found = total = 0
    for name in FIELDS:
        texts = "\0".join(bare(getattr(position, name)) for position in tagged)
        lines = [
            bare(line) for position in truth for line in (position[name] or "").split("\n") if bare(line)
        ]
        total += len(lines)
        found += sum(nearest(line, texts)[0] <= READ * len(line) for line in lines)
    return found, total
