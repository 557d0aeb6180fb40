"""PDFs: the text they hold, and pictures of the pages that hold none."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import orjson

from ingest.documents import Cost, Parsed, RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.assemble import assemble
from ingest.parsers.flow import GAP, Flow, Line, folded
from ingest.parsers.merging import joined
from ingest.parsers.parser import Parser
from tools.core.processes import bare

logger = logging.getLogger(__name__)

PARSER = "pdf/1"
MAX_PAGES = 500
"""Longest document that is read."""
MAX_DRAWN_PAGES = 100
"""Most pages that are drawn for a parser that reads pictures only: it takes seconds a page."""
PAGE_SECONDS = 120.0
"""How long the worker may take for one page, and for opening the file."""
_LARGEST_FRAME = 400_000_000
_LARGER = 1.2
"""Times the usual height of a line from which it is a heading."""
_FULL_LINE = 1.5
"""A line that ends within so many of its heights of the right edge goes on in the next."""
_HEADER = struct.Struct(">cQ")


class PdfReader:
    """Opens PDFs in processes of their own, at most one a core at a time."""

    def __init__(self, *, page_seconds: float = PAGE_SECONDS) -> None:
        self._page_seconds = page_seconds
        self._processes = asyncio.Semaphore(os.cpu_count() or 1)

    async def read(self, file: RawFile, look: Callable[[RawFile], Awaitable[Parsed]]) -> Parsed:
        """Reads a PDF. What has no text layer is handed to `look`: the whole file where no page has
        one, else page after page as PNG.

        Raises:
            DocumentUnreadableError: it is encrypted, broken or too long.
            Whatever `look` raises.
        """
        pages = await self._text(file)
        looked_at = [number for number, page in enumerate(pages) if page["look"]]
        if looked_at and not any(page["lines"] for page in pages):
            return await look(file)
        read = {0: Parsed(blocks=assemble(_flow(pages)), parser=PARSER, cost=Cost(pages=len(pages)))}
        if looked_at:
            async with self._drawn(file, looked_at) as drawn:
                async for number, image in drawn:
                    read[number + 1] = _on_page(await look(image), number + 1)
        merged = joined([read[number] for number in sorted(read)])
        blocks = [block for number in sorted(read) for block in read[number].blocks]
        return merged.model_copy(update={"blocks": sorted(blocks, key=lambda block: block.page)})

    async def by_page(self, file: RawFile, parser: Parser) -> Parsed:
        """Reads a PDF with a parser that reads pictures only: each page as PNG.

        Raises:
            DocumentUnreadableError: it has more than `MAX_DRAWN_PAGES` pages, or no page can be read.
            ParserUnavailableError: the parser does not answer.
        """
        pages = await self._text(file)
        numbers = [number for number, page in enumerate(pages) if page["look"]]
        if len(numbers) > MAX_DRAWN_PAGES:
            raise DocumentUnreadableError(
                f"{file.name} has {len(numbers)} pages without text; the parser {parser.name} reads at most "
                f"{MAX_DRAWN_PAGES}.",
                file=file.name,
            )
        read: list[Parsed] = []
        async with self._drawn(file, numbers) as drawn:
            async for number, image in drawn:
                read.append(_on_page(await parser.parse(image), number + 1))
        return joined(read).model_copy(
            update={"blocks": [block for parsed in read for block in parsed.blocks]}
        )

    async def _text(self, file: RawFile) -> list[Any]:
        pages: list[Any] = []
        async with self._worker(file, "text") as frames:
            async for kind, content in frames:
                if kind == b"N":
                    _check_length(file, orjson.loads(content))
                else:
                    pages.append(orjson.loads(content))
        return pages

    @asynccontextmanager
    async def _drawn(
        self, file: RawFile, numbers: Sequence[int]
    ) -> AsyncIterator[AsyncIterator[tuple[int, RawFile]]]:
        async def images(frames: AsyncIterator[tuple[bytes, bytes]]) -> AsyncIterator[tuple[int, RawFile]]:
            left = iter(numbers)
            async for kind, content in frames:
                if kind == b"P":
                    number = next(left)
                    yield number, RawFile(f"{file.name}, page {number + 1}", "image/png", content)

        async with self._worker(file, "render", *map(str, numbers)) as frames:
            yield images(frames)

    @asynccontextmanager
    async def _worker(
        self, file: RawFile, *arguments: str
    ) -> AsyncIterator[AsyncIterator[tuple[bytes, bytes]]]:
        """Yields the frames of a worker; ends it, whatever happens."""
        async with self._processes:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ingest.parsers.pdf_worker",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=bare(),
            )
            feeding = asyncio.create_task(_feed(process, file.content))
            try:
                yield self._frames(file, process)
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
                if process.returncode is None:
                    process.kill()
                await process.wait()

    async def _frames(
        self, file: RawFile, process: asyncio.subprocess.Process
    ) -> AsyncIterator[tuple[bytes, bytes]]:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        while True:
            try:
                async with asyncio.timeout(self._page_seconds):
                    header = await process.stdout.read(1)
                    if not header:
                        break
                    kind, length = _HEADER.unpack(header + await process.stdout.readexactly(_HEADER.size - 1))
                    if length > _LARGEST_FRAME:
                        break
                    content = await process.stdout.readexactly(length)
            except TimeoutError as error:
                raise _unreadable(
                    file, f"takes more than {self._page_seconds:g} seconds for a page"
                ) from error
            except asyncio.IncompleteReadError:
                break
            if kind == b"E":
                raise _unreadable(file, content.decode())
            yield kind, content
        if await process.wait():
            raise _unreadable(
                file, f"is broken, or needs more than it is given: its reader ended with {process.returncode}"
            )


async def _feed(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    try:
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        # The worker has ended; what it said or its exit code tells why.
        logger.debug("the PDF worker ended before it had read the file")


def _flow(pages: Sequence[Any]) -> Iterator[Flow]:
    heights = [line["height"] for page in pages for line in page["lines"]]
    usual = median(heights) if heights else 0.0
    for number, page in enumerate(pages, 1):
        right = max((line["right"] for line in page["lines"]), default=0.0)
        text, before = "", None
        for line in page["lines"]:
            if before is not None and _goes_on(before, line, right):
                text = f"{text} {line['text']}"
            else:
                yield from _written(text, before, usual, number)
                text = line["text"]
                if line["gap"]:
                    yield GAP
            before = line
        yield from _written(text, before, usual, number)
        yield GAP


def _written(text: str, line: Any, usual: float, page: int) -> Iterator[Line]:
    written = folded(text)
    if line is not None and written:
        strong = line["bold"] or line["height"] > _LARGER * usual
        yield Line(written, strong=strong, page=page)


def _goes_on(before: Any, line: Any, right: float) -> bool:
    """Whether a line is the rest of the one before, which ran into the page's right edge."""
    full = (
        right - before["right"] < _FULL_LINE * before["height"]
        and before["right"] - before["left"] > right / 2
    )
    alike = abs(before["height"] - line["height"]) < 1 and before["bold"] == line["bold"]
    return full and alike and not line["gap"] and line["text"].lstrip()[:1].isalnum()


def _on_page(parsed: Parsed, page: int) -> Parsed:
    return parsed.model_copy(
        update={"blocks": [block.model_copy(update={"page": page}) for block in parsed.blocks]}
    )


def _check_length(file: RawFile, pages: int) -> None:
    if pages > MAX_PAGES:
        raise _unreadable(file, f"has {pages} pages; at most {MAX_PAGES} are read")
    if not pages:
        raise _unreadable(file, "has no pages")


def _unreadable(file: RawFile, what: str) -> DocumentUnreadableError:
    return DocumentUnreadableError(f"{file.name} {what}.", file=file.name)
