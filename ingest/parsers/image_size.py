"""The size of an image, read from its header alone: nothing is decoded, inflated or set aside for it,
whatever the file claims."""

from __future__ import annotations

import struct
from collections.abc import Callable

_NO_PICTURE = "it has no picture in it"


def image_size(content: bytes, kind: str) -> tuple[int, int]:
    """Returns (width, height) in pixels of a PNG, JPEG, GIF, BMP, TIFF or WEBP.

    Raises:
        ValueError: the header is broken.
    """
    try:
        width, height = _SIZES[kind](content)
    except struct.error as error:
        raise ValueError("it ends within its header") from error
    if width <= 0 or height <= 0:
        raise ValueError("it has no pixels")
    return width, height


def _png(content: bytes) -> tuple[int, int]:
    kind, width, height = struct.unpack_from(">4sII", content, 12)
    if kind != b"IHDR":
        raise ValueError("its header is not in its place")
    return width, height


def _gif(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", content, 6)
    return width, height


def _bmp(content: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", content, 14)
    if header == 12:  # noqa: PLR2004 - the header of OS/2 has short numbers
        width, height = struct.unpack_from("<HH", content, 18)
        return width, height
    width, height = struct.unpack_from("<ii", content, 18)
    # A bitmap that is written from the top down has a negative height.
    return width, abs(height)


def _jpeg(content: bytes) -> tuple[int, int]:
    place = 2
    while place < len(content):
        if content[place] != 0xFF:  # noqa: PLR2004 - every marker begins with it
            raise ValueError("its header breaks off")
        marker, length = struct.unpack_from(">xBH", content, place)
        if marker == 0xFF:  # noqa: PLR2004 - filling
            place += 1
        elif marker in (0x01, *range(0xD0, 0xD8)):
            place += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004 - a frame
            height, width = struct.unpack_from(">HH", content, place + 5)
            return width, height
        elif marker in (0xD9, 0xDA):
            break
        else:
            place += 2 + max(length, 2)
    raise ValueError(_NO_PICTURE)


def _tiff(content: bytes) -> tuple[int, int]:
    order = "<" if content[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", content, 4)
    (entries,) = struct.unpack_from(f"{order}H", content, directory)
    sizes = {256: 0, 257: 0}
    for number in range(entries):
        tag, kind = struct.unpack_from(f"{order}HH", content, directory + 2 + 12 * number)
        if tag in sizes:
            form = "H" if kind == 3 else "I"  # noqa: PLR2004 - a short number
            (sizes[tag],) = struct.unpack_from(f"{order}{form}", content, directory + 10 + 12 * number)
    return sizes[256], sizes[257]


def _webp(content: bytes) -> tuple[int, int]:
    (chunk,) = struct.unpack_from("4s", content, 12)
    if chunk == b"VP8X":
        wide, high = struct.unpack_from("3s3s", content, 24)
        return 1 + int.from_bytes(wide, "little"), 1 + int.from_bytes(high, "little")
    if chunk == b"VP8L":
        signature, bits = struct.unpack_from("<BI", content, 20)
        if signature == 0x2F:  # noqa: PLR2004 - the format's
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        signature, width, height = struct.unpack_from("<3sHH", content, 23)
        if signature == b"\x9d\x01\x2a":
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError(_NO_PICTURE)


_SIZES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "BMP": _bmp,
    "TIFF": _tiff,
    "WEBP": _webp,
}
