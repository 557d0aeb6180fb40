"""PDFs: the text they hold, and images of the pages that hold none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import TYPE_CHECKING

import orjson

from ingest.blocks import combine
from ingest.documents import Cost, Parsed, RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.lines import GAP, FlowItem, Line, build_blocks
from tools.core.text import one_line
from tools.core.worker_processes import WorkerEndedError, WorkerProcess

if TYPE_CHECKING:
    from ingest.parsers.pdf_worker import PageLine, PageText

PARSER = "pdf/1"
MAX_PAGES = 500  # longest document that is read
MAX_DRAWN_PAGES = 100
"""Most pages that are drawn for a parser that reads images only: it takes seconds a page."""
PAGE_SECONDS = 120.0  # how long the worker may take for one page, and for opening the file
_LARGER = 1.2  # times the usual height of a line, from which it is a heading
_FULL_LINE = 1.5  # heights between a line's end and the right edge, up to which the next line continues it

ParseImage = Callable[[RawFile], Awaitable[Parsed]]


class PdfReader:
    """Opens PDFs in processes of their own, at most one a core at a time."""

    def __init__(self, *, page_seconds: float = PAGE_SECONDS) -> None:
        self._page_seconds = page_seconds
        self._processes = asyncio.Semaphore(os.cpu_count() or 1)

    async def parse(self, file: RawFile, parse_image: ParseImage) -> Parsed:
        """Parses a PDF. What has no text layer is handed to `parse_image`: the whole file where no page
        has one, else page after page as PNG.

        Raises:
            DocumentUnreadableError: it is encrypted, broken or too long.
            Whatever `parse_image` raises.
        """
        pages = await self._read_text(file)
        scanned = [number for number, page in enumerate(pages) if page["is_scanned"]]
        if scanned and not any(page["lines"] for page in pages):
            return await parse_image(file)
        text = Parsed(blocks=build_blocks(_flow(pages)), parser=PARSER, cost=Cost(pages=len(pages)))
        return _by_page([text, *await self._parse_drawn(file, scanned, parse_image)])

    async def parse_as_images(self, file: RawFile, parse_image: ParseImage) -> Parsed:
        """Parses a PDF without its text: each page as PNG.

        Raises:
            DocumentUnreadableError: it has more than `MAX_DRAWN_PAGES` pages, or no page can be read.
            ParserUnavailableError: the parser does not answer.
        """
        pages = await self._read_text(file)
        scanned = [number for number, page in enumerate(pages) if page["is_scanned"]]
        if len(scanned) > MAX_DRAWN_PAGES:
            problem = f"has {len(scanned)} pages without text; as images at most {MAX_DRAWN_PAGES} are read"
            raise _unreadable(file, problem)
        return _by_page(await self._parse_drawn(file, scanned, parse_image))

    async def _read_text(self, file: RawFile) -> list[PageText]:
        async with self._open(file, "text") as receive:
            pages = orjson.loads(await receive())
            if pages > MAX_PAGES:
                raise _unreadable(file, f"has {pages} pages; at most {MAX_PAGES} are read")
            if not pages:
                raise _unreadable(file, "has no pages")
            return [orjson.loads(await receive()) for _ in range(pages)]

    async def _parse_drawn(
        self, file: RawFile, numbers: Sequence[int], parse_image: ParseImage
    ) -> list[Parsed]:
        """Returns what is read of images of the pages with these numbers (from 0)."""
        results: list[Parsed] = []
        if numbers:
            async with self._open(file, "render", *map(str, numbers)) as receive:
                for page in (number + 1 for number in numbers):
                    image = RawFile(f"{file.name}, page {page}", "image/png", await receive())
                    parsed = await parse_image(image)
                    blocks = [block.model_copy(update={"page": page}) for block in parsed.blocks]
                    results.append(parsed.model_copy(update={"blocks": blocks}))
        return results

    @asynccontextmanager
    async def _open(self, file: RawFile, *arguments: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """Opens a file in a worker; yields a function that returns the worker's next answer."""
        async with self._processes:
            worker = await WorkerProcess.start("ingest.parsers.pdf_worker", *arguments)
            sent = False

            async def receive() -> bytes:
                nonlocal sent
                try:
                    async with asyncio.timeout(self._page_seconds):
                        if not sent:
                            sent = True
                            await worker.send(file.content)
                        answer = await worker.receive()
                except TimeoutError as error:
                    problem = f"takes more than {self._page_seconds:g} seconds for a page"
                    raise _unreadable(file, problem) from error
                except WorkerEndedError as error:
                    problem = "is broken, or needs more than it is given: its reader ended with"
                    raise _unreadable(file, f"{problem} {await worker.stop()}") from error
                # The first byte tells results (R) from errors (E).
                if answer[:1] == b"E":
                    raise _unreadable(file, answer[1:].decode())
                return answer[1:]

            try:
                yield receive
            finally:
                await worker.stop()


def _by_page(results: Sequence[Parsed]) -> Parsed:
    """Returns results whose blocks have their page already as one."""
    blocks = sorted((block for parsed in results for block in parsed.blocks), key=lambda block: block.page)
    return combine(results).model_copy(update={"blocks": blocks})


def _flow(pages: Sequence[PageText]) -> Iterator[FlowItem]:
    """The lines of the pages; a line that runs into the right edge is continued by the next."""
    heights = [line["height"] for page in pages for line in page["lines"]]
    usual = median(heights) if heights else 0.0
    for number, page in enumerate(pages, 1):
        right = max((line["right"] for line in page["lines"]), default=0.0)
        joined: list[list[PageLine]] = []
        for line in page["lines"]:
            if joined and _continues(joined[-1][-1], line, right):
                joined[-1].append(line)
            else:
                joined.append([line])
        for lines in joined:
            if lines[0]["gap"]:
                yield GAP
            text = one_line(" ".join(line["text"] for line in lines))
            if text:
                strong = lines[-1]["bold"] or lines[-1]["height"] > _LARGER * usual
                yield Line(text, strong=strong, page=number)
        yield GAP


def _continues(before: PageLine, line: PageLine, right: float) -> bool:
    """Whether a line is the rest of the one before, which ran into the page's right edge."""
    full = (
        right - before["right"] < _FULL_LINE * before["height"]
        and before["right"] - before["left"] > right / 2
    )
    alike = abs(before["height"] - line["height"]) < 1 and before["bold"] == line["bold"]
    return full and alike and not line["gap"] and line["text"].lstrip()[:1].isalnum()


def _unreadable(file: RawFile, problem: str) -> DocumentUnreadableError:
    return DocumentUnreadableError(f"{file.name} {problem}.", file=file.name)
