"""A document's files, each by its kind, to one Parsed; images by the parsers in the order of the setting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ingest.documents import Cost, Parsed, RawFile
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.available import ParserState, open_parser
from ingest.parsers.html import parse_page, with_unread
from ingest.parsers.media import Kind, recognised
from ingest.parsers.merging import LOW_CONFIDENCE, confidence_of, joined, with_cost
from ingest.parsers.parser import Parser
from ingest.parsers.pdf import PdfReader
from ingest.parsers.text import parse_text
from ingest.parsers.upstage.api import LIMITS, Limits
from tools.core.logs import cause
from tools.core.settings import Settings
from tools.llm.journal import ResponseJournal

logger = logging.getLogger(__name__)


class Parsers:
    """Reads documents. `parsers` are those that read images, in the order in which they are asked;
    `states` tells of them all, and of those that are passed over."""

    def __init__(
        self, parsers: Sequence[Parser], states: Sequence[ParserState], pdf: PdfReader, *, confidence: float
    ) -> None:
        self._parsers = parsers
        self._states = states
        self._pdf = pdf
        self._confidence = confidence

    def describe(self) -> list[ParserState]:
        """Returns what there is to say of each parser of the setting, in its order."""
        return list(self._states)

    async def read(self, files: Sequence[RawFile]) -> Parsed:
        """Reads the files of one document; their pages are numbered through.

        A file that cannot be read is passed over with a warning where another can. Rows of JSON are
        not read here.

        Raises:
            DocumentUnreadableError: none of the files can be read, nothing is written in them, or no
                parser of images is set up. `cost` is what it cost to find out.
            ParserUnavailableError: no parser that could read a file answers; with `fatal` one
                will not before a person has put its key right.
        """
        read: list[Parsed] = []
        failed: list[DocumentUnreadableError] = []
        for file in files:
            try:
                read.append(await self._file(file))
            except DocumentUnreadableError as error:
                failed.append(error)
        wasted = _cost(failed)
        if not any(parsed.blocks for parsed in read):
            raise _unreadable(failed, sum((parsed.cost for parsed in read), wasted))
        document = joined(read)
        warnings = [*document.warnings, *(f"not read: {error.message}" for error in failed)]
        return with_cost(document.model_copy(update={"warnings": warnings}), wasted)

    async def _file(self, file: RawFile) -> Parsed:
        known = await asyncio.to_thread(recognised, file)
        if known.kind.is_image:
            return await self._looked_at(_named(file, known.kind))
        if known.kind is Kind.PDF:
            return await self._pdf.read(_named(file, known.kind), self._looked_at)
        if known.kind is Kind.JSON:
            raise DocumentUnreadableError(f"{file.name} is JSON and no page.", file=file.name)
        if known.kind is Kind.HTML:
            return await self._page(file, known.text)
        return await asyncio.to_thread(parse_text, known.text)

    async def _page(self, file: RawFile, text: str) -> Parsed:
        """Reads a page and the pictures that it holds; what these say comes after what is written."""
        page = await asyncio.to_thread(parse_page, text, file.name)
        read, failed = [page.parsed], list[DocumentUnreadableError]()
        for picture in page.pictures if self._parsers else ():
            try:
                read.append(await self._looked_at(picture))
            except DocumentUnreadableError as error:
                failed.append(error)
        if not any(parsed.blocks for parsed in read) and page.pictures:
            if not self._parsers:
                raise self._no_parser(file)
            raise _unreadable(failed, sum((parsed.cost for parsed in read), _cost(failed)))
        read[0] = with_unread(page.parsed, page.others + len(page.pictures) - len(read) + 1)
        whole = with_cost(joined(read), _cost(failed))
        warnings = [*whole.warnings, *(f"not read: {error.message}" for error in failed)]
        return whole.model_copy(update={"warnings": warnings})

    async def _looked_at(self, file: RawFile) -> Parsed:
        """Asks the parsers one after another until one is sure; keeps the best answer."""
        if not self._parsers:
            raise self._no_parser(file)
        best: Parsed | None = None
        spent = Cost()
        unreadable: list[DocumentUnreadableError] = []
        unavailable: list[ParserUnavailableError] = []
        for parser in self._parsers:
            try:
                parsed = await parser.parse(file)
            except DocumentUnreadableError as error:
                spent += error.cost
                unreadable.append(error)
            except ParserUnavailableError as error:
                if error.fatal:
                    raise
                spent += error.cost
                unavailable.append(error)
                logger.warning(
                    "parser did not answer",
                    extra={"parser": parser.name, "file": file.name, "cause": cause(error)},
                )
            else:
                spent += parsed.cost
                if best is None or confidence_of(parsed) > confidence_of(best):
                    best = parsed
                if confidence_of(best) >= self._confidence:
                    break
                logger.info(
                    "parser is not sure",
                    extra={"parser": parser.name, "file": file.name, "confidence": parsed.confidence},
                )
        if best is None:
            if unavailable:
                raise unavailable[0]
            raise _unreadable(unreadable, spent)
        return self._judged(best, spent, [*unavailable, *unreadable])

    def _judged(
        self, best: Parsed, spent: Cost, failures: Sequence[DocumentUnreadableError | ParserUnavailableError]
    ) -> Parsed:
        """The best answer, with what all of them cost, and what a person should know of it."""
        warnings = [*best.warnings, *(f"read by another parser: {error.message}" for error in failures)]
        flags = list(best.flags)
        if confidence_of(best) < self._confidence:
            flags.append(LOW_CONFIDENCE)
            warnings.append(f"confidence {confidence_of(best):.2f} is below {self._confidence:.2f}")
        return best.model_copy(update={"cost": spent, "warnings": warnings, "flags": flags})

    def _no_parser(self, file: RawFile) -> DocumentUnreadableError:
        wanted = " ".join(f"{state.name}: {state.reason}" for state in self._states)
        return DocumentUnreadableError(
            f"No parser is set up that could read {file.name}. {wanted or 'CHECKERBOARD_PARSERS is empty.'} "
            "Then run `checkerboard ingest retry`.",
            file=file.name,
        )


@asynccontextmanager
async def open_parsers(
    settings: Settings, limits: Limits = LIMITS, journal: ResponseJournal | None = None
) -> AsyncIterator[Parsers]:
    """Yields the parsers of `settings.parsers` that can be used; the others are logged and passed over.
    What is paid for is recorded in `journal`.

    Raises:
        InvalidRequestError: the setting names a parser that does not exist.
    """
    async with AsyncExitStack() as stack:
        pdf = PdfReader()
        parsers: list[Parser] = []
        states: list[ParserState] = []
        for name in dict.fromkeys(settings.parsers):
            parser, state = await open_parser(name, settings, stack, pdf, limits, journal=journal)
            states.append(state)
            if parser is None:
                logger.info("parser passed over", extra={"parser": name, "reason": state.reason})
            else:
                parsers.append(parser)
        yield Parsers(parsers, states, pdf, confidence=settings.parser_confidence)


def _named(file: RawFile, kind: Kind) -> RawFile:
    """The file under its true type: its name and what its source said may be wrong."""
    return RawFile(file.name, kind.value, file.content)


def _cost(failed: Sequence[DocumentUnreadableError]) -> Cost:
    return sum((error.cost for error in failed), Cost())


def _unreadable(failed: Sequence[DocumentUnreadableError], cost: Cost) -> DocumentUnreadableError:
    """One error of several: each reason once."""
    reasons = (
        " ".join(dict.fromkeys(error.message for error in failed)) or "Nothing is written in this document."
    )
    return DocumentUnreadableError(reasons, cost=cost)
