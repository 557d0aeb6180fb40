"""Draws the sample posters into `posters/` beside this file, with the truth about them:

    python -m samples.programs.draw_posters

They are committed, so only who changes them needs this, and the fonts: Nanum (OFL), which apt downloads
into CHECKERBOARD_HOME where the system has none. The same fonts and the same Pillow give
the same bytes. Poster `p07` has the images `p07-1.webp` and, where it has two, `p07-2.webp`; `truth.ndjson`
has a line for each poster:

    {"name", "files", "source_ids", "positions", "skills", "pages": [{"lines", "tables"}]}

`positions` are the sample postings on it with their fields; `lines` the lines as the eye sees them,
without bullets, in reading order; `tables` are HTML.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from samples.programs.drawing.fonts import find_fonts
from samples.programs.drawing.posters import Poster
from samples.programs.drawing.sets import sample_posters
from tools.core.errors import SetupError
from tools.core.settings import Settings

HERE = Path(__file__).resolve().parents[1] / "posters"
TRUTH = "truth.ndjson"
"""Not `.jsonl`: rows of that are postings to `ingest run`, which is given this folder."""
_LOSSLESS = 100


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


def main() -> None:
    """Draws them anew."""
    try:
        fonts = find_fonts(Settings().home)
    except SetupError as error:
        sys.exit(str(error))
    rows = write_posters(sample_posters(fonts), HERE)
    sys.stdout.write(f"{len(rows)} posters, {sum(len(row['files']) for row in rows)} images in {HERE}\n")


if __name__ == "__main__":
    main()
