"""What stands on the browser's posters: the sample postings, their lines mixed and made longer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from random import Random

from samples.programs.drawing.sets import companies

from evals.posters.page import Posting

_FIELDS = ("responsibilities", "requirements", "preferred")
_ENGLISH_EVERY = 7
"""Not as many as there are layouts, so that English comes up in each of them."""
_MOST = 3
"""Positions on one poster."""
_FEWEST_LINES, _MOST_LINES = 2, 5
_LONG = 0.35
"""Share of lines that are two of the samples' in one: on a real poster more lines wrap than not."""


def varied_postings(count: int, seed: int) -> Iterator[list[Posting]]:
    """Yields what stands on `count` posters: companies with one to three positions each."""
    random = Random(seed)  # noqa: S311 - no secret is made of it
    every = companies()
    random.shuffle(every)
    english = [company for company in every if company[0]["company"].isascii()]
    korean = [company for company in every if not company[0]["company"].isascii()]
    for number in range(count):
        pool = english if number % _ENGLISH_EVERY == _ENGLISH_EVERY - 1 else korean
        company = pool[number % len(pool)]
        lines = {name: [line for one in chain(*pool) for line in one[name].split("\n")] for name in _FIELDS}
        positions = company[: random.randint(1, _MOST)]
        yield [_varied(position, lines, random) for position in positions]


def _varied(posting: Posting, lines: dict[str, list[str]], random: Random) -> Posting:
    mixed = {}
    for name in _FIELDS:
        own = posting[name].split("\n")
        wanted = random.randint(_FEWEST_LINES, _MOST_LINES)
        chosen = [*own[: wanted // 2], *random.sample(lines[name], wanted - min(wanted // 2, len(own)))]
        mixed[name] = "\n".join(_line(text, random.choice(lines[name]), random) for text in chosen)
    return {**posting, **mixed}


def _line(text: str, other: str, random: Random) -> str:
    longer = f"{text}, {other}" if random.random() < _LONG else text
    return re.sub(r"(\d+)(?=년|\+? years)", lambda _: str(random.randint(1, 12)), longer)
