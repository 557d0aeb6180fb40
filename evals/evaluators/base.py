"""What an evaluator is, what it returns, and what is known of a metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from typing_extensions import TypedDict

_SHOWN = 5
"""Failures that a comment lists."""
_COMMENT = 160
"""Characters of one failure in a comment."""


class Score(TypedDict):
    """One figure of one case. `score` is None where the metric does not apply; means leave it out.
    `comment` says what failed, or why there is no score."""

    key: str
    score: float | None
    comment: str


class Evaluator(Protocol):
    """Reads one case and what was answered and scores it. Evaluators compute: call
    them in a thread."""

    def __call__(
        self, inputs: dict[str, Any], outputs: dict[str, Any], reference_outputs: dict[str, Any]
    ) -> list[Score]:
        """Returns every score of its group, in a fixed order."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a score means. `tolerance`, in the metric's own unit, is a fall too small to matter, whatever
    its significance. A gate watches the `guarded` ones."""

    better: Literal["higher", "lower"]
    what: str
    unit: str = "share"
    guarded: bool = False
    tolerance: float = 0.02


def absent(key: str, why: str) -> Score:
    """Returns a score for a metric that does not apply."""
    return Score(key=key, score=None, comment=why)


def number(key: str, value: float, comment: str = "") -> Score:
    """Returns a score that is a figure."""
    return Score(key=key, score=float(value), comment=comment)


def tally(key: str, checks: Iterable[tuple[bool, str]], *, none: str) -> Score:
    """Returns the share of `checks` (right or wrong, and what it is about) that are right; without any,
    no score, because of `none`."""
    listed = list(checks)
    if not listed:
        return absent(key, none)
    failed = [what for right, what in listed if not right]
    return number(key, 1 - len(failed) / len(listed), failures(failed))


def mean(key: str, parts: Sequence[tuple[float, str]], *, none: str) -> Score:
    """Returns the mean of `parts` (each 0 to 1, and what it is about); without any, no score."""
    if not parts:
        return absent(key, none)
    return number(
        key, sum(part for part, _ in parts) / len(parts), failures([what for part, what in parts if part < 1])
    )


def failures(failed: Sequence[str]) -> str:
    """Returns the first failures in one line."""
    shown = "; ".join(what[:_COMMENT] for what in failed[:_SHOWN])
    return f"{shown}; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else shown
