"""The suites: which cases are run, and how often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.datasets.cases import DATASETS, PROFILES, Case

ADDED = DATASETS / "sessions.jsonl"
"""The cases that `eval add` made. They are a data set of their own, so that one more of them makes no
baseline of another suite void."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases of a data set, each run `repeats` times."""

    name: str
    what: str
    pick: Callable[[Sequence[Case]], list[Case]]
    repeats: int = 1
    dataset: Path = PROFILES


def quick(cases: Sequence[Case]) -> list[Case]:
    """Returns a case of each job family, preferring those that regenerate, the two languages in turn; and the
    first hostile case of each language: what CI runs."""
    picked: dict[str, Case] = {}
    families = dict.fromkeys(case.expect.family for case in cases if case.expect.family is not None)
    for number, family in enumerate(families):
        language = ("ko", "ko", "en")[number % 3]
        of_family = [case for case in cases if case.expect.family == family and "hostile" not in case.tags]
        best = min(of_family, key=lambda case: (case.inputs.language != language, not case.inputs.turns))
        picked[best.id] = best
    for language in ("ko", "en"):
        hostile = next(c for c in cases if "hostile" in c.tags and c.inputs.language == language)
        picked[hostile.id] = hostile
    return list(picked.values())


SUITES = {
    suite.name: suite
    for suite in (
        Suite("quick", "a case of each job family and two hostile ones; what CI runs", quick),
        Suite("full", "every case that was written for the project", list),
        Suite(
            "hostile", "cases that carry instructions to the model", lambda cases: _tagged(cases, "hostile")
        ),
        Suite("stability", "the quick cases, three times each", quick, repeats=3),
        Suite("added", "what `eval add` made of sessions and traces", list, dataset=ADDED),
    )
}
RETRIEVAL = "retrieval"
"""The suite that searches only, for the queries of `queries.jsonl`."""
GIVEN = "given"
"""The suite that searches postings and profiles of your own."""


def _tagged(cases: Sequence[Case], tag: str) -> list[Case]:
    return [case for case in cases if tag in case.tags]
