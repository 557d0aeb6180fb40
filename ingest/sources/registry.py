"""The interface of all sources, and every kind by how a person writes it: `kind:argument`, or
`kind:argument@base-url`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import httpx

from ingest.documents import Collected, Listed
from ingest.sources.ashby import AshbySource
from ingest.sources.folder import FolderSource
from ingest.sources.greenhouse import GreenhouseSource
from ingest.sources.jasoseol import NOT_PERMITTED, JasoseolSource
from ingest.sources.lever import LeverSource
from ingest.sources.web import Web
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings


class Source(Protocol):
    """Where postings come from."""

    @property
    def name(self) -> str:
        """Its specification as a person writes it: `greenhouse:acme`, `folder:posters`."""

    def documents(self) -> AsyncIterator[Collected | Listed]:
        """Yields what the source has now, one document at a time.

        A document that cannot be fetched is logged and passed over, and no `Listed` is yielded for its
        scope then. An error ends the source.

        Raises:
            SourceRefusedError: the source refuses to be read; it is not tried again in this run.
            SourceUnavailableError: the source did not answer after every retry.
            InvalidRequestError: there is no such folder, board or date range.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source: how to write it, what it has, and how to open it with its argument and its base
    URL."""

    written: str
    what: str
    open: Callable[[str, str | None, Settings, Web], Source]


KINDS = {
    "folder": Kind(
        "folder:PATH",
        "posters, pages and rows: webp png jpg pdf html md txt jsonl csv",
        lambda argument, _, __, ___: FolderSource(argument),
    ),
    "greenhouse": Kind(
        "greenhouse:BOARD",
        "the jobs at boards.greenhouse.io/BOARD",
        lambda argument, base, _, web: GreenhouseSource(argument, web, base),
    ),
    "lever": Kind(
        "lever:SITE",
        "the jobs at jobs.lever.co/SITE; with @https://api.eu.lever.co, in Europe",
        lambda argument, base, _, web: LeverSource(argument, web, base),
    ),
    "ashby": Kind(
        "ashby:BOARD",
        "the jobs at jobs.ashbyhq.com/BOARD",
        lambda argument, base, _, web: AshbySource(argument, web, base),
    ),
    "jasoseol": Kind(
        "jasoseol:2024-01..2024-12",
        "자소설닷컴: postings for IT duties, by month",
        lambda argument, base, settings, web: JasoseolSource(
            argument, web, base, permission=settings.jasoseol_permission
        ),
    ),
}


def reasons_off(settings: Settings) -> dict[str, str]:
    """Returns why kinds of sources are off, by their names; those that are on are left out."""
    return {} if settings.jasoseol_permission else {"jasoseol": NOT_PERMITTED}


def open_source(spec: str, settings: Settings, web: Web) -> Source:
    """Returns the source of a specification. Nothing is fetched yet.

    Raises:
        InvalidRequestError: there is no such kind, folder or range of dates; the message says what is right.
    """
    kind, colon, argument = spec.strip().partition(":")
    if not colon or kind not in KINDS:
        forms = ", ".join(known.written for known in KINDS.values())
        raise InvalidRequestError(f"{spec!r} names no source. Write one of {forms}.")
    base = None
    if kind != "folder":
        argument, base = _split(argument, spec)
    return KINDS[kind].open(argument, base, settings, web)


def _split(argument: str, spec: str) -> tuple[str, str | None]:
    """Splits `acme@https://api.eu.lever.co`."""
    name, at, base = argument.partition("@")
    if not at:
        return argument, None
    try:
        url = httpx.URL(base)
        plain = not (url.query or url.fragment or url.userinfo)
        right = plain and url.scheme in ("http", "https") and bool(url.host)
    except httpx.InvalidURL:
        right = False
    if not right:
        raise InvalidRequestError(f"{spec}: {base!r} is no address. Write https://host after the @.")
    return name, base.rstrip("/")
