"""The HTTP of Upstage Document Parse: the key, the pace, the retries, the errors.

Written after Upstage's pages on Document Parse as of November 2026 (POST `/document-digitization`, the
asynchronous API beside it). The shape of its errors is not published, so they are read defensively.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from ingest import unpacking
from ingest.documents import RawFile
from ingest.errors import ParserUnavailableError
from tools.core.logs import cause
from tools.llm.model_errors import fault, is_error
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
_WRONG_KEY = (401, 402, 403)
"""A wrong key, no credit left, no right to the API: nothing but a person mends these."""
_REFUSED = (400, 415, 422)
_BROKEN_ANSWERS = 2
"""How many answers may be broken before Upstage counts as down: each may have been paid for."""
_LARGEST_ANSWER = 200_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often Upstage is asked."""

    answer_seconds: float = 330.0
    """For one answer. Upstage gives up a synchronous request after five minutes."""
    connect_seconds: float = 10.0
    attempts: int = 5
    first_wait_seconds: float = 1.0
    """Before the second try; before each further one twice as long, and up to a half more by chance."""
    longest_wait_seconds: float = 60.0
    """Also of what `Retry-After` may ask for."""
    poll_seconds: float = 2.0
    """Before the second look at an asynchronous request; then twice as long, up to five times this."""
    async_seconds: float = 1800.0
    """For an asynchronous request to be completed: 2,000 pages take some seven minutes."""


LIMITS = Limits()


class TooLargeError(Exception):
    """The file has too many pages or bytes for this API, or takes it too long."""


class RefusedError(Exception):
    """Upstage does not want this file. The message is in Upstage's words."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class GoneError(Exception):
    """An address or a request that there was is there no more."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    def words(self) -> str:
        """What went wrong, in its own words: `{"error": {"message"}}`, `{"message"}` or bare text."""
        try:
            told: Any = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            told = self.content.decode("utf-8", "replace")
        for name in ("error", "message", "detail"):
            if isinstance(told, dict):
                told = told.get(name, told)
        return (told if isinstance(told, str) else orjson.dumps(told).decode())[:500]


