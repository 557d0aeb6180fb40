"""From which cosine two subjects are one, for an embedding model of which nobody has measured it.

It is guessed by sixteen pairs of subjects of which one knows (`novelty.yaml`): the threshold is the one that
tells them apart best. How near that comes for models that were measured: docs/decisions/0038.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import yaml

Pair = tuple[str, str]


def calibration_texts() -> list[str]:
    """Returns the texts of the pairs, each once."""
    return list(dict.fromkeys(text for pairs in _pairs().values() for pair in pairs for text in pair))


def calibrated(cosine: Callable[[str, str], float]) -> float:
    """Returns the threshold by the pairs.

    Args:
        cosine: of two texts of `calibration_texts`.
    """
    same, different = ([cosine(*pair) for pair in _pairs()[kind]] for kind in ("same", "different"))
    return best_threshold(same, different)


def best_threshold(same: Sequence[float], different: Sequence[float]) -> float:
    """Returns the cosine that tells `same` from `different` best: by the share on the right side, each kind
    counted for itself. Where several do as well, the middle one."""
    cosines = sorted({*same, *different})
    middles = [(low + high) / 2 for low, high in pairwise(cosines)] or cosines

    def right(threshold: float) -> float:
        caught = sum(cosine >= threshold for cosine in same) / len(same)
        return caught + sum(cosine < threshold for cosine in different) / len(different)

    best = max(map(right, middles))
    as_good = [middle for middle in middles if right(middle) == best]
    return as_good[len(as_good) // 2]


@cache
def _pairs() -> dict[str, list[Pair]]:
    written: dict[str, list[Any]] = yaml.load(
        (files("tools.llm") / "novelty.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return {kind: [(pair[0], pair[1]) for pair in pairs] for kind, pairs in written.items()}
