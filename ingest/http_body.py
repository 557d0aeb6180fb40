"""The body of an HTTP answer, unpacked up to a limit.

httpx unpacks each piece whole, and one encoding inside another: 2.6 kB of `gzip, gzip` become 3.3 GB in one
step. Here one encoding is unpacked, in steps of 64 kB."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx

ACCEPTED = "gzip, deflate"
"""The header `Accept-Encoding`: the encodings that are unpacked."""
_STEP = 65_536
_GZIP, _ZLIB, _BARE = 31, 15, -15
"""The `wbits` of zlib for gzip, for zlib's own format, and for bare deflate."""
_HEAD = 2
"""Bytes of zlib's header."""


class TooLargeError(Exception):
    """The body is larger than it may be."""


async def body(response: httpx.Response, largest: int) -> bytes:
    """Returns the body of a streamed answer, which has at most `largest` bytes, packed or not.

    Raises:
        TooLargeError: it has more.
        httpx.DecodingError: its encoding is another than the header says, more than one, or one that was
            not accepted.
        httpx.RequestError: it breaks off.
    """
    content = bytearray()
    async for piece in _unpacked(response, largest):
        content += piece
        if len(content) > largest:
            raise TooLargeError
    return bytes(content)


async def _unpacked(response: httpx.Response, largest: int) -> AsyncIterator[bytes]:
    packing = _packing(response)
    unpacker = _Unpacker(packing) if packing else None
    received = 0
    async for raw in response.aiter_raw():
        received += len(raw)
        # An endless body that unpacks to nothing, too.
        if received > largest:
            raise TooLargeError
        if unpacker is None:
            yield raw
            continue
        try:
            for piece in unpacker.pieces(raw):
                yield piece
                await asyncio.sleep(0)
        except zlib.error as error:
            raise httpx.DecodingError(f"{packing} that cannot be unpacked: {error}") from error
    if unpacker is not None and not unpacker.whole:
        raise httpx.DecodingError(f"{packing} that breaks off")


def _packing(response: httpx.Response) -> str | None:
    named = [word.strip().lower() for word in response.headers.get("content-encoding", "").split(",")]
    packings = [word.removeprefix("x-") for word in named if word not in ("", "identity")]
    if not packings:
        return None
    if packings[1:] or packings[0] not in ("gzip", "deflate"):
        raise httpx.DecodingError(f"packed as {', '.join(packings)[:100]!r}, which was not asked for")
    return str(packings[0])


class _Unpacker:
    """Unpacks gzip, of one member or several, or deflate, with or without zlib's header."""

    def __init__(self, packing: str) -> None:
        self._gzip = packing == "gzip"
        self._zlib = zlib.decompressobj(_GZIP) if self._gzip else None
        self._head = b""

    @property
    def whole(self) -> bool:
        """Whether the body was complete. An answer without a body is."""
        return not self._head if self._zlib is None else self._zlib.eof or not self._head

    def pieces(self, raw: bytes) -> Iterator[bytes]:
        """Yields what `raw` unpacks to, in pieces of at most 64 kB.

        Raises:
            zlib.error: it is not packed so.
        """
        if len(self._head) < _HEAD:
            self._head += raw
            if self._zlib is None and len(self._head) >= _HEAD:
                self._zlib = zlib.decompressobj(_ZLIB if _has_header(self._head) else _BARE)
                raw = self._head
        if self._zlib is None:
            return
        while raw:
            # After the end comes another member of gzip, or padding.
            if self._zlib.eof:
                if not (self._gzip and raw.startswith(b"\x1f")):
                    return
                self._zlib = zlib.decompressobj(_GZIP)
            piece = self._zlib.decompress(raw, _STEP)
            raw = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            yield piece
        # The rest of the last piece.
        while not self._zlib.eof and (piece := self._zlib.decompress(b"", _STEP)):
            yield piece


def _has_header(head: bytes) -> bool:
    """Whether deflate begins with zlib's header, as it should."""
    return head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:_HEAD], "big") % 31 == 0
