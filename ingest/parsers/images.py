"""Images as services take them: as PNG, and cut into pieces that vision models read."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ingest.documents import RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.file_types import Kind

MAX_DECODED_PIXELS = 100_000_000  # largest image that is decoded in this process: 300 MB
LONG_SIDE, SHORT_SIDE = 2048, 768
"""Pixels up to which vision models read an image at its own size: those of OpenAI fit it into a square of
2,048 and then make its shorter side 768 (developers.openai.com, "Images and vision", November 2026)."""
OVERLAP = 96  # pixels that two pieces share where no blank row separates them: two lines of text
_EARLIEST_CUT = 0.6  # of a piece's largest height
_BLANK = 12  # grey levels by which the pixels of a blank row differ at most

BROKEN_IMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError),
    *(LookupError, struct.error, zlib.error, OverflowError),
)
"""What Pillow raises on broken images, by format."""

# Threads of a pool decode; each may need a few hundred megabytes, so few do at the same time.
_DECODING = threading.Semaphore(2)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an image over its whole width, as PNG. `overlaps`: its first rows are the last of the
    piece before."""

    png: bytes
    overlaps: bool


def as_png(file: RawFile) -> RawFile:
    """Returns an image as PNG: its first frame, upright, on white.

    Raises:
        DocumentUnreadableError: it is broken, or has more than `MAX_DECODED_PIXELS`.
    """
    with _DECODING:
        return RawFile(file.name, Kind.PNG.value, _png(_decode(file)))


def cut_into_pieces(file: RawFile) -> list[Piece]:
    """Cuts an image into pieces of at most `LONG_SIDE` by `SHORT_SIDE` pixels, at blank rows where
    there are any. A wider image is scaled down first.

    Raises:
        DocumentUnreadableError: as `as_png`.
    """
    with _DECODING:
        image = _decode(file)
        if image.width > LONG_SIDE:
            height = max(1, round(image.height * LONG_SIDE / image.width))
            image = image.resize((LONG_SIDE, height), Image.Resampling.LANCZOS)
        return [
            Piece(_png(image.crop((0, top, image.width, bottom))), overlaps)
            for top, bottom, overlaps in _piece_rows(image)
        ]


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image of any mode as RGB, on white where it is transparent."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        top = float(values.max(initial=1.0))
        # 16 bits in an image of any depth; a float image has its own scale.
        scale = 65535.0 if image.mode.startswith("I") and top > 255 else max(top, 255.0)  # noqa: PLR2004
        image = Image.fromarray((values * (255.0 / scale)).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return image.convert("RGB")


def _decode(file: RawFile) -> Image.Image:
    kind = Kind(file.media_type)
    # Not `Image.open`, which judges sizes by a limit of the whole process.
    Image.init()
    open_image, _ = Image.OPEN[kind.name]
    try:
        with open_image(io.BytesIO(file.content), "") as image:
            if image.width * image.height > MAX_DECODED_PIXELS:
                raise DocumentUnreadableError(
                    f"{file.name} has {image.width:,} × {image.height:,} pixels; at most "
                    f"{MAX_DECODED_PIXELS / 1e6:,.0f} million can be converted.",
                    file=file.name,
                )
            return to_rgb(ImageOps.exif_transpose(image))
    except BROKEN_IMAGE as error:
        raise DocumentUnreadableError(
            f"{file.name} is a broken {kind.name} image: {error}", file=file.name
        ) from error


def _piece_rows(image: Image.Image) -> list[tuple[int, int, bool]]:
    """Returns (top, bottom, whether it overlaps the one before) of each piece."""
    if image.height <= SHORT_SIDE or (image.width <= SHORT_SIDE and image.height <= LONG_SIDE):
        return [(0, image.height, False)]
    grey = np.asarray(image.convert("L"))
    blank = (grey.max(axis=1) - grey.min(axis=1)) <= _BLANK
    # A narrow image may have taller pieces: its shorter side is its width.
    tallest = LONG_SIDE if image.width <= SHORT_SIDE else SHORT_SIDE
    pieces, top, overlaps = [], 0, False
    while image.height - top > tallest:
        earliest = top + int(tallest * _EARLIEST_CUT)
        middle = _middle_of_last_gap(blank[earliest : top + tallest])
        bottom = top + tallest if middle is None else earliest + middle
        pieces.append((top, bottom, overlaps))
        overlaps = middle is None
        top = bottom - OVERLAP if overlaps else bottom
    return [*pieces, (top, image.height, overlaps)]


def _middle_of_last_gap(blank: npt.NDArray[np.bool_]) -> int | None:
    """The middle of the last run of blank rows."""
    rows = np.flatnonzero(blank)
    if not rows.size:
        return None
    breaks = np.flatnonzero(np.diff(rows) > 1)
    start = rows[breaks[-1] + 1] if breaks.size else rows[0]
    return int(start + rows[-1] + 1) // 2


def _png(image: Image.Image) -> bytes:
    png = io.BytesIO()
    image.save(png, "PNG", compress_level=1)
    return png.getvalue()
