"""What an HTTP answer holds: its body, unpacked up to a limit, and how long to wait before the next try.

httpx unpacks each piece whole, and one encoding inside another: 2.6 kB of `gzip, gzip` become 3.3 GB in one
step. Here one encoding is unpacked, by the standard library.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import math
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

ACCEPTED = "gzip, deflate"
"""The header `Accept-Encoding`: the encodings that are unpacked."""


class TooLargeError(Exception):
    """The body is larger than it may be."""


async def body(response: httpx.Response, largest: int) -> bytes:
    """Returns the body of a streamed answer, which has at most `largest` bytes, packed or not.

    Raises:
        TooLargeError: it has more.
        httpx.DecodingError: its encoding is another than the header says, more than one, or one that was not
            accepted.
        httpx.RequestError: it breaks off.
    """
    encoding = _encoding(response)
    received = bytearray()
    async for piece in response.aiter_raw():
        received += piece
        if len(received) > largest:
            raise TooLargeError
    content = bytes(received)
    if encoding is not None and content:
        content = await asyncio.to_thread(_unpacked, content, encoding, largest + 1)
        if len(content) > largest:
            raise TooLargeError
    return content


def _encoding(response: httpx.Response) -> str | None:
    named = [word.strip().lower() for word in response.headers.get("content-encoding", "").split(",")]
    encodings = [word.removeprefix("x-") for word in named if word not in ("", "identity")]
    if not encodings:
        return None
    if encodings[1:] or encodings[0] not in ("gzip", "deflate"):
        raise httpx.DecodingError(f"packed as {', '.join(encodings)[:100]!r}, which was not asked for")
    return str(encodings[0])


def _unpacked(packed: bytes, encoding: str, at_most: int) -> bytes:
    """Returns the first `at_most` bytes of what is packed as gzip, of one member or several, or as deflate,
    with or without zlib's header."""
    try:
        if encoding == "gzip":
            return gzip.GzipFile(fileobj=io.BytesIO(packed)).read(at_most)
        head = packed[:2]
        has_header = head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head) % 31 == 0
        unpacker = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        content = unpacker.decompress(packed, at_most)
    except EOFError as error:
        raise httpx.DecodingError(f"{encoding} that breaks off") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise httpx.DecodingError(f"{encoding} that cannot be unpacked: {error}") from error
    if not unpacker.eof and len(content) < at_most:
        raise httpx.DecodingError(f"{encoding} that breaks off")
    return content


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of a `Retry-After` header, a number or a date; None where it is neither."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            wanted = parsedate_to_datetime(value)
        except ValueError:
            return None
        wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
        seconds = (wanted - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
