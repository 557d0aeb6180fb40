"""Upstage Document Parse as a parser: its HTTP API, and its answers as blocks.

Written after Upstage's pages on Document Parse as of November 2026 (POST `/document-digitization`, the
asynchronous API beside it). The shape of its errors is not published, so they are read defensively.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import httpx
import orjson
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from ingest import http_answers
from ingest.documents import Block, Cost, Heading, Parsed, RawFile, Table
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.file_types import Kind
from ingest.parsers.html import html_flow
from ingest.parsers.images import as_png
from ingest.parsers.lines import GAP, FlowItem, Line, build_blocks
from ingest.parsers.markdown import markdown_flow
from tools.core.logs import cause
from tools.core.text import one_line
from tools.llm.journal import ResponseJournal, recorded_call
from tools.llm.model_errors import is_error, read_error
from tools.llm.pacing import Pacer

logger = logging.getLogger(__name__)

PATH = "document-digitization"
MODEL = "document-parse"
"""The alias of the version that Upstage recommends; the answer names the version itself."""

_FORM = {
    "model": MODEL,
    # Images are recognised; of a PDF the text it holds is taken, and the rest recognised.
    "ocr": "auto",
    "output_formats": "['html', 'markdown']",
    "coordinates": "false",
}
_OK, _NOT_FOUND, _TOO_LARGE, _TOO_MANY = 200, 404, 413, 429
_WRONG_KEY = (401, 402, 403)  # a wrong key, no credit left, no right to the API
_REFUSED = (400, 415, 422)
_BROKEN_ANSWERS = 2  # before Upstage counts as down: each may have been paid for
_LARGEST_ANSWER = 200_000_000
USD_PER_PAGE = 0.01  # the standard mode's price on Upstage's pricing page (upstage.ai/pricing), November 2026
_SUBMISSIONS = 2  # of a file to the asynchronous API when the request fails there
_DOWNLOADS = 5  # attempts, each from a new URL: a batch's URL is valid for 15 minutes


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often Upstage is asked.

    `first_wait_seconds` are waited before the second try, and before each further one twice as long and up to
    a half more by chance; `poll_seconds` before the second look at an asynchronous request, then twice as
    long, up to five times this.
    """

    answer_seconds: float = 330.0  # Upstage gives up a synchronous request after five minutes
    connect_seconds: float = 10.0
    attempts: int = 5
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0  # also of what `Retry-After` may ask for
    poll_seconds: float = 2.0
    async_seconds: float = 1800.0  # until a request is completed: 2,000 pages take some seven minutes


LIMITS = Limits()


