"""The process that reads images: `python -m ingest.parsers.local.worker TESSDATA`.

Frames on standard input and output, each behind its length in four bytes: an image in, JSON out. It
ends when its input ends, so it never outlives who started it by more than one image.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, Any

import cv2
import orjson

from ingest.errors import DocumentUnreadableError
from ingest.parsers.local.decode import decode, slices
from ingest.parsers.local.ocr import Engines
from ingest.parsers.local.page import PageReader
from ingest.parsers.local.reader import LineReader

LENGTH = 4
"""Bytes of a frame's length, big end first."""
READY = b"ready"


def main() -> None:
    """Serves until standard input ends."""
    # What a library prints must not run into the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    cv2.setNumThreads(1)
    reader = PageReader(LineReader(Engines(Path(sys.argv[1]))))
    _write(answers, READY)
    while (image := _read(sys.stdin.buffer)) is not None:
        _write(answers, orjson.dumps(_answer(reader, image)))


def _answer(reader: PageReader, image: bytes) -> dict[str, Any]:
    try:
        pixels = decode(image)
    except DocumentUnreadableError as error:
        return {"error": error.message}
    blocks: list[dict[str, Any]] = []
    unread = 0
    for piece in slices(pixels):
        page = reader.read(piece)
        blocks += [block.model_dump() for block in page.blocks]
        unread += page.unread
    return {"blocks": blocks, "unread": unread}


def _read(stream: IO[bytes]) -> bytes | None:
    head = stream.read(LENGTH)
    if len(head) < LENGTH:
        return None
    size = int.from_bytes(head, "big")
    body = stream.read(size)
    return body if len(body) == size else None


def _write(stream: IO[bytes], body: bytes) -> None:
    stream.write(len(body).to_bytes(LENGTH, "big") + body)
    stream.flush()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        # Who started it has gone: there is nobody left to answer.
        os._exit(1)
