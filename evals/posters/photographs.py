"""Photographs of posters: Chromium lays a page out, Pillow saves it as WebP."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from evals.bench.parser_scores import TRUTH
from evals.posters.chromium import FLAGS, find_chromium
from evals.posters.page import LAYOUTS, Look, Page, varied_postings
from tools.core.debian import unpack_debian
from tools.core.errors import SetupError

FONT_PACKAGES = ("fonts-nanum", "fonts-noto-cjk", "fonts-unfonts-core", "fonts-baekmuk")
"""Debian packages of Korean fonts."""
_TALLEST = 8_000
"""Pixels of the window; a poster is cut to what is written on it."""
_SECONDS = 120.0
"""For one photograph on a busy machine; it takes two."""
_FONT_SUFFIXES = (".ttf", ".ttc", ".otf")


def write_photographs(count: int, seed: int, folder: Path, home: Path) -> None:
    """Photographs `count` posters, in texts and looks that `seed` chooses, layouts in turn, and writes the
    truth beside them as `samples.programs.draw_posters` does, with the `layout` of each.

    Raises:
        SetupError: there is no Chromium, or there are no fonts; the message says what to do.
    """
    browser = find_chromium()
    fonts = find_browser_fonts(home)
    random = Random(seed)  # noqa: S311 - no secret is made of it
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, postings in enumerate(varied_postings(count, seed)):
        look = Look(random, LAYOUTS[number % len(LAYOUTS)])
        page = Page(postings, look, random)
        name = f"c{number + 1:02d}.webp"
        image = photograph(page.html, look.width + 4 * look.padding, browser, fonts)
        image.save(folder / name, "WEBP", quality=look.quality, method=4)
        row = {
            "files": [name],
            "layout": look.layout,
            "look": f"{look.font}, {look.size} px, leading {look.leading}, quality {look.quality}",
            "positions": postings,
            "pages": [{"lines": page.lines, "tables": page.tables}],
        }
        rows.append(json.dumps(row, ensure_ascii=False))
    (folder / TRUTH).write_text("\n".join(rows) + "\n", encoding="utf-8")


def photograph(html: str, width: int, browser: Path, fonts: Path) -> Image.Image:
    """Returns what a browser with these fonts shows of a page that asks for nothing else."""
    with tempfile.TemporaryDirectory() as scratch:
        page, picture = Path(scratch, "page.html"), Path(scratch, "page.png")
        page.write_text(html, encoding="utf-8")
        config = Path(scratch, "fonts.conf")
        places = f"<dir>{fonts}</dir><cachedir>{fonts / 'cache'}</cachedir>"
        config.write_text(f"<fontconfig>{places}</fontconfig>", encoding="utf-8")
        command = [
            *(str(browser), *FLAGS, "--hide-scrollbars", f"--user-data-dir={scratch}/profile"),
            *(f"--window-size={width},{_TALLEST}", f"--screenshot={picture}", page.as_uri()),
        ]
        try:
            subprocess.run(  # noqa: S603 - the command is ours
                command,
                env={**os.environ, "FONTCONFIG_FILE": str(config)},
                capture_output=True,
                timeout=_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SetupError(f"Chromium ({browser}) photographed nothing: {error}") from error
        return _cut(Image.open(io.BytesIO(picture.read_bytes())).convert("RGB"))


def _cut(image: Image.Image) -> Image.Image:
    """The image without the empty page below what is written."""
    pixels = np.asarray(image)
    written = np.flatnonzero((pixels != pixels[-1, 0]).any(axis=(1, 2)))
    margin = 40
    return image.crop((0, 0, image.width, min(image.height, int(written[-1]) + margin)))


def find_browser_fonts(home: Path) -> Path:
    """Returns the folder of the fonts, which apt downloads into `home / "browser-fonts"` the first time."""
    own = home / "browser-fonts"
    if not own.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            unpacked = Path(scratch, "packages")
            unpacked.mkdir()
            unpack_debian(FONT_PACKAGES, unpacked)
            fonts = Path(scratch, "fonts")
            fonts.mkdir()
            for font in _fonts_in(unpacked):
                shutil.move(font, fonts / font.name)
            # Renamed into place, so that an interrupted run leaves no half of them behind.
            fonts.rename(own)
    return own


def _fonts_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix in _FONT_SUFFIXES and not path.is_symlink())
