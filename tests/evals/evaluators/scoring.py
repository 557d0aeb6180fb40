"""Scores of the good case and of what a test makes of it."""

from __future__ import annotations

from typing import Any

from evals.evaluators import ALL
from tests.evals.evaluators.good import outputs
from tests.evals.evaluators.person import EXPECT, INPUTS

Json = dict[str, Any]


def scores(changed: Json, expect: Json = EXPECT, inputs: Json = INPUTS) -> dict[str, float | None]:
    """Every evaluator's scores by key."""
    return {s["key"]: s["score"] for evaluate in ALL for s in evaluate(inputs, changed, expect)}


GOOD = scores(outputs())


def first(changed: Json) -> Json:
    """The first answer."""
    answer: Json = changed["answers"][0]
    return answer


def later(changed: Json) -> Json:
    """The answer of the regeneration."""
    answer: Json = changed["answers"][1]
    return answer


def both(changed: Json) -> list[Json]:
    """All answers."""
    listed: list[Json] = changed["answers"]
    return listed