class UpstageApi:
    """Asks Upstage. All calls share one pace."""

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
            RefusedError: Upstage does not want it.
            ParserUnavailableError: Upstage does not answer, or refuses the key (`fatal`).
        """
        try:
            return await self._post(self._root, file, retry_slow=False)
        except TimeoutError as error:
            raise TooLargeError("it takes too long") from error

    async def submit(self, file: RawFile) -> bytes:
        """Hands in a file of up to 2,000 pages; returns the answer, JSON with its `request_id`.

        Raises:
            TooLargeError, RefusedError, ParserUnavailableError: as `parse`.
        """
        return await self._post(f"{self._root}/async", file, retry_slow=True)

    async def status(self, request_id: str) -> dict[str, Any]:
        """Returns what has become of an asynchronous request.

        Raises:
            GoneError: Upstage knows no such request; it keeps them for 30 days.
            ParserUnavailableError: as `parse`.
        """
        answer = await self._ask("GET", f"{self._root}/requests/{request_id}", headers=self._headers)
        if answer.status == _NOT_FOUND:
            raise GoneError
        if answer.status != _OK:
            raise _unavailable(answer)
        told: dict[str, Any] = orjson.loads(answer.content)
        return told

    async def download(self, url: str) -> bytes:
        """Returns the JSON at the address of a batch: another server, to which the key is not sent.

        Raises:
            GoneError: the address has expired.
            ParserUnavailableError: it does not answer.
        """
        answer = await self._ask("GET", url)
        if answer.status != _OK:
            raise GoneError
        return answer.content

    async def _post(self, url: str, file: RawFile, *, retry_slow: bool) -> bytes:
        document = {"document": (file.name, file.content, file.media_type)}
        answer = await self._ask(
            "POST", url, retry_slow=retry_slow, headers=self._headers, files=document, data=_FORM
        )
        if answer.status == _TOO_LARGE:
            raise TooLargeError(answer.words())
        if answer.status in _REFUSED:
            raise RefusedError(answer.words(), answer.status)
        if answer.status != _OK:
            raise _unavailable(answer)
        return answer.content

    async def _ask(self, method: str, url: str, *, retry_slow: bool = True, **request: Any) -> _Answer:
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
                if _lasting(answer) and "headers" in request:
                    self._key_refused = _refused_key(answer)
                    raise self._key_refused
                is_broken = answer.status == _OK and not _is_answer(answer.content)
                broken += is_broken
                if not is_broken and answer.status != _TOO_MANY and answer.status < 500:  # noqa: PLR2004
                    return answer
                problem = _unavailable(answer)
                if broken == _BROKEN_ANSWERS:
                    break
                wait = max(wait, self._retry_after(answer))
            if attempt < self._limits.attempts:
                logger.info(
                    "upstage is asked again",
                    extra={"attempt": attempt, "wait_seconds": round(wait, 1), "cause": cause(problem)},
                )
                await asyncio.sleep(wait)
        raise problem

    async def _send(self, method: str, url: str, **request: Any) -> _Answer:
        limits = self._limits
        timeout = httpx.Timeout(limits.answer_seconds, connect=limits.connect_seconds)
        try:
            # httpx limits each wait for a piece; this, the whole answer.
            async with (
                asyncio.timeout(limits.answer_seconds),
                self._http.stream(method, url, timeout=timeout, **request) as response,
            ):
                content = await unpacking.body(response, _LARGEST_ANSWER)
        except unpacking.TooLargeError as error:
            raise httpx.ReadError("the answer does not end") from error
        except httpx.ReadTimeout as error:
            raise TimeoutError from error
        return _Answer(response.status_code, response.headers, content)

    def _wait(self, attempt: int) -> float:
        wait: float = self._limits.first_wait_seconds * 2 ** (attempt - 1) * random.uniform(1, 1.5)  # noqa: S311
        return min(wait, self._limits.longest_wait_seconds)

    def _retry_after(self, answer: _Answer) -> float:
        """What the answer asks for, in seconds: as a number or as a date."""
        told = answer.headers.get("retry-after", "")
        try:
            seconds = float(told)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
            except (ValueError, TypeError):
                return 0.0
        return float(min(max(seconds, 0.0), self._limits.longest_wait_seconds))


def _lasting(answer: _Answer) -> bool:
    """Whether nothing but a person mends this: a wrong key, or a credit that is used up, which some tell as
    a rate limit."""
    if answer.status in _WRONG_KEY:
        return True
    if answer.status != _TOO_MANY:
        return False
    return fault(answer.status, answer.content, answer.headers).cause == "quota"


def _is_answer(content: bytes) -> bool:
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and not is_error(told)


def _unreachable(error: Exception) -> ParserUnavailableError:
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return ParserUnavailableError(f"Upstage does not answer ({what}).", parser="upstage", cause="connection")


def _unavailable(answer: _Answer) -> ParserUnavailableError:
    if answer.status == _OK:
        message = "Upstage answered with half an answer."
    elif answer.status == _TOO_MANY:
        message = "Upstage is over its rate limit; CHECKERBOARD_UPSTAGE_PER_SECOND may be set lower."
    else:
        message = f"Upstage failed ({answer.status}): {answer.words()}"
    return ParserUnavailableError(message, parser="upstage", cause="status", status=answer.status)


def _refused_key(answer: _Answer) -> ParserUnavailableError:
    return ParserUnavailableError(
        f"Upstage refused the key ({answer.status}): {answer.words()}. Check UPSTAGE_API_KEY and the credit "
        "of its account, or take `upstage` out of CHECKERBOARD_PARSERS.",
        parser="upstage",
        cause="key",
        status=answer.status,
        fatal=True,
    )
