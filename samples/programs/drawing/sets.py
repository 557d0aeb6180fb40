"""Which posters there are: the thirty samples, and any number of random ones."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from random import Random

from samples.programs.drawing.posters import Poster, Posting, draw_poster
from samples.programs.drawing.style import TUNING, Layout, Rules, Wardrobe, random_style

SAMPLE_SEED = 2026
SAMPLES = 30
_MOST = 3
"""Positions on one poster."""
_LAYOUTS: tuple[Layout, ...] = ("table", "fields", "sections", "table", "columns", "fields", "table", "cards")
_RULES: tuple[Rules, ...] = (
    *("full", "horizontal", "full", "vertical", "full"),
    *("dashed", "full", "none", "full", "zebra", "full"),
)
"""About every other table has all its rules, as on real posters."""
_FOLDER = files("samples")


def sample_posters(fonts: Path) -> Iterator[Poster]:
    """The thirty sample posters."""
    return random_posters(SAMPLES, SAMPLE_SEED, TUNING, fonts)


def random_posters(count: int, seed: int, wardrobe: Wardrobe, fonts: Path) -> Iterator[Poster]:
    """Draws posters of companies and in styles that the seed chooses; every third has two images.

    Layouts and rules take turns, so that each combination comes up as often as any other.
    """
    random = Random(seed)  # noqa: S311 - no secret is made of it
    every = companies()
    random.shuffle(every)
    # English posters are one in six: shuffled apart, the two kinds are then woven together.
    korean = [c for c in every if not c[0]["company"].isascii()]
    english = [c for c in every if c[0]["company"].isascii()]
    for number in range(count):
        pool, turn = (english, number // 6) if number % 6 == 5 else (korean, number)  # noqa: PLR2004
        company = pool[turn % len(pool)]
        layout = _LAYOUTS[number % len(_LAYOUTS)]
        rules = _RULES[number % len(_RULES)]
        style = random_style(random, wardrobe, layout=layout, rules=rules)
        wanted = random.randint(2, _MOST) if layout == "table" else random.randint(1, 2)
        postings = company[:wanted]
        images = 2 if number % 3 == 2 else 1  # noqa: PLR2004
        yield draw_poster(postings, style, random, fonts, images=images)


def companies() -> list[list[Posting]]:
    """The sample postings by company, without second copies and without those written to attack."""
    truth = [json.loads(line) for line in (_FOLDER / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    passed_over = {row["source_id"] for row in truth if row["hostile"] or row["near_duplicate_of"]}
    companies: dict[str, list[Posting]] = defaultdict(list)
    for line in (_FOLDER / "postings.jsonl").read_text(encoding="utf-8").splitlines():
        posting = json.loads(line)
        if posting["source_id"] not in passed_over and posting["preferred"]:
            companies[posting["company"]].append(posting)
    return list(companies.values())
