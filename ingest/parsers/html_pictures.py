"""The pictures of a page: where their addresses stand, and what the page itself holds of them.

Most sites load a picture when it is scrolled to, and show a dot until then. No address is asked for; what
an address holds (`data:`) is a picture like others, which is read like a file. SVG is a drawing and no
picture: it is counted and not opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ingest.documents import RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.data_urls import is_data_url, read_data_url
from ingest.parsers.image_size import image_size
from ingest.parsers.media import recognised

MOST_HELD = 20
"""Pictures of a page that are read: its first. A page that was saved whole holds all of its icons, too."""
SMALLEST = (100, 40)
"""Pixels: what is narrower or lower is an icon, or a dot that stands in for a picture until it is loaded."""
_ADDRESSES = ("data-src", "data-original", "data-lazy-src", "data-lazy", "src")
_SETS = ("data-srcset", "data-lazy-srcset", "srcset")
_PIXEL = 2


def addresses(attributes: Mapping[str, str]) -> list[str]:
    """Returns the addresses of a picture, or of one of the forms it comes in."""
    found = [attributes[name].strip() for name in _ADDRESSES if attributes.get(name)]
    for name in _SETS:
        found += _candidates(attributes.get(name, ""))
    return found


def held(found: Iterable[str]) -> str | None:
    """Returns the address among those of a picture that holds it; None where none does."""
    return max((url for url in found if is_data_url(url)), key=len, default=None)


def shown(found: Sequence[str]) -> str:
    """Returns the address among those of a picture that a reader of the page comes to see: what the page
    holds itself only stands in for one that is loaded. Empty where there is none."""
    return next((url for url in found if not is_data_url(url)), held(found) or "")


def is_pixel(attributes: Mapping[str, str]) -> bool:
    """Whether a picture says that it is a dot: such count visits."""
    sides = [attributes.get(name, "").strip().removesuffix("px") for name in ("width", "height")]
    return all(side.isdigit() and int(side[:6]) <= _PIXEL for side in sides)


def pictures_held(urls: Sequence[str | None], page: str) -> tuple[list[RawFile], list[str]]:
    """Returns the pictures that addresses hold, as files named after the page, and what is wrong with those
    that cannot be read. Those that are too small to be read are left out, SVG and what is beyond `MOST_HELD`.
    """
    files: list[RawFile] = []
    wrong: list[str] = []
    for number, url in enumerate(urls, 1):
        if url is None or len(files) == MOST_HELD:
            continue
        name = f"{page}, picture {number}"
        data = read_data_url(url)
        if data is None:
            wrong.append(f"{name} is broken.")
            continue
        if "svg" in data.media_type:
            continue
        try:
            known = recognised(RawFile(name, data.media_type, data.content))
        except DocumentUnreadableError as error:
            wrong.append(error.message)
            continue
        if not known.kind.is_image:
            wrong.append(f"{name} is no picture.")
            continue
        width, height = image_size(data.content, known.kind.name)
        if width >= SMALLEST[0] and height >= SMALLEST[1]:
            files.append(RawFile(name, known.kind.value, data.content))
    return files, wrong


def _candidates(sources: str) -> list[str]:
    """The addresses of a `srcset`: each ends at white space, for commas are part of it, too."""
    parts = sources.split()
    return [part.strip(",") for part in parts if not part.rstrip(",")[:-1].replace(".", "", 1).isdigit()]
