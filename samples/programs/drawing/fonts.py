"""The fonts that posters are drawn with: Nanum, under the SIL Open Font Licence."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from samples.programs.drawing.style import HELD_OUT, TUNING
from tools.core.debian import unpack_debian

_SYSTEM = (Path("/usr/share/fonts/truetype/nanum"), Path("/usr/share/fonts/nanum"))
_NEEDED = {name for wardrobe in (TUNING, HELD_OUT) for pair in wardrobe.fonts for name in pair}


def find_fonts(home: Path) -> Path:
    """Returns a folder with the fonts, which apt downloads into `home / "fonts"` where there is none.

    Raises:
        SetupError: there are none, and no apt to get them with.
    """
    own = home / "fonts"
    for folder in (own, *_SYSTEM):
        if all((folder / name).is_file() for name in _NEEDED):
            return folder
    with tempfile.TemporaryDirectory() as scratch:
        unpack_debian(("fonts-nanum",), Path(scratch))
        own.mkdir(parents=True, exist_ok=True)
        for font in Path(scratch).rglob("*.ttf"):
            if font.name in _NEEDED:
                shutil.copyfile(font, own / font.name)
    return own
