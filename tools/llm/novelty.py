"""From which cosine two subjects are one, for an embedding model of which nobody has measured it.

It is guessed by sixteen pairs of subjects of which one knows (`novelty.yaml`). How near that comes for models
that were measured: docs/decisions/0038.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from statistics import median
from typing import Any

import yaml

Pair = tuple[str, str]
_SENTENCE_ENDS = re.compile(r"(?<=[.!?。])\s+|\n")
_SHORTEST_SENTENCE = 20
"""Characters. Less is no description of a project: "간단합니다." """


def essence(title: str, description: str) -> str:
    """Returns the text of a subject whose embedding is compared: its title, and the sentence that says what
    is built. What follows says mostly why, in words that all subjects for one person share; with it, a model
    that writes by a pattern says nothing new (docs/decisions/0038)."""
    ends = (found.start() for found in _SENTENCE_ENDS.finditer(description))
    end = next((end for end in ends if end >= _SHORTEST_SENTENCE), len(description))
    return f"{title}\n{description[:end]}"


def calibration_texts() -> list[str]:
    """Returns the texts of the pairs, each once."""
    return list(dict.fromkeys(text for pairs in _pairs().values() for pair in pairs for text in pair))


def calibrated(cosine: Callable[[str, str], float]) -> float:
    """Returns the threshold by the pairs: one that refuses half of those that are one project, and none of
    those that are two. One that is refused wrongly costs an answer, one that is let through is only seen.

    Args:
        cosine: of two texts of `calibration_texts`.
    """
    same, different = ([cosine(*pair) for pair in _pairs()[kind]] for kind in ("same", "different"))
    return max(median(same), math.nextafter(max(different), math.inf))


@cache
def _pairs() -> dict[str, list[Pair]]:
    written: dict[str, list[Any]] = yaml.load(
        (files("tools.llm") / "novelty.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return {kind: [(pair[0], pair[1]) for pair in pairs] for kind, pairs in written.items()}
