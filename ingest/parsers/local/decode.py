"""From the bytes of an image to its pixels, however it was saved."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from ingest.errors import DocumentUnreadableError

Pixels = npt.NDArray[np.uint8]
"""Height × width × 3, red, green, blue."""

FORMATS = ("WEBP", "PNG", "JPEG", "GIF", "BMP", "TIFF")
MAX_PIXELS = 60_000_000
"""Largest image that is read: a poster 1,000 pixels wide may be 60,000 tall. 180 MB when decoded."""
_WIDEST = 2400
"""Pixels; a wider image is a photograph or a scan at 300 dpi, and is made smaller."""
_READING_WIDTH = 1700
_SLICE = 4000
"""Pixels after which a tall image is cut at the next row without a mark on it."""
_FLAT = 12
"""Grey levels by which the pixels of a row without a mark on it differ."""


def decode(content: bytes) -> Pixels:
    """Returns the first frame, upright, on white where it is transparent.

    Raises:
        DocumentUnreadableError: the bytes are no image that can be read, or one with too many pixels.
    """
    # The limit below is stricter than Pillow's own, and is looked at before a pixel is decoded.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DocumentUnreadableError(
                    f"The image has {width:,} × {height:,} pixels, {width * height / 1e6:,.0f} million; "
                    f"at most {MAX_PIXELS / 1e6:,.0f} million are read. Make it smaller or cut it up."
                )
            image.seek(0)
            image.load()
            pixels = np.asarray(_flat(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise DocumentUnreadableError(
            "The file is not an image that can be read: PNG, JPEG, WebP, GIF, BMP and TIFF are."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        # What Pillow's decoders raise on broken files.
        raise DocumentUnreadableError(f"The image is broken: {error}") from error
    return _narrowed(pixels)


def slices(pixels: Pixels) -> Iterator[Pixels]:
    """Cuts a tall image into pieces that are laid out in little memory, without the empty ones.

    Cuts only where a row has one colour from edge to edge, so never through a line of text or a
    table; where there is no such row, the piece is as tall as it has to be.
    """
    marked = _marked_rows(pixels)
    empty = np.flatnonzero(~marked)
    height = len(marked)
    top = 0
    while top < height:
        bottom = height
        if height - top > _SLICE * 3 // 2:
            below = empty[np.searchsorted(empty, top + _SLICE) :]
            bottom = int(below[0]) if below.size else height
        if marked[top:bottom].any():
            yield pixels[top:bottom]
        top = bottom


def _marked_rows(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Whether each row has more than one colour."""
    marked = np.zeros(pixels.shape[0], dtype=np.bool_)
    for start in range(0, len(marked), _SLICE):
        rows = pixels[start : start + _SLICE].astype(np.int16)
        marked[start : start + _SLICE] = (rows.max(axis=1) - rows.min(axis=1)).max(axis=1) > _FLAT
    return marked


def _flat(image: Image.Image) -> Image.Image:
    """Any mode to RGB: palettes, 16 bits a channel, CMYK, transparency."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        top = float(values.max(initial=1.0))
        # 16 bits in an image of any depth; a float image has its own scale.
        scale = 65535.0 if image.mode.startswith("I") and top > 255 else max(top, 255.0)  # noqa: PLR2004
        image = Image.fromarray((values * (255.0 / scale)).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        paper = Image.new("RGBA", layered.size, "white")
        image = Image.alpha_composite(paper, layered)
    return image.convert("RGB")


def _narrowed(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    if width <= _WIDEST:
        return pixels
    size = (_READING_WIDTH, max(1, round(height * _READING_WIDTH / width)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
