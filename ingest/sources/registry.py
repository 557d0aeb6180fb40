"""Sources by how a person writes them: `kind:argument`, or `kind:argument@base-url`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from ingest.sources.ashby import AshbySource
from ingest.sources.folder import FolderSource
from ingest.sources.greenhouse import GreenhouseSource
from ingest.sources.jasoseol import NOT_PERMITTED, JasoseolSource
from ingest.sources.lever import LeverSource
from ingest.sources.source import Source
from ingest.sources.web import Web
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings

Opener = Callable[[str, str | None, Settings, Web], Source]
"""Makes a source of its argument and its base URL."""


@dataclass(frozen=True, slots=True)
class Description:
    """A kind of source, for people. `off` says why it is off; null: it is on."""

    kind: str
    written: str
    what: str
    off: str | None


_OPENERS: dict[str, Opener] = {
    "folder": lambda argument, _, __, ___: FolderSource(argument),
    "greenhouse": lambda argument, base, _, web: GreenhouseSource(argument, web, base),
    "lever": lambda argument, base, _, web: LeverSource(argument, web, base),
    "ashby": lambda argument, base, _, web: AshbySource(argument, web, base),
    "jasoseol": lambda argument, base, settings, web: JasoseolSource(
        argument, web, base, permission=settings.jasoseol_permission
    ),
}


def describe(settings: Settings) -> list[Description]:
    """Returns every kind of source, how to write it, and whether it is on."""
    rows = [
        ("folder", "folder:PATH", "posters, pages and rows: webp png jpg pdf html md txt jsonl csv"),
        ("greenhouse", "greenhouse:BOARD", "the jobs at boards.greenhouse.io/BOARD"),
        ("lever", "lever:SITE", "the jobs at jobs.lever.co/SITE; with @https://api.eu.lever.co, in Europe"),
        ("ashby", "ashby:BOARD", "the jobs at jobs.ashbyhq.com/BOARD"),
        ("jasoseol", "jasoseol:2024-01..2024-12", "자소설닷컴: postings for IT duties, by month"),
    ]
    off = {} if settings.jasoseol_permission else {"jasoseol": NOT_PERMITTED}
    return [Description(kind, written, what, off.get(kind)) for kind, written, what in rows]


def open_source(spec: str, settings: Settings, web: Web) -> Source:
    """Returns the source that `spec` names. Nothing is asked yet.

    Raises:
        InvalidRequestError: there is no such kind, folder or range of dates; the message says what is right.
    """
    kind, colon, argument = spec.strip().partition(":")
    if not colon or kind not in _OPENERS:
        forms = ", ".join(row.written for row in describe(settings))
        raise InvalidRequestError(f"{spec!r} names no source. Write one of {forms}.")
    base = None
    if kind != "folder":
        argument, base = _split(argument, spec)
    return _OPENERS[kind](argument, base, settings, web)


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