class UpstageParser:
    """Reads images and PDFs with Upstage. Every answer is paid for once (`tools.llm.journal`)."""

    name = "upstage"

    def __init__(self, api: UpstageApi, limits: Limits, journal: ResponseJournal | None = None) -> None:
        self._api = api
        self._limits = limits
        self._journal = journal
        self._webp_refused = False

    async def parse(self, file: RawFile) -> Parsed:
        """As `Parser.parse`. Upstage gives no confidence.

        Raises:
            DocumentUnreadableError: Upstage does not take the file; the message is in its words.
            ParserUnavailableError: Upstage does not answer, or refuses the key (`fatal`).
        """
        try:
            answer = await recorded_call(
                self._journal, self._key(file, "sync"), lambda: self._parse_sync(file)
            )
            return _parsed([(_validated(answer), 1)])
        except TooLargeError:
            logger.info("upstage takes it asynchronously", extra={"file": file.name})
        except RefusedError as error:
            raise self._unreadable(file, error) from error
        try:
            return _parsed(await self._parse_async(file))
        except (RefusedError, TooLargeError) as error:
            raise self._unreadable(file, error) from error

    async def _parse_sync(self, file: RawFile) -> bytes:
        is_webp = file.media_type == Kind.WEBP
        if not self._needs_png(file):
            try:
                return await self._api.parse(file)
            except RefusedError as error:
                if not is_webp:
                    raise
                logger.info("upstage refused WebP; PNG is sent", extra={"cause": cause(error)})
        answer = await self._api.parse(await asyncio.to_thread(as_png, file))
        self._webp_refused = self._webp_refused or is_webp
        return answer

    def _needs_png(self, file: RawFile) -> bool:
        # Upstage does not know GIF. WebP is on one page of Upstage's and missing on another.
        return file.media_type == Kind.GIF or (file.media_type == Kind.WEBP and self._webp_refused)

    async def _parse_async(self, file: RawFile) -> list[tuple[Answer, int]]:
        if self._needs_png(file):
            file = await asyncio.to_thread(as_png, file)
        for submission in range(_SUBMISSIONS):
            key = self._key(file, "async", submission)
            submitted = orjson.loads(await recorded_call(self._journal, key, lambda: self._api.submit(file)))
            request_id = submitted.get("request_id")
            if not isinstance(request_id, str) or not request_id.replace("-", "").isalnum():
                raise ParserUnavailableError("Upstage gave no request_id.", parser=self.name, cause="answer")
            try:
                async with asyncio.timeout(self._limits.async_seconds):
                    return await self._batches(file, request_id, submission)
            except TimeoutError as error:
                raise ParserUnavailableError(
                    f"Upstage has not completed the request {request_id} in {self._limits.async_seconds:g} "
                    "seconds; it is asked for again later.",
                    parser=self.name,
                    cause="timeout",
                ) from error
            except (RefusedError, ExpiredError) as error:
                problem = str(error) or "the request is gone"
                logger.warning(
                    "upstage failed a request", extra={"request": request_id, "cause": cause(error)}
                )
        raise DocumentUnreadableError(f"Upstage cannot read {file.name}: {problem}", file=file.name)

    async def _batches(self, file: RawFile, request_id: str, submission: int) -> list[tuple[Answer, int]]:
        status = await self._completed(request_id)
        answers = []
        for number, batch in enumerate(_batches_in_order(status)):
            key = self._key(file, "batch", submission, request_id, number)
            content = await recorded_call(self._journal, key, partial(self._download, request_id, number))
            answers.append((_validated(content), _start_page(batch)))
        return answers

    async def _completed(self, request_id: str) -> dict[str, Any]:
        """Waits until a request is completed.

        Raises:
            RefusedError: it failed.
        """
        wait = self._limits.poll_seconds
        while True:
            status = await self._api.status(request_id)
            batches = _batches_in_order(status)
            failed = next((part for part in (status, *batches) if part.get("status") == "failed"), None)
            if failed is not None:
                raise RefusedError(str(failed.get("failure_message") or "it gave no reason"))
            if status.get("status") == "completed":
                return status
            await asyncio.sleep(wait)
            wait = min(2 * wait, 5 * self._limits.poll_seconds)

    async def _download(self, request_id: str, number: int) -> bytes:
        """Downloads a batch, from a new URL where the last one has expired."""
        for _ in range(_DOWNLOADS):
            batches = _batches_in_order(await self._completed(request_id))
            try:
                return await self._api.download(str(batches[number]["download_url"]))
            except (ExpiredError, LookupError):
                logger.info("upstage's address has expired", extra={"request": request_id, "batch": number})
                await asyncio.sleep(self._limits.poll_seconds)
        raise ParserUnavailableError(
            f"Upstage gives no valid address for the request {request_id}.", parser=self.name, cause="answer"
        )

    def _key(self, file: RawFile, *call: object) -> list[object]:
        """The key of a call in the journal: the file's own hash, whatever form of it is sent."""
        return ["upstage", MODEL, file.content_hash, *call]

    def _unreadable(self, file: RawFile, error: Exception) -> DocumentUnreadableError:
        return DocumentUnreadableError(f"Upstage does not take {file.name}: {error}", file=file.name)


