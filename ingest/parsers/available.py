"""Which parsers of images there are, and what the others lack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from ingest import unpacking
from ingest.documents import Parsed, RawFile
from ingest.parsers.local import LocalParser
from ingest.parsers.media import Kind
from ingest.parsers.parser import Parser
from ingest.parsers.pdf import PdfReader
from ingest.parsers.upstage.api import Limits, UpstageApi
from ingest.parsers.upstage.parser import UpstageParser
from ingest.parsers.vision import VisionParser
from tools.core.errors import InvalidRequestError, SetupError
from tools.core.proxies import proxy_for
from tools.core.settings import Settings
from tools.llm.journal import ResponseJournal
from tools.llm.openai_client import open_http_client


@dataclass(frozen=True, slots=True)
class ParserState:
    """Whether a parser can be used, and what has to be set or installed where it cannot."""

    name: str
    usable: bool
    reason: str = ""


class ByPage:
    """A parser that reads pictures only, made to read PDFs: page after page, as pictures."""

    def __init__(self, parser: Parser, pdf: PdfReader) -> None:
        self._parser = parser
        self._pdf = pdf

    @property
    def name(self) -> str:
        """The parser's own."""
        return self._parser.name

    async def parse(self, file: RawFile) -> Parsed:
        """As `Parser.parse`."""
        if file.media_type == Kind.PDF:
            return await self._pdf.by_page(file, self._parser)
        return await self._parser.parse(file)


async def open_parser(
    name: str,
    settings: Settings,
    stack: AsyncExitStack,
    pdf: PdfReader,
    limits: Limits,
    *,
    journal: ResponseJournal | None,
) -> tuple[Parser | None, ParserState]:
    """Returns a parser of the setting, open until `stack` ends, or None and what it lacks.

    Raises:
        InvalidRequestError: there is no such parser.
    """
    if name not in _OPENING:
        raise InvalidRequestError(
            f"CHECKERBOARD_PARSERS names {name!r}; there are {', '.join(_OPENING)}.",
            fields=[{"field": "parsers", "problem": f"unknown parser {name!r}"}],
        )
    try:
        parser = await _OPENING[name](settings, stack, pdf, limits, journal)
    except SetupError as error:
        return None, ParserState(name, usable=False, reason=error.message)
    return parser, ParserState(name, usable=True)


async def _upstage(
    settings: Settings,
    stack: AsyncExitStack,
    _: PdfReader,
    limits: Limits,
    journal: ResponseJournal | None,
) -> Parser:
    if settings.upstage_api_key is None:
        raise SetupError("UPSTAGE_API_KEY is not set.")
    http = await stack.enter_async_context(
        httpx.AsyncClient(
            headers={"Accept-Encoding": unpacking.ACCEPTED},
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


async def _local(
    settings: Settings, stack: AsyncExitStack, pdf: PdfReader, _: Limits, __: ResponseJournal | None
) -> Parser:
    return ByPage(await stack.enter_async_context(LocalParser.open(settings)), pdf)


async def _vision(
    settings: Settings, stack: AsyncExitStack, pdf: PdfReader, _: Limits, journal: ResponseJournal | None
) -> Parser:
    if settings.vision_model is None:
        raise SetupError("CHECKERBOARD_VISION_MODEL is not set.")
    if settings.offline:
        raise SetupError("OPENAI_API_KEY is not set, and the offline model reads no images.")
    http = await stack.enter_async_context(open_http_client(settings))
    return ByPage(VisionParser(settings, http, journal), pdf)


_Open = Callable[[Settings, AsyncExitStack, PdfReader, Limits, ResponseJournal | None], Awaitable[Parser]]
_OPENING: dict[str, _Open] = {
    "upstage": _upstage,
    "local": _local,
    "vision": _vision,
}
