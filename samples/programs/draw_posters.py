"""Draws job posters from the sample postings, with the truth about them:

    python -m samples.programs.draw_posters                                    # the samples, anew
    python -m samples.programs.draw_posters --random 30 --seed 4242 --held-out --into DIR
    python -m samples.programs.draw_posters --fonts                            # get the fonts, draw nothing

The sample posters are committed, so only who changes them needs this, and the fonts: Nanum (OFL), which apt
downloads into CHECKERBOARD_HOME where the system has none. The same fonts and the same Pillow give the same
bytes. Poster `p07` has the images `p07-1.webp` and, where it has two, `p07-2.webp`; `truth.ndjson` has a line
for each poster:

    {"name", "files", "source_ids", "positions", "skills", "pages": [{"lines", "tables"}]}

`positions` are the sample postings on it with their fields; `lines` the lines as the eye sees them, without
bullets, in reading order; `tables` are HTML.

Other programs call this one as a process: it ends with status 1 and one line on standard error where the
fonts cannot be had.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer

from samples.programs.drawing.fonts import find_fonts
from samples.programs.drawing.posters import Poster, Posting, draw_poster
from samples.programs.drawing.style import HELD_OUT, TUNING, Layout, Rules, Wardrobe, random_style
from tools.core.errors import SetupError
from tools.core.settings import Settings

_SAMPLES = Path(str(files("samples")))
POSTERS = _SAMPLES / "posters"
TRUTH = "truth.ndjson"
"""Not `.jsonl`: rows of that are postings to `ingest run`, which is given this folder."""
SAMPLE_SEED = 2026
SAMPLE_COUNT = 30
_LOSSLESS = 100
_MOST_POSITIONS = 3
_LAYOUTS: tuple[Layout, ...] = ("table", "fields", "sections", "table", "columns", "fields", "table", "cards")
_RULES: tuple[Rules, ...] = (
    *("full", "horizontal", "full", "vertical", "full"),
    *("dashed", "full", "none", "full", "zebra", "full"),
)
"""About every other table has all its rules, as on real posters."""


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
        wanted = random.randint(2, _MOST_POSITIONS) if layout == "table" else random.randint(1, 2)
        images = 2 if number % 3 == 2 else 1  # noqa: PLR2004
        yield draw_poster(company[:wanted], style, random, fonts, images=images)


def companies() -> list[list[Posting]]:
    """Returns the sample postings by company, without near-duplicates and hostile ones."""
    excluded = {
        row["source_id"]
        for row in _rows(_SAMPLES / "truth.jsonl")
        if row["hostile"] or row["near_duplicate_of"]
    }
    companies: dict[str, list[Posting]] = defaultdict(list)
    for posting in _rows(_SAMPLES / "postings.jsonl"):
        if posting["source_id"] not in excluded and posting["preferred"]:
            companies[posting["company"]].append(posting)
    return list(companies.values())


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_posters(posters: Iterable[Poster], folder: Path) -> list[dict[str, Any]]:
    """Writes images and `truth.ndjson`; returns the rows of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.webp"), *folder.glob(TRUTH)]:
        old.unlink()
    rows = []
    for number, poster in enumerate(posters, 1):
        name = f"p{number:02d}"
        names = [f"{name}-{page}.webp" for page in range(1, len(poster.pages) + 1)]
        for page, file in zip(poster.pages, names, strict=True):
            quality = poster.style.quality
            page.image.save(folder / file, "WEBP", quality=quality, lossless=quality == _LOSSLESS, method=6)
        rows.append({"name": name, "files": names, **poster.truth()})
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / TRUTH).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


def main(
    random: Annotated[int | None, typer.Option(min=1, help="so many random ones, not the samples")] = None,
    seed: Annotated[int, typer.Option(help="which random ones")] = SAMPLE_SEED,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="in fonts, colours and words that no sample has")
    ] = False,
    into: Annotated[
        Path, typer.Option(help="the folder that is written, emptied of posters first")
    ] = POSTERS,
    fonts_only: Annotated[bool, typer.Option("--fonts", help="get the fonts and draw nothing")] = False,
) -> None:
    """Draws the sample posters, or random ones."""
    if random and into == POSTERS:
        raise typer.BadParameter("random posters need a folder of their own: --into")
    try:
        fonts = find_fonts(Settings().home)
    except SetupError as error:
        sys.exit(str(error))
    if fonts_only:
        sys.stdout.write(f"The fonts are in {fonts}\n")
        return
    wardrobe = HELD_OUT if held_out else TUNING
    rows = write_posters(random_posters(random or SAMPLE_COUNT, seed, wardrobe, fonts), into)
    sys.stdout.write(f"{len(rows)} posters, {sum(len(row['files']) for row in rows)} images in {into}\n")


if __name__ == "__main__":
    typer.run(main)
