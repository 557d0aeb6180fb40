"""What the public boards of recruiting software have in common: a listing as JSON, and a page for each
job."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar
from urllib.parse import quote

from ingest.documents import Collected, Hints, Listed, RawFile
from ingest.errors import SourceUnavailableError
from ingest.sources.web import AllowedHosts, Answer, Fetch, Web
from tools.core.errors import InvalidRequestError
from tools.core.logs import cause
from tools.core.text import web_address

logger = logging.getLogger(__name__)

_BOARD = re.compile(r"[\w.&+-](?:[\w .&+-]{0,98}[\w.&+-])?")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a board: its id there, its page, and what the board says beside it."""

    id: str
    html: bytes
    hints: Hints
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """A board's jobs as its answers have them. `complete`: these are all. `fetch` is recorded once they are
    stored, where one answer had all of them."""

    jobs: list[Any]
    answers: list[Answer]
    complete: bool = True
    fetch: Fetch | None = None


class Board:
    """The open jobs of one board.

    Documents are of the source `kind`, under the board's ids. A complete listing is followed by a `Listed`
    for `scope`, the board; one that has not changed since it was taken last yields nothing."""

    kind: ClassVar[str]
    home: ClassVar[str]
    """The address of the API, unless the specification names another."""
    title: ClassVar[str]
    """The software's name, as people write it."""

    def __init__(self, argument: str, web: Web, base: str | None = None) -> None:
        """Takes the board's name, which is also in the address of its page.

        Raises:
            InvalidRequestError: this cannot be the name of a board.
        """
        if not _BOARD.fullmatch(argument):
            raise InvalidRequestError(
                f"{self.kind}:{argument} names no board of {self.title}. Write the name that stands in the "
                f"address of the board: {self.kind}:acme.",
            )
        self.scope = argument if base is None else f"{argument}@{base}"
        self.name = f"{self.kind}:{self.scope}"
        self.board = argument
        self.path = quote(argument, safe="")
        self.base = base or self.home
        self.web = web
        self.allowed = AllowedHosts.of(self.base)

    async def documents(self) -> AsyncGenerator[Collected | Listed, None]:
        """Yields the jobs of the board, then a `Listed`.

        Raises:
            InvalidRequestError: there is no such board.
            SourceRefusedError, SourceUnavailableError: as `Source.documents`.
        """
        listing = await self.listing()
        if listing is None:
            logger.info("board has not changed", extra={"source": self.name})
            return
        complete, seen = listing.complete, set()
        for row in listing.jobs:
            try:
                job = self.job(row)
            except (TypeError, ValueError) as error:
                complete = False
                logger.warning("job passed over", extra={"source": self.name, "cause": cause(error)})
                continue
            if job is None or job.id in seen:
                continue
            seen.add(job.id)
            yield self._document(job, listing.answers)
        if not complete:
            logger.warning("listing is not whole: no job is withdrawn", extra={"source": self.name})
            return
        yield Listed(self.kind, self.scope, frozenset(seen))
        # Only now: a fetch counts as taken, and what was taken is not sent again.
        if listing.fetch is not None:
            await self.web.log.record(listing.fetch)

    async def listing(self) -> Listing | None:
        """Fetches the board's jobs; None: they have not changed since they were taken last."""
        raise NotImplementedError

    def job(self, row: Any) -> Job | None:
        """Reads one job; None: it is not for the public.

        Raises:
            TypeError, ValueError: it lacks what makes a job.
        """
        raise NotImplementedError

    async def fetch_jobs(self, url: str) -> tuple[Answer, list[Any]] | None:
        """Fetches a board that comes in one answer, an object with its `jobs`; None: it has not changed
        since it was taken last.

        Raises:
            InvalidRequestError, SourceRefusedError, SourceUnavailableError: as `documents`.
        """
        answer = await self.web.get(url, want="json", allowed=self.allowed, conditional=True)
        if answer.unchanged:
            return None
        self.require_board(answer)
        jobs = answer.value.get("jobs") if isinstance(answer.value, dict) else None
        if not isinstance(jobs, list):
            raise self.unknown_shape(answer)
        return answer, jobs

    def require_board(self, answer: Answer) -> None:
        """Raises:
        InvalidRequestError: there is no such board.
        SourceUnavailableError: the answer is another than the listing.
        """
        if answer.status == 404:  # noqa: PLR2004 - not found
            raise InvalidRequestError(
                f"{self.title} has no board {self.board!r} at {self.base}. {self.hint}".rstrip(),
            )
        answer.require_ok()

    hint: ClassVar[str] = ""
    """What to try when a board is not found."""

    def unknown_shape(self, answer: Answer) -> SourceUnavailableError:
        """Returns the error for an answer that is no listing."""
        return SourceUnavailableError(f"{answer.url} answered in a shape that is not known.")

    def _document(self, job: Job, answers: list[Answer]) -> Collected:
        provenance = {
            "url": job.hints.url,
            "requests": [answer.url for answer in answers],
            "fetched_at": answers[-1].fetch.fetched_at.isoformat(),
            **{key: value for key, value in job.provenance.items() if value},
        }
        file = RawFile(f"{job.id}.html", "text/html", job.html)
        return Collected(self.kind, job.id, (file,), job.hints, self.scope, provenance)


def page(title: str, *parts: str | None) -> bytes:
    """Returns a page of HTML with a title and parts of HTML. The same job gives the same page, so that a
    job that was not edited is not parsed again."""
    head = f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"><title>{escape(title)}</title></head>'
    body = "\n".join(part for part in parts if part)
    return f"{head}\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n".encode()


def paragraphs(plain: str | None) -> str:
    """Returns plain text as HTML: a paragraph for each line."""
    return "\n".join(f"<p>{escape(line)}</p>" for line in (plain or "").splitlines() if line.strip())


def required(row: Any, key: str) -> str:
    """Returns the text (or a number's digits) at a required key.

    Raises:
        TypeError, ValueError: it has none.
    """
    if not isinstance(row, dict):
        raise TypeError("a job is not an object")
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"a job has no {key}")
    return str(value).strip()


def text(value: Any, *keys: str) -> str | None:
    """Returns the text at `keys` in nested objects; None where there is none, or something else."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value.strip() or None if isinstance(value, str) else None


def address(value: Any, key: str) -> str | None:
    """Returns the web address at `key`; None where there is none, or (logged) no web address."""
    written = text(value, key)
    url = web_address(written)
    if written is not None and url is None:
        logger.warning("a job's address is none of a web page", extra={"address": written[:200]})
    return url


def texts(values: Any, *keys: str) -> list[str]:
    """Returns the text at `keys` in each of a list's objects, each once."""
    listed = values if isinstance(values, list) else ()
    return list(dict.fromkeys(filter(None, (text(value, *keys) for value in listed))))
