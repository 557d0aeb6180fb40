"""From which cosine two subjects are one, for the embedding model of the settings:

    python -m evals.bench.novelty

The pairs are those of `novelty_pairs.jsonl` and `subject_pairs.jsonl` in `evals/datasets`. On one half
of each kind the cosine is taken that refuses 2 % of the pairs that are two subjects; what it refuses of
the other half is told, as the mean of 200 draws. What was found stands beside the model's name, in
`tools/llm`, and in docs/decisions/0038.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections import defaultdict
from importlib.resources import files
from statistics import mean, median
from typing import Annotated, Any

import typer

from local.servers import embedded_servers
from tools.core.settings import Settings
from tools.core.terminal import Terminal, exit_on_errors
from tools.llm.embeddings import BATCH, Embedder, similarity
from tools.llm.novelty import calibrated, calibration_texts, essence
from tools.llm.openai_client import open_http_client

FILES = ("novelty_pairs.jsonl", "subject_pairs.jsonl")
REFUSED_WRONGLY = 0.02
Kind = tuple[str, bool]
"""Language, and whether the pairs are one subject."""


def main(draws: Annotated[int, typer.Option(min=1, help="halves that are drawn")] = 200) -> None:
    """Measures and prints."""
    console = Terminal()
    with embedded_servers(Settings(), servers=("model",)) as settings:
        name, cosines, guess = asyncio.run(_cosines(settings))
    drawn = [_fit(cosines, random.Random(seed)) for seed in range(draws)]  # noqa: S311 - no secret
    console.print(f"{name}: {median(t for t, _ in drawn):.3f}; calibrated by 16 other pairs {guess:.3f}")
    for kind, pairs in cosines.items():
        said = "one" if kind[1] else "two"
        refused = mean(shares[kind] for _, shares in drawn)
        console.print(f"  {kind[0]}, {said}: {len(pairs)} pairs, of the other half refused {refused:.3f}")


async def _cosines(settings: Settings) -> tuple[str, dict[Kind, list[float]], float]:
    pairs: dict[Kind, list[tuple[str, str]]] = defaultdict(list)
    for file in FILES:
        for line in (files("evals.datasets") / file).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            pairs[row["language"], row["same"]].append((_essence(row["one"]), _essence(row["other"])))
    texts = {text for listed in pairs.values() for pair in listed for text in pair}
    wanted = [*texts, *calibration_texts()]
    async with open_http_client(settings) as http_client:
        embedder = Embedder(settings, http_client)
        made: list[str] = []
        for start in range(0, len(wanted), BATCH):
            made += await embedder.fingerprints(wanted[start : start + BATCH])
    of = dict(zip(wanted, made, strict=True))
    cosines = {k: [similarity(of[one], of[two]) for one, two in listed] for k, listed in pairs.items()}
    return embedder.model_name, cosines, calibrated(lambda one, two: similarity(of[one], of[two]))


def _essence(subject: dict[str, Any]) -> str:
    return essence(subject["title"], subject["description"])


def _fit(cosines: dict[Kind, list[float]], draw: random.Random) -> tuple[float, dict[Kind, float]]:
    """Returns the threshold of one half, and which share of each kind of the other half it refuses."""
    two: list[float] = []
    others: dict[Kind, list[float]] = {}
    for kind, all_of_kind in cosines.items():
        shuffled = draw.sample(all_of_kind, len(all_of_kind))
        half = len(shuffled) // 2
        others[kind] = shuffled[half:]
        if not kind[1]:
            two += shuffled[:half]
    place = math.ceil((1 - REFUSED_WRONGLY) * len(two)) - 1
    threshold = math.nextafter(sorted(two)[place], math.inf)
    return threshold, {kind: mean(c >= threshold for c in rest) for kind, rest in others.items()}


if __name__ == "__main__":
    with exit_on_errors():
        typer.run(main)
