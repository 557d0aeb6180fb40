"""What came back from a site: the answer, its place in the log of fetches, and whether it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal, Protocol

import httpx

from ingest.errors import SourceUnavailableError

Want = Literal["json", "image", "text"]
"""What was asked for: a page of HTML in the place of JSON or an image is a refusal."""

_REFUSALS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS}
_CHALLENGE = re.compile(rb"__cf_chl|cf-challenge|cdn-cgi/challenge-platform|<title>\s*Just a moment", re.I)
_HTML = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)\b", re.I)
_LOOKED_AT = 65_536
"""Bytes of a body in which the marks of a challenge are looked for."""
_IMAGES = {"", "application/octet-stream", "binary/octet-stream", "application/pdf"}
"""Media types beside `image/*` that files of images are sent as."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """The last answer of a URL. `etag` and `last_modified` are as the server wrote them;
    `content_hash` is the SHA-256 of what it sent."""

    url: str
    etag: str | None
    last_modified: str | None
    content_hash: str | None
    fetched_at: datetime


class FetchLog(Protocol):
    """Remembers fetches over runs."""

    async def last(self, url: str) -> Fetch | None:
        """Returns the last fetch of `url`; None where there was none."""

    async def keep(self, fetch: Fetch) -> None:
        """Keeps a fetch in place of the one before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site answered. `value` is the JSON, where that was asked for and `status` is 200.

    `unchanged` says that it is what was sent when `fetch` was kept last, and that `content` may be
    empty therefore. Keep `fetch` (`Web.keep`) only when everything that was made of the answer is in
    safe hands: from then on it counts as taken.
    """

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

    def require(self) -> None:
        """Raises:
        SourceUnavailableError: the status is another than 200.
        """
        if not self.ok:
            said = self.content[:200].decode("utf-8", "replace").strip()
            raise SourceUnavailableError(f"{self.url} answered {self.status}: {said}")


def challenge(status: int, headers: httpx.Headers, body: bytes, want: Want) -> bool:
    """Whether an answer is a page that wants to see a person. Where HTML was asked for, only the
    header and a failing status with the marks of a challenge say so."""
    if "cf-mitigated" in headers:
        return True
    if not _is_html(headers, body):
        return False
    return (want != "text" or status >= HTTPStatus.BAD_REQUEST) and bool(_CHALLENGE.search(body[:_LOOKED_AT]))


def refusal(status: int, headers: httpx.Headers, body: bytes, want: Want) -> str | None:
    """Returns how an answer refuses, or None.

    A store of images says 403 with `AccessDenied` of a file that it has no longer: that is no refusal.
    """
    if challenge(status, headers, body, want):
        return f"answered {status} with a challenge page"
    if status in _REFUSALS and not (want == "image" and b"<Code>AccessDenied</Code>" in body[:_LOOKED_AT]):
        return f"answered {status}"
    if status == HTTPStatus.OK and want != "text" and _is_html(headers, body):
        return f"answered with a page of HTML where {'JSON' if want == 'json' else 'an image'} was asked for"
    return None


def media_type(headers: httpx.Headers) -> str:
    """Returns the media type without its parameters, in lower case."""
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()


def is_image(kind: str) -> bool:
    """Whether files of images are sent as media type `kind`."""
    return kind.startswith("image/") or kind in _IMAGES


def retry_after(headers: httpx.Headers) -> float | None:
    """Returns the seconds of a `Retry-After` header, which may name a date; None where there is none."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        wanted = parsedate_to_datetime(value)
    except ValueError:
        return None
    wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
    return max(0.0, (wanted - datetime.now(UTC)).total_seconds())


def _is_html(headers: httpx.Headers, body: bytes) -> bool:
    kind = media_type(headers)
    return kind in ("text/html", "application/xhtml+xml") or (
        kind != "application/json" and bool(_HTML.match(body))
    )
