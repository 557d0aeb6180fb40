"""The HTTP client of all sources: it names itself, sends at most a request a second to each host, and never
goes past a refusal."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Literal, Protocol
from urllib.parse import quote

import httpx
import orjson

from ingest import http_answers
from ingest.errors import DocumentUnreadableError, SourceUnavailableError
from ingest.sources.web.addresses import AllowedHosts, Networks, origin
from ingest.sources.web.hosts import AGENT, Host
from tools.core.errors import SetupError
from tools.core.logs import cause
from tools.core.proxies import proxy_for
from tools.core.settings import Settings

logger = logging.getLogger(__name__)

Want = Literal["json", "image", "text"]
"""What is asked for. A page of HTML in the place of JSON or an image is a refusal."""

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
_REDIRECTS = {301, 302, 303, 307, 308}
_REFUSALS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS}
_ACCEPT: dict[Want, str] = {
    "json": "application/json",
    "image": "image/webp,image/*;q=0.9,*/*;q=0.1",
    "text": "text/plain,*/*;q=0.1",
}
_CHALLENGE = re.compile(rb"__cf_chl|cf-challenge|cdn-cgi/challenge-platform|<title>\s*Just a moment", re.I)
_HTML = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)\b", re.I)
_SEARCHED_BYTES = 65_536
"""Bytes of a body in which the marks of a challenge are looked for."""
_IMAGES = {"", "application/octet-stream", "binary/octet-stream", "application/pdf"}
"""Media types beside `image/*` that files of images are sent as."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """The last answer of a URL. `etag` and `last_modified` are as the server wrote them; `content_hash` is
    the SHA-256 of what it sent."""

    url: str
    etag: str | None
    last_modified: str | None
    content_hash: str | None
    fetched_at: datetime


class FetchLog(Protocol):
    """Records fetches over runs."""

    async def last(self, url: str) -> Fetch | None:
        """Returns the last recorded fetch of `url`; None where there is none."""

    async def record(self, fetch: Fetch) -> None:
        """Records a fetch in place of the last one of its URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a site. `value` is the JSON, where that was asked for and `status` is 200.

    `unchanged`: it is the same as when `fetch` was recorded last, and `content` may therefore be empty.
    Record `fetch` (`Web.log`) only when everything that was made of the answer is stored: from then on
    it counts as taken."""

    url: str
    status: int
    media_type: str
    content: bytes
    fetch: Fetch
    value: Any = None
    unchanged: bool = False

    @property
    def ok(self) -> bool:
        """Whether the status is 200."""
        return self.status == HTTPStatus.OK

    def require_ok(self) -> None:
        """Raises:
        SourceUnavailableError: the status is another than 200.
        """
        if not self.ok:
            body = self.content[:200].decode("utf-8", "replace").strip()
            raise SourceUnavailableError(f"{self.url} answered {self.status}: {body}")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    want: Want
    allowed: AllowedHosts
    headers: dict[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: httpx.Headers
    content: bytes
    value: Any = None

    def redirect(self) -> str | None:
        """Returns the address to which a redirect leads."""
        return self.headers.get("location") if self.status in _REDIRECTS else None


class Web:
    """The client. There is one for all sources of a process, so that they share the pace of each host."""

    def __init__(
        self, agent: str, log: FetchLog, *, interval: float, timeout_seconds: float, networks: Networks = ()
    ) -> None:
        """`interval` is the time between two requests to one host, `timeout_seconds` that without a byte;
        in `networks` sources may be, though they are not public."""
        self._agent = agent
        self.log = log
        self._interval = interval
        self._timeout = timeout_seconds
        self._networks = networks
        self._hosts: dict[str, Host] = {}
        self._clients = AsyncExitStack()

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._clients.aclose()

    async def get(self, url: str, *, want: Want, allowed: AllowedHosts, conditional: bool = False) -> Answer:
        """Returns the answer of `url`. With `conditional`, an answer that is as when it was recorded last
        is marked as unchanged.

        Statuses that are neither refusals nor transient (404, 400) are returned.

        Raises:
            SourceRefusedError: robots.txt, 401, 403, 451 or a challenge page; it is not tried again.
            SourceUnavailableError: it did not answer in four tries, or with something else.
            DocumentUnreadableError: it is too large, no image, or at an address that may not be read.
        """
        last = await self.log.last(url) if conditional else None
        headers = {"Accept": _ACCEPT[want]}
        if last is not None and last.etag is not None:
            headers["If-None-Match"] = last.etag
        if last is not None and last.last_modified is not None:
            headers["If-Modified-Since"] = last.last_modified
        return await self._answer(_Request("GET", url, want, allowed, headers), last)

    async def post(self, url: str, body: Any, *, allowed: AllowedHosts) -> Answer:
        """Sends JSON and returns the answer, JSON too. Raises as `get`."""
        headers = {"Accept": _ACCEPT["json"], "Content-Type": "application/json"}
        return await self._answer(_Request("POST", url, "json", allowed, headers, orjson.dumps(body)), None)

    async def _answer(self, request: _Request, last: Fetch | None) -> Answer:
        response = await self._follow(request)
        unchanged = response.status == HTTPStatus.NOT_MODIFIED and last is not None
        if last is not None and unchanged:
            fetch = replace(last, fetched_at=datetime.now(UTC))
        else:
            fetch = Fetch(
                url=request.url,
                etag=response.headers.get("etag"),
                last_modified=response.headers.get("last-modified"),
                content_hash=hashlib.sha256(response.content).hexdigest(),
                fetched_at=datetime.now(UTC),
            )
            same = last is not None and last.content_hash == fetch.content_hash
            unchanged = same and response.status == HTTPStatus.OK
        return Answer(
            url=request.url,
            status=response.status,
            media_type=media_type(response.headers),
            content=response.content,
            fetch=fetch,
            value=response.value,
            unchanged=unchanged,
        )

    async def _follow(self, request: _Request) -> _Response:
        """Follows redirects; each is checked as the first request is."""
        for _ in range(MOST_REDIRECTS + 1):
            host = self._host(request.url)
            await host.require_allowed(request.url, partial(self._fetch_robots, allowed=request.allowed))
            response = await self._retry(host, request)
            if (location := response.redirect()) is None:
                return response
            if request.method != "GET":
                raise SourceUnavailableError(f"{request.url} redirects what is sent to it.")
            request = _redirected(request, location)
        raise SourceUnavailableError(f"{request.url} redirects more than {MOST_REDIRECTS} times.")

    async def _fetch_robots(self, url: str, allowed: AllowedHosts) -> tuple[int, bytes]:
        headers = {"Accept": _ACCEPT["text"]}
        request = _Request("GET", url, "text", replace(allowed, others=True), headers)
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._retry(self._host(request.url), request)
            if (location := response.redirect()) is None:
                return response.status, response.content
            request = _redirected(request, location)
        return HTTPStatus.NOT_FOUND, b""

    async def _retry(self, host: Host, request: _Request) -> _Response:
        """Sends a request up to TRIES times. Written out and not by a library: what waits between two tries
        is the host, for all requests to it, and the server may say for how long."""
        problem = why = ""
        for attempt in range(TRIES):
            # Spread, so that sources that failed together do not come back together.
            wait = self._interval * 2**attempt * random.uniform(1, 1.5)  # noqa: S311 - no secret
            await host.turn()
            try:
                async with asyncio.timeout(10 * self._timeout):
                    response = await self._send(host, request)
            except (httpx.RequestError, OSError, TimeoutError) as error:
                problem, why = f"{type(error).__name__}: {error}".rstrip(": "), cause(error)
            except orjson.JSONDecodeError as error:
                problem, why = f"broken JSON: {error}", cause(error)
            else:
                if response.status not in _RETRIED:
                    return response
                problem = why = f"{response.status}"
                wait = max(wait, http_answers.retry_after(response.headers) or 0)
            logger.info("no good answer", extra={"url": request.url, "cause": why, "attempt": attempt})
            if wait > LONGEST_WAIT:
                problem += f", and wants {wait:.0f} seconds to pass"
                break
            host.pause(wait)
        raise SourceUnavailableError(
            f"{host.name} did not answer {request.method} {httpx.URL(request.url).path}: {problem}. "
            "Run the ingest again later: it goes on from here."
        )

    async def _send(self, host: Host, request: _Request) -> _Response:
        response = await self._connected(host, request)
        try:
            content = await http_answers.body(response, LARGEST)
        except http_answers.TooLargeError as error:
            problem = f"{request.url} is larger than {LARGEST} bytes."
            kind = DocumentUnreadableError if request.want == "image" else SourceUnavailableError
            raise kind(problem) from error
        finally:
            await response.aclose()
        return self._checked(host, request, response, content)

    async def _connected(self, host: Host, request: _Request) -> httpx.Response:
        """Sends a request to the first of its host's addresses that takes a connection; its certificate has
        to be the name's. Through a proxy it is sent by name: where that leads, the proxy finds out."""
        url, headers = httpx.URL(request.url), dict(request.headers)
        if host.proxied:
            await request.allowed.require_through_proxy(request.url, self._networks)
            built = host.client.build_request(request.method, url, headers=headers, content=request.body)
            return await host.client.send(built, stream=True)
        headers["Host"] = url.netloc.decode("ascii")
        addresses = await request.allowed.addresses(request.url, self._networks)
        for address in addresses:
            built = host.client.build_request(
                request.method,
                url.copy_with(host=address),
                headers=headers,
                content=request.body,
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            )
            try:
                return await host.client.send(built, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise SourceUnavailableError(f"{host.name} has no address.")

    def _checked(self, host: Host, request: _Request, response: httpx.Response, content: bytes) -> _Response:
        """Returns an answer that is what was asked for. Raises as `get` for refusals and for other things."""
        status, headers, want = response.status_code, response.headers, request.want
        if _is_challenge(status, headers, content, want):
            raise host.refuse(f"answered {status} with a challenge page")
        if want == "text":
            return _Response(status, headers, content)
        if how := _refusal(status, headers, content, want):
            raise host.refusal(f"{how} ({request.method} {httpx.URL(request.url).path})")
        value = orjson.loads(content) if want == "json" and status == HTTPStatus.OK else None
        if want == "image" and status == HTTPStatus.OK and not _is_image(media_type(headers)):
            raise DocumentUnreadableError(f"{request.url} is {media_type(headers)}, not an image.")
        return _Response(status, headers, content, value)

    def _host(self, url: str) -> Host:
        name = origin(url)
        if name not in self._hosts:
            # One client for each host: requests go to addresses, and a pooled connection must be of the
            # same name.
            try:
                proxy = proxy_for(url)
            except SetupError as error:
                raise SourceUnavailableError(error.message) from error
            client = httpx.AsyncClient(
                headers={"User-Agent": self._agent, "Accept-Encoding": http_answers.ACCEPTED},
                timeout=self._timeout,
                verify=_certificates(),
                proxy=proxy,
                trust_env=False,
            )
            self._clients.push_async_callback(client.aclose)
            self._hosts[name] = Host(
                httpx.URL(url).netloc.decode("ascii"), client, self._interval, proxied=proxy is not None
            )
        return self._hosts[name]


@asynccontextmanager
async def open_web(
    settings: Settings,
    log: FetchLog,
    *,
    interval_seconds: float = INTERVAL_SECONDS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> AsyncIterator[Web]:
    """Opens the client. It names itself, and `settings.contact` for questions."""
    # A header takes ASCII only.
    contact = quote((settings.contact or "").strip(), safe=" !#$&'()*+,/:;=?@[]~%")
    agent = f"{AGENT}/{version('checkerboard')}" + (f" (+{contact})" if contact else "")
    web = Web(
        agent,
        log,
        interval=interval_seconds,
        timeout_seconds=timeout_seconds,
        networks=settings.source_networks,
    )
    try:
        yield web
    finally:
        await web.aclose()


def media_type(headers: httpx.Headers) -> str:
    """Returns the media type without its parameters, in lower case."""
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()


@cache
def _certificates() -> ssl.SSLContext:
    """Returns the trusted authorities; reading them takes some 40 ms, so once a process."""
    return httpx.create_ssl_context()


def _redirected(request: _Request, location: str) -> _Request:
    try:
        url = str(httpx.URL(request.url).join(location))
    except httpx.InvalidURL as error:
        raise SourceUnavailableError(f"{request.url} redirects to no address: {error}") from error
    if url.startswith("http:") and request.url.startswith("https:"):
        raise SourceUnavailableError(f"{request.url} redirects to an unencrypted page.")
    return replace(request, url=url)


def _is_challenge(status: int, headers: httpx.Headers, body: bytes, want: Want) -> bool:
    """Whether an answer is a page that wants to see a person. Where text was asked for, only the header, or
    a failing status with the marks of a challenge, count."""
    if "cf-mitigated" in headers:
        return True
    if not _is_html(headers, body):
        return False
    marked = bool(_CHALLENGE.search(body[:_SEARCHED_BYTES]))
    return marked and (want != "text" or status >= HTTPStatus.BAD_REQUEST)


def _refusal(status: int, headers: httpx.Headers, body: bytes, want: Want) -> str | None:
    """Returns how an answer refuses, or None.

    A store of images answers 403 with `AccessDenied` for a file that it has no longer: that is no refusal.
    """
    gone = want == "image" and b"<Code>AccessDenied</Code>" in body[:_SEARCHED_BYTES]
    if status in _REFUSALS and not gone:
        return f"answered {status}"
    if status == HTTPStatus.OK and _is_html(headers, body):
        return f"answered with a page of HTML where {'JSON' if want == 'json' else 'an image'} was asked for"
    return None


def _is_image(kind: str) -> bool:
    return kind.startswith("image/") or kind in _IMAGES


def _is_html(headers: httpx.Headers, body: bytes) -> bool:
    kind = media_type(headers)
    return kind in ("text/html", "application/xhtml+xml") or (
        kind != "application/json" and bool(_HTML.match(body))
    )