def _parsed(answers: Sequence[tuple[Answer, int]]) -> Parsed:
    pages = sum(answer.pages for answer, _ in answers)
    return Parsed(
        blocks=blocks_of(answers),
        parser=f"upstage/{answers[0][0].model if answers else MODEL}",
        cost=Cost(pages=pages, usd=pages * USD_PER_PAGE),
    )


def _validated(content: bytes) -> Answer:
    try:
        return Answer.model_validate_json(content)
    except ValidationError as error:
        raise ParserUnavailableError(
            f"Upstage's answer cannot be read: {error.errors(include_url=False)[0]['msg']}",
            parser="upstage",
            cause="answer",
        ) from error


def _batches_in_order(status: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(
        (batch for batch in status.get("batches") or [] if isinstance(batch, dict)), key=_start_page
    )


def _start_page(batch: dict[str, Any]) -> int:
    page = batch.get("start_page")
    return page if isinstance(page, int) and page >= 1 else 1


# Answers as blocks -----------------------------------------------------------------------------------


_OBJECT = BeforeValidator(lambda value: value if isinstance(value, Mapping) else {})
_LIST = BeforeValidator(lambda value: value if isinstance(value, list) else [])


class Content(BaseModel):
    """The same text in up to three forms; what was not asked for is empty."""

    html: str | None = None
    markdown: str | None = None
    text: str | None = None


class Element(BaseModel):
    """A piece of a page: `heading1`, `paragraph`, `list`, `table`, `figure`, `header` and others."""

    category: str = "paragraph"
    page: int = Field(1, ge=1)
    content: Annotated[Content, _OBJECT] = Content()


class Usage(BaseModel):
    """What is paid for."""

    pages: int | None = None


class Answer(BaseModel):
    """An answer to a file, or to a batch of its pages: its elements in reading order."""

    model: str = "document-parse"
    usage: Annotated[Usage, _OBJECT] = Usage()
    content: Annotated[Content, _OBJECT] = Content()
    elements: Annotated[list[Element], _LIST] = []

    @property
    def pages(self) -> int:
        """How many pages were paid for: as Upstage counts them, else as many as have elements."""
        return self.usage.pages or max((element.page for element in self.elements), default=1)


def blocks_of(answers: Iterable[tuple[Answer, int]]) -> list[Block]:
    """Returns the blocks of answers, each with the page of the file at which it begins (from 1)."""
    blocks = build_blocks(item for answer, first_page in answers for item in _flow(answer, first_page))
    # Upstage knows one kind of heading: the first is the document's title, the others its parts.
    titles = [index for index, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 1]
    for index in titles[1:]:
        blocks[index] = blocks[index].model_copy(update={"level": 2})
    return blocks


def _flow(answer: Answer, first_page: int) -> Iterator[FlowItem]:
    # A batch counts its pages from 1 or as the file does: what lies before its first page is its own count.
    own_count = any(element.page < first_page for element in answer.elements)
    offset = first_page - 1 if own_count else 0
    written = False
    for element in answer.elements:
        for item in _element_flow(element):
            written = True
            yield _on_page(item, element.page + offset)
        yield GAP
    if not written:
        for item in _content_flow(answer.content):
            yield _on_page(item, first_page)


def _element_flow(element: Element) -> list[FlowItem]:
    flow = _content_flow(element.content)
    if element.category.startswith("heading"):
        text = " ".join(item.text for item in flow if isinstance(item, Line))
        return [Line(text, level=1)] if text else []
    return flow


def _content_flow(content: Content) -> list[FlowItem]:
    """The text of the first form that has any."""
    flow = html_flow(content.html, shortest_alt_text=1) if content.html else []
    if not _has_text(flow) and content.markdown:
        flow = list(markdown_flow(content.markdown))
    if not _has_text(flow) and content.text:
        flow = [Line(line) for line in map(one_line, content.text.split("\n")) if line]
    return flow


def _has_text(flow: Iterable[FlowItem]) -> bool:
    return any(isinstance(item, Line | Table) for item in flow)


def _on_page(item: FlowItem, page: int) -> FlowItem:
    if isinstance(item, Line):
        return replace(item, page=page)
    return item.model_copy(update={"page": page}) if isinstance(item, Table) else item


# HTTP ------------------------------------------------------------------------------------------------


class TooLargeError(Exception):
    """The file has too many pages or bytes for this API, or takes it too long."""


class RefusedError(Exception):
    """Upstage does not take this file. The message is Upstage's."""


class ExpiredError(Exception):
    """A URL or a request that existed does not exist any more."""


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    content: bytes

    def error_text(self) -> str:
        """What went wrong: `{"error": {"message"}}`, `{"message"}` or bare text."""
        try:
            error: Any = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            error = self.content.decode("utf-8", "replace")
        for name in ("error", "message", "detail"):
            if isinstance(error, dict):
                error = error.get(name, error)
        return (error if isinstance(error, str) else orjson.dumps(error).decode())[:500]


class UpstageApi:
    """Calls Upstage. All calls share one pace."""

    def __init__(
        self, http: httpx.AsyncClient, *, base_url: str, key: str, per_second: float, limits: Limits
    ) -> None:
        self._http = http
        self._root = f"{base_url.rstrip('/')}/{PATH}"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._pacer = Pacer(per_second)
        self._limits = limits
        self._key_refused: ParserUnavailableError | None = None

    async def parse(self, file: RawFile) -> bytes:
        """Returns the answer to one file of at most 100 pages, JSON.

        Raises:
            TooLargeError: the asynchronous API may take it.
            RefusedError: Upstage does not take it.
            ParserUnavailableError: Upstage does not answer, or refuses the key (`fatal`).
        """
        try:
            return await self._post(self._root, file, retry_slow=False)
        except TimeoutError as error:
            raise TooLargeError("it takes too long") from error

    async def submit(self, file: RawFile) -> bytes:
        """Submits a file of up to 2,000 pages; returns the answer, JSON with its `request_id`.

        Raises:
            TooLargeError, RefusedError, ParserUnavailableError: as `parse`.
        """
        return await self._post(f"{self._root}/async", file, retry_slow=True)

    async def status(self, request_id: str) -> dict[str, Any]:
        """Returns the status of an asynchronous request.

        Raises:
            ExpiredError: Upstage knows no such request; it keeps them for 30 days.
            ParserUnavailableError: as `parse`.
        """
        answer = await self._ask("GET", f"{self._root}/requests/{request_id}", headers=self._headers)
        if answer.status == _NOT_FOUND:
            raise ExpiredError
        if answer.status != _OK:
            raise _unavailable(answer)
        status: dict[str, Any] = orjson.loads(answer.content)
        return status

    async def download(self, url: str) -> bytes:
        """Returns the JSON at the URL of a batch: another server, to which the key is not sent.

        Raises:
            ExpiredError: the URL has expired.
            ParserUnavailableError: it does not answer.
        """
        answer = await self._ask("GET", url)
        if answer.status != _OK:
            raise ExpiredError
        return answer.content

    async def _post(self, url: str, file: RawFile, *, retry_slow: bool) -> bytes:
        document = {"document": (file.name, file.content, file.media_type)}
        answer = await self._ask(
            "POST", url, retry_slow=retry_slow, headers=self._headers, files=document, data=_FORM
        )
        if answer.status == _TOO_LARGE:
            raise TooLargeError(answer.error_text())
        if answer.status in _REFUSED:
            raise RefusedError(answer.error_text())
        if answer.status != _OK:
            raise _unavailable(answer)
        return answer.content

    async def _ask(self, method: str, url: str, *, retry_slow: bool = True, **request: Any) -> _Response:
        """Asks until there is an answer that asking again would not change, a bounded number of times.

        Raises:
            TimeoutError: there was none in time, and `retry_slow` is off.
            ParserUnavailableError: there was none.
        """
        broken = 0
        for attempt in range(1, self._limits.attempts + 1):
            if self._key_refused is not None and "headers" in request:
                raise self._key_refused
            await self._pacer.turn()
            wait = self._wait(attempt)
            try:
                answer = await self._send(method, url, **request)
            except (httpx.RequestError, httpx.InvalidURL, TimeoutError) as error:
                if isinstance(error, TimeoutError) and not retry_slow:
                    raise
                problem = _unreachable(error)
            else:
                if _needs_a_person(answer) and "headers" in request:
                    self._key_refused = _refused_key(answer)
                    raise self._key_refused
                is_broken = answer.status == _OK and not _is_answer(answer.content)
                broken += is_broken
                if not is_broken and answer.status != _TOO_MANY and answer.status < 500:  # noqa: PLR2004
                    return answer
                problem = _unavailable(answer)
                if broken == _BROKEN_ANSWERS:
                    break
                named = min(
                    http_answers.retry_after(answer.headers) or 0.0, self._limits.longest_wait_seconds
                )
                wait = max(wait, named)
            if attempt < self._limits.attempts:
                logger.info(
                    "upstage is asked again",
                    extra={"attempt": attempt, "wait_seconds": round(wait, 1), "cause": cause(problem)},
                )
                await asyncio.sleep(wait)
        raise problem

    async def _send(self, method: str, url: str, **request: Any) -> _Response:
        limits = self._limits
        timeout = httpx.Timeout(limits.answer_seconds, connect=limits.connect_seconds)
        try:
            # httpx limits each wait for a piece; this, the whole answer.
            async with (
                asyncio.timeout(limits.answer_seconds),
                self._http.stream(method, url, timeout=timeout, **request) as response,
            ):
                content = await http_answers.body(response, _LARGEST_ANSWER)
        except http_answers.TooLargeError as error:
            raise httpx.ReadError("the answer does not end") from error
        except httpx.ReadTimeout as error:
            raise TimeoutError from error
        return _Response(response.status_code, response.headers, content)

    def _wait(self, attempt: int) -> float:
        wait: float = self._limits.first_wait_seconds * 2 ** (attempt - 1) * random.uniform(1, 1.5)  # noqa: S311
        return min(wait, self._limits.longest_wait_seconds)


def _needs_a_person(answer: _Response) -> bool:
    """Whether the key is wrong, or its credit used up, which some report as a rate limit."""
    if answer.status in _WRONG_KEY:
        return True
    if answer.status != _TOO_MANY:
        return False
    return read_error(answer.status, answer.content, answer.headers).cause == "quota"


def _is_answer(content: bytes) -> bool:
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return isinstance(answer, dict) and not is_error(answer)


def _unreachable(error: Exception) -> ParserUnavailableError:
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return ParserUnavailableError(f"Upstage does not answer ({what}).", parser="upstage", cause="connection")


def _unavailable(answer: _Response) -> ParserUnavailableError:
    if answer.status == _OK:
        message = "Upstage answered with half an answer."
    elif answer.status == _TOO_MANY:
        message = "Upstage is over its rate limit; CHECKERBOARD_UPSTAGE_PER_SECOND may be set lower."
    else:
        message = f"Upstage failed ({answer.status}): {answer.error_text()}"
    return ParserUnavailableError(message, parser="upstage", cause="status", status=answer.status)


def _refused_key(answer: _Response) -> ParserUnavailableError:
    return ParserUnavailableError(
        f"Upstage refused the key ({answer.status}): {answer.error_text()}. Check UPSTAGE_API_KEY and "
        "the credit of its account, or take `upstage` out of CHECKERBOARD_PARSERS.",
        parser="upstage",
        cause="key",
        status=answer.status,
        fatal=True,
    )
