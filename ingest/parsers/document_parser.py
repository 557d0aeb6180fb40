"""Parses whole documents: each file by its type, images by the parsers of the setting, in its order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import httpx

from ingest import http_answers
from ingest.blocks import combine, confidence_of
from ingest.documents import Cost, Parsed, RawFile
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.file_types import Kind, detect_file_type
from ingest.parsers.html import parse_page
from ingest.parsers.local import LocalParser
from ingest.parsers.markdown import parse_text
from ingest.parsers.pdf import PdfReader
from ingest.parsers.tessdata import find_tessdata
from ingest.parsers.upstage import LIMITS, Limits, UpstageApi, UpstageParser
from ingest.parsers.vision import VisionParser
from tools.core.errors import InvalidRequestError, SetupError
from tools.core.logs import cause
from tools.core.proxies import proxy_for
from tools.core.settings import Settings
from tools.llm.journal import ResponseJournal
from tools.llm.openai_client import open_http_client

logger = logging.getLogger(__name__)

LOW_CONFIDENCE = "low_confidence"
"""The flag of a document of which a part was read below `settings.parser_confidence` by all parsers."""


class Parser(Protocol):
    """Reads a file into blocks."""

    @property
    def name(self) -> str:
        """Its name in the setting that orders the parsers: `local`, `upstage`, `vision`."""

    async def parse(self, file: RawFile) -> Parsed:
        """Reads one file, all its pages.

        Raises:
            DocumentUnreadableError: this file cannot be read by this parser, however often one tries.
            ParserUnavailableError: the parser did not answer; it may later.
        """


@dataclass(frozen=True, slots=True)
class ParserState:
    """Whether a parser can be used, and what has to be set or installed where it cannot."""

    name: str
    usable: bool
    reason: str = ""


class DocumentParser:
    """Parses documents. `parsers` are those that read images, in the order in which they are tried;
    `states` describes them all, and those that cannot be used."""

    def __init__(
        self, parsers: Sequence[Parser], states: Sequence[ParserState], pdf: PdfReader, *, confidence: float
    ) -> None:
        self._parsers = parsers
        self._states = states
        self._pdf = pdf
        self._confidence = confidence

    def describe(self) -> list[ParserState]:
        """Returns the state of each parser of the setting, in its order."""
        return list(self._states)

    async def parse(self, files: Sequence[RawFile]) -> Parsed:
        """Parses the files of one document; their pages are numbered through.

        A file that cannot be read is skipped with a warning where another can be read. Rows of JSON are
        not parsed here.

        Raises:
            DocumentUnreadableError: none of the files can be read, nothing is written in them, or no
                parser of images is set up. `cost` is what it cost to find out.
            ParserUnavailableError: no parser that could read a file answers; with `fatal` one
                will not before a person has put its key right.
        """
        results, failures = await _parse_each(files, self._parse_file)
        if not any(parsed.blocks for parsed in results):
            raise _unreadable(failures, results)
        return _with_failures(combine(results), failures)

    async def _parse_file(self, file: RawFile) -> Parsed:
        detected = await asyncio.to_thread(detect_file_type, file)
        kind = detected.kind
        # The file's name and what its source says of its type may be wrong.
        typed = RawFile(file.name, kind.value, file.content)
        if kind.is_image:
            return await self._parse_image(typed)
        if kind is Kind.PDF:
            return await self._pdf.parse(typed, self._parse_image)
        if kind is Kind.JSON:
            raise DocumentUnreadableError(f"{file.name} is JSON and no page.", file=file.name)
        if kind is Kind.HTML:
            return await self._parse_html(file, detected.text)
        return await asyncio.to_thread(parse_text, detected.text)

    async def _parse_html(self, file: RawFile, text: str) -> Parsed:
        """Parses a page of HTML and the images that it embeds; their text comes after that of the page."""
        page = await asyncio.to_thread(parse_page, text, file.name)
        results, failures = await _parse_each(page.images if self._parsers else (), self._parse_image)
        if page.images and not any(parsed.blocks for parsed in (page.parsed, *results)):
            if not self._parsers:
                raise self._no_parser(file)
            raise _unreadable(failures, [page.parsed, *results])
        unread = page.other_images + len(page.images) - len(results)
        return _with_failures(combine([page.with_unread(unread), *results]), failures)

    async def _parse_image(self, file: RawFile) -> Parsed:
        """Tries the parsers in turn until one is sure; returns the best result."""
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
            raise _unreadable(unreadable, [])
        spent += _cost(unreadable)
        failures = [*unavailable, *unreadable]
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


async def _parse_each(
    files: Iterable[RawFile], parse: Callable[[RawFile], Awaitable[Parsed]]
) -> tuple[list[Parsed], list[DocumentUnreadableError]]:
    """Parses files one after another; returns the results, and why the others cannot be read."""
    results: list[Parsed] = []
    failures: list[DocumentUnreadableError] = []
    for file in files:
        try:
            results.append(await parse(file))
        except DocumentUnreadableError as error:
            failures.append(error)
    return results, failures


def _with_failures(parsed: Parsed, failures: Sequence[DocumentUnreadableError]) -> Parsed:
    """Returns a result with a warning for each part that could not be read, and what these have cost."""
    warnings = [*parsed.warnings, *(f"not read: {error.message}" for error in failures)]
    cost = parsed.cost + _cost(failures)
    return parsed.model_copy(update={"warnings": warnings, "cost": cost})


def _unreadable(
    failures: Sequence[DocumentUnreadableError], empty: Sequence[Parsed]
) -> DocumentUnreadableError:
    """One error for several parts, with each reason once, and with what they and the empty results cost."""
    reasons = dict.fromkeys(error.message for error in failures)
    cost = sum((parsed.cost for parsed in empty), _cost(failures))
    return DocumentUnreadableError(" ".join(reasons) or "Nothing is written in this document.", cost=cost)


def _cost(failures: Sequence[DocumentUnreadableError]) -> Cost:
    return sum((error.cost for error in failures), Cost())


@asynccontextmanager
async def open_document_parser(
    settings: Settings, limits: Limits = LIMITS, journal: ResponseJournal | None = None
) -> AsyncIterator[DocumentParser]:
    """Yields a parser of documents, with those parsers of `settings.parsers` that can be used; the others are
    logged and skipped.

    Raises:
        InvalidRequestError: the setting names a parser that does not exist.
    """
    async with AsyncExitStack() as stack:
        pdf = PdfReader()
        openers: dict[str, Callable[[], Awaitable[Parser]]] = {
            "upstage": lambda: _open_upstage(settings, stack, limits, journal),
            "local": lambda: _open_local(settings, stack, pdf),
            "vision": lambda: _open_vision(settings, stack, pdf, journal),
        }
        parsers: list[Parser] = []
        states: list[ParserState] = []
        for name in dict.fromkeys(settings.parsers):
            if name not in openers:
                raise InvalidRequestError(
                    f"CHECKERBOARD_PARSERS names {name!r}; there are {', '.join(openers)}.",
                    fields=[{"field": "parsers", "problem": f"unknown parser {name!r}"}],
                )
            try:
                parsers.append(await openers[name]())
                states.append(ParserState(name, usable=True))
            except SetupError as error:
                unusable = ParserState(name, usable=False, reason=error.message)
                states.append(unusable)
                logger.info("parser skipped", extra={"parser": name, "reason": unusable.reason})
        yield DocumentParser(parsers, states, pdf, confidence=settings.parser_confidence)


class _PdfPagesAsImages:
    """Has a parser of images parse PDFs, too: an image of each page."""

    def __init__(self, parser: Parser, pdf: PdfReader) -> None:
        self.name = parser.name
        self._parser = parser
        self._pdf = pdf

    async def parse(self, file: RawFile) -> Parsed:
        """As `Parser.parse`."""
        if file.media_type == Kind.PDF:
            return await self._pdf.parse_as_images(file, self._parser.parse)
        return await self._parser.parse(file)


async def _open_upstage(
    settings: Settings, stack: AsyncExitStack, limits: Limits, journal: ResponseJournal | None
) -> Parser:
    if settings.upstage_api_key is None:
        raise SetupError("UPSTAGE_API_KEY is not set.")
    http = await stack.enter_async_context(
        httpx.AsyncClient(
            headers={"Accept-Encoding": http_answers.ACCEPTED},
            proxy=proxy_for(settings.upstage_base_url),
            trust_env=False,
            verify=httpx.create_ssl_context(),
        )
    )
    api = UpstageApi(
        http,
        base_url=settings.upstage_base_url,
        key=settings.upstage_api_key.get_secret_value(),
        per_second=settings.upstage_per_second,
        limits=limits,
    )
    return UpstageParser(api, limits, journal)


async def _open_local(settings: Settings, stack: AsyncExitStack, pdf: PdfReader) -> Parser:
    opened = LocalParser.open(find_tessdata(settings), size=settings.parser_processes)
    return _PdfPagesAsImages(await stack.enter_async_context(opened), pdf)


async def _open_vision(
    settings: Settings, stack: AsyncExitStack, pdf: PdfReader, journal: ResponseJournal | None
) -> Parser:
    if settings.vision_model is None:
        raise SetupError("CHECKERBOARD_VISION_MODEL is not set.")
    if settings.offline:
        raise SetupError("OPENAI_API_KEY is not set, and the offline model reads no images.")
    http = await stack.enter_async_context(open_http_client(settings))
    return _PdfPagesAsImages(VisionParser(settings, http, journal), pdf)
