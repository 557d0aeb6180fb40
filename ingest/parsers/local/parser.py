"""The parser that needs no key and no network: Tesseract's models on lines that our own layout finds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import TypeAdapter

from ingest.documents import Block, Cost, Parsed, RawFile, Table
from ingest.errors import DocumentUnreadableError
from ingest.parsers.local.pool import Pool
from ingest.parsers.tessdata import find_tessdata
from tools.core.settings import Settings

VERSION = "2"
"""Raised when what is read of the same image changes."""
LIMIT_SECONDS = 120.0
"""For one image; a poster of usual size takes one to three."""
_BLOCKS = TypeAdapter(list[Block])


class LocalParser:
    """Reads one image at a time per core, in processes of their own."""

    name = "local"

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[LocalParser]:
        """Yields a parser; its processes start with the first image and end with the context.

        Raises:
            SetupError: Tesseract's library or data is missing; the message says how to get it.
        """
        async with cls.with_data(find_tessdata(settings), size=settings.parser_processes) as parser:
            yield parser

    @classmethod
    @asynccontextmanager
    async def with_data(
        cls, tessdata: Path, *, size: int | None = None, limit_seconds: float = LIMIT_SECONDS
    ) -> AsyncIterator[LocalParser]:
        """Yields a parser with the data in a folder, on as many processes as there are cores."""
        pool = Pool(tessdata, size or _cores(), limit_seconds)
        try:
            yield cls(pool)
        finally:
            await pool.close()

    @property
    def pids(self) -> list[int]:
        """The reading processes that are alive now."""
        return self._pool.pids

    async def parse(self, file: RawFile) -> Parsed:
        """Reads one image: PNG, JPEG, WebP, GIF, BMP or TIFF, whatever its name says.

        Raises:
            DocumentUnreadableError: it is no image, is broken, too large, or takes too long.
            ParserUnavailableError: no reading process could be started.
        """
        answer = await self._pool.read(file.content)
        if "error" in answer:
            raise DocumentUnreadableError(answer["error"])
        blocks = _BLOCKS.validate_python(answer["blocks"])
        unread = answer["unread"]
        warnings = [f"{unread} {'boxes' if unread > 1 else 'box'} with ink and no text"] if unread else []
        return Parsed(
            blocks=blocks,
            parser=f"{self.name}/{VERSION}",
            confidence=_confidence(blocks),
            warnings=warnings,
            cost=Cost(pages=1),
        )


def _confidence(blocks: list[Block]) -> float | None:
    """Mean over blocks, weighted by the length of their text."""
    weighted = [(block.confidence, _length(block)) for block in blocks if block.confidence is not None]
    total = sum(length for _, length in weighted)
    return sum(confidence * length for confidence, length in weighted) / total if total else None


def _length(block: Block) -> int:
    if isinstance(block, Table):
        return sum(len(cell.text) for row in block.rows for cell in row)
    return len(block.text)


def _cores() -> int:
    # A container may be given fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
