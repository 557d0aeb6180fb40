"""Asking sites: identified, at most a request a second to each, and never past a refusal."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from ingest import unpacking
from ingest.errors import DocumentUnreadableError, SourceUnavailableError
from ingest.sources.web.answers import (
    Answer,
    Fetch,
    FetchLog,
    Want,
    challenge,
    is_image,
    media_type,
    refusal,
    retry_after,
)
from ingest.sources.web.hosts import AGENT, Host
from ingest.sources.web.reach import Reach, origin
from tools.core.errors import SetupError
from tools.core.logs import cause
from tools.core.proxies import proxy_for
from tools.core.settings import Settings

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
"""Between the beginnings of two requests to one host."""
TIMEOUT_SECONDS = 30.0
"""Without a byte. A whole answer may take ten times as long."""
LARGEST = 100 * 1024 * 1024
"""Bytes of an answer, unpacked."""
TRIES = 4
MOST_REDIRECTS = 5
LONGEST_WAIT = 120.0
"""Seconds of a `Retry-After` that are waited for; a longer one is left to a later run."""
_RETRIED = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_MOVED = {301, 302, 303, 307, 308}
_ACCEPT: dict[Want, str] = {
    "json": "application/json",
    "image": "image/webp,image/*;q=0.9,*/*;q=0.1",
    "text": "text/plain,*/*;q=0.1",
}


@dataclass(frozen=True, slots=True)
class _Question:
    """A request as it is sent, again and again if need be."""

    method: str
    url: str
    want: Want
    reach: Reach
    headers: dict[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: httpx.Headers
    content: bytes
    value: Any = None


class Web:
    """Asks sites. One for all sources of a process: the pace is kept over all of them."""

    def __init__(self, agent: str, log: FetchLog, *, interval: float, timeout_seconds: float) -> None:
        """`interval` is the time between two requests to one host, `timeout_seconds` that without a byte."""
        self._agent = agent
        self._log = log
        self._interval = interval
        self._timeout = timeout_seconds
        self._hosts: dict[str, Host] = {}
        self._clients = AsyncExitStack()

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._clients.aclose()

    async def get(self, url: str, *, want: Want, reach: Reach, conditional: bool = False) -> Answer:
        """Asks for `url`. `conditional`: what is as it was when its fetch was kept is told as unchanged.

        Statuses that are neither a refusal nor passing (404, 400) are returned.

        Raises:
            SourceRefusedError: robots.txt, 401, 403, 451 or a challenge page; never tried again.
            SourceUnavailableError: it did not answer in four tries, nor as asked for.
            DocumentUnreadableError: it is too large, no image, or at no address that is read.
        """
        last = await self._log.last(url) if conditional else None
        headers = {"Accept": _ACCEPT[want]}
        if last is not None and last.etag is not None:
            headers["If-None-Match"] = last.etag
        if last is not None and last.last_modified is not None:
            headers["If-Modified-Since"] = last.last_modified
        return await self._answer(_Question("GET", url, want, reach, headers), last)

    async def post(self, url: str, body: Any, *, reach: Reach) -> Answer:
        """Sends JSON and asks for JSON. Raises as `get`."""
        headers = {"Accept": _ACCEPT["json"], "Content-Type": "application/json"}
        return await self._answer(_Question("POST", url, "json", reach, headers, orjson.dumps(body)), None)

    async def last(self, url: str) -> Fetch | None:
        """Returns the last fetch of `url` that was kept."""
        return await self._log.last(url)

    async def keep(self, fetch: Fetch) -> None:
        """Keeps a fetch: from now on its content counts as taken."""
        await self._log.keep(fetch)

    async def _answer(self, question: _Question, last: Fetch | None) -> Answer:
        reply = await self._followed(question)
        unchanged = reply.status == HTTPStatus.NOT_MODIFIED and last is not None
        if last is not None and unchanged:
            fetch = replace(last, fetched_at=datetime.now(UTC))
        else:
            content_hash = hashlib.sha256(reply.content).hexdigest()
            fetch = Fetch(
                url=question.url,
                etag=reply.headers.get("etag"),
                last_modified=reply.headers.get("last-modified"),
                content_hash=content_hash,
                fetched_at=datetime.now(UTC),
            )
            unchanged = (
                last is not None and reply.status == HTTPStatus.OK and last.content_hash == content_hash
            )
        return Answer(
            url=question.url,
            status=reply.status,
            media_type=media_type(reply.headers),
            content=reply.content,
            fetch=fetch,
            value=reply.value,
            unchanged=unchanged,
        )

    async def _followed(self, question: _Question) -> _Reply:
        """Goes after redirects, each as careful as the first request."""
        for _ in range(MOST_REDIRECTS + 1):
            host = self._host(question.url)
            await host.require_allowed(question.url, partial(self._robots, reach=question.reach))
            reply = await self._tried(host, question)
            if reply.status not in _MOVED or "location" not in reply.headers:
                return reply
            if question.method != "GET":
                raise SourceUnavailableError(f"{question.url} redirects what is sent to it.")
            question = _moved(question, reply.headers["location"])
        raise SourceUnavailableError(f"{question.url} redirects more than {MOST_REDIRECTS} times.")

    async def _robots(self, url: str, reach: Reach) -> tuple[int, bytes]:
        question = _Question("GET", url, "text", replace(reach, others=True), {"Accept": _ACCEPT["text"]})
        for _ in range(MOST_REDIRECTS + 1):
            reply = await self._tried(self._host(question.url), question)
            if reply.status not in _MOVED or "location" not in reply.headers:
                return reply.status, reply.content
            question = _moved(question, reply.headers["location"])
        return HTTPStatus.NOT_FOUND, b""

    async def _tried(self, host: Host, question: _Question) -> _Reply:
        problem = why = ""
        for attempt in range(TRIES):
            # Spread, so that sources that failed together do not come back together.
            wait = self._interval * 2**attempt * random.uniform(1, 1.5)  # noqa: S311 - no secret
            await host.turn()
            try:
                async with asyncio.timeout(10 * self._timeout):
                    reply = await self._once(host, question)
            except (httpx.RequestError, OSError, TimeoutError) as error:
                problem, why = f"{type(error).__name__}: {error}".rstrip(": "), cause(error)
            except orjson.JSONDecodeError as error:
                problem, why = f"broken JSON: {error}", cause(error)
            else:
                if reply.status not in _RETRIED:
                    return reply
                problem = why = f"{reply.status}"
                wait = max(wait, retry_after(reply.headers) or 0)
            logger.info("no good answer", extra={"url": question.url, "cause": why, "attempt": attempt})
            if wait > LONGEST_WAIT:
                problem += f", and wants {wait:.0f} seconds to pass"
                break
            host.pause(wait)
        raise SourceUnavailableError(
            f"{host.name} did not answer {question.method} {httpx.URL(question.url).path}: {problem}. "
            "Run the ingest again later: it goes on from here.",
        )

    async def _once(self, host: Host, question: _Question) -> _Reply:
        address = await question.reach.address(question.url)
        url, headers, extensions = httpx.URL(question.url), dict(question.headers), {}
        if address is not None:
            headers["Host"] = url.netloc.decode("ascii")
            extensions["sni_hostname"] = url.host
            url = url.copy_with(host=address)
        request = host.client.build_request(
            question.method, url, headers=headers, content=question.body, extensions=extensions
        )
        response = await host.client.send(request, stream=True)
        try:
            content = await _content(response, question)
        finally:
            await response.aclose()
        return self._judged(host, question, response, content)

    def _judged(self, host: Host, question: _Question, response: httpx.Response, content: bytes) -> _Reply:
        """Tells a refusal, and what is not what was asked for, from an answer."""
        status, headers, want = response.status_code, response.headers, question.want
        if challenge(status, headers, content, want):
            raise host.refuse(f"answered {status} with a challenge page")
        if want == "text":
            return _Reply(status, headers, content)
        if how := refusal(status, headers, content, want):
            raise host.refusal(f"{how} ({question.method} {httpx.URL(question.url).path})")
        value = orjson.loads(content) if want == "json" and status == HTTPStatus.OK else None
        if want == "image" and status == HTTPStatus.OK and not is_image(media_type(headers)):
            raise DocumentUnreadableError(f"{question.url} is {media_type(headers)}, not an image.")
        return _Reply(status, headers, content, value)

    def _host(self, url: str) -> Host:
        name = origin(url)
        if name not in self._hosts:
            # One client for each host: connections that were opened by address are of one name then.
            try:
                proxy = proxy_for(url)
            except SetupError as error:
                raise SourceUnavailableError(error.message) from error
            client = httpx.AsyncClient(
                headers={"User-Agent": self._agent, "Accept-Encoding": unpacking.ACCEPTED},
                timeout=self._timeout,
                verify=_certificates(),
                proxy=proxy,
                trust_env=False,
            )
            self._clients.push_async_callback(client.aclose)
            self._hosts[name] = Host(httpx.URL(url).netloc.decode("ascii"), client, self._interval)
        return self._hosts[name]


@asynccontextmanager
async def open_web(
    settings: Settings,
    log: FetchLog,
    *,
    interval_seconds: float = INTERVAL_SECONDS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> AsyncIterator[Web]:
    """Opens the client of all sources. It names itself, and `settings.contact` for who has questions."""
    # A header takes ASCII only.
    contact = quote((settings.contact or "").strip(), safe=" !#$&'()*+,/:;=?@[]~%")
    agent = f"{AGENT}/{version('checkerboard')}" + (f" (+{contact})" if contact else "")
    web = Web(agent, log, interval=interval_seconds, timeout_seconds=timeout_seconds)
    try:
        yield web
    finally:
        await web.aclose()


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities that are trusted; reading them takes some 40 ms, so once a process."""
    return httpx.create_ssl_context()


def _moved(question: _Question, location: str) -> _Question:
    try:
        url = str(httpx.URL(question.url).join(location))
    except httpx.InvalidURL as error:
        raise SourceUnavailableError(f"{question.url} redirects to no address: {error}") from error
    if url.startswith("http:") and question.url.startswith("https:"):
        raise SourceUnavailableError(f"{question.url} redirects to an unencrypted page.")
    return replace(question, url=url)


async def _content(response: httpx.Response, question: _Question) -> bytes:
    """Reads an answer up to LARGEST bytes, unpacked."""
    try:
        return await unpacking.body(response, LARGEST)
    except unpacking.TooLargeError as error:
        problem = f"{question.url} is larger than {LARGEST} bytes."
        kind = DocumentUnreadableError if question.want == "image" else SourceUnavailableError
        raise kind(problem) from error
