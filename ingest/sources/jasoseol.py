"""자소설닷컴: postings for IT duties, by month. Off until its owner's permission is stated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from ingest.documents import Collected, Listed, RawFile
from ingest.errors import DocumentUnreadableError, SourceRefusedError, SourceUnavailableError
from ingest.parsers.data_urls import is_data_url, read_data_url
from ingest.sources import jasoseol_rows as rows
from ingest.sources.web import Answer, Fetch, Reach, Web, origin
from tools.core.logs import cause

logger = logging.getLogger(__name__)

SITE = "https://jasoseol.com"
POSTERS = "https://daoift3qrrnil.cloudfront.net"
"""Where the site keeps the images of its postings."""
NOT_PERMITTED = (
    "The terms of service of 자소설닷컴 (article 14) forbid automated collection. If its owner has permitted "
    'you to collect, say who and when: CHECKERBOARD_JASOSEOL_PERMISSION="…". '
    "Otherwise collect an export of your own as a folder."
)
FAILURES = 5
"""Postings in a row that cannot be fetched, after which the site counts as out of order."""


class JasoseolSource:
    """`jasoseol:2024-01..2024-12`: postings that were open in these months and are for IT duties.

    A posting is its poster: the images in its content, in order, after the content itself where that
    says something in words. What has not changed since it was taken is not fetched again; a posting
    that was taken after its end is not even asked for. A past month says nothing of what is open now, so
    no `Listed` is yielded.
    """

    def __init__(self, argument: str, web: Web, base: str | None = None, *, permission: str | None) -> None:
        """Takes the months, and who permitted the collection, as the user states it.

        Raises:
            InvalidRequestError: this is no range of months.
        """
        self.name = f"jasoseol:{argument}" if base is None else f"jasoseol:{argument}@{base}"
        self._months = rows.months(argument)
        self._web = web
        self._base = base or SITE
        self._permission = (permission or "").strip()
        self._site = Reach.of(self._base)
        self._anywhere = Reach.of(self._base, *([] if base else [POSTERS]), others=True)
        self._newer_details = False

    async def documents(self) -> AsyncGenerator[Collected | Listed, None]:
        """Yields the postings, month by month. Raises as `Source.documents`."""
        if not self._permission:
            raise SourceRefusedError(f"source refused: {NOT_PERMITTED}")
        it = await self._it_duties()
        seen: set[int] = set()
        failures = 0
        for month in self._months:
            for row in await self._listed(month):
                # A posting stands in the list of each month that it was open in.
                if row["id"] in seen or not rows.may_be_it(row, it) or not month.meets(row):
                    continue
                seen.add(row["id"])
                try:
                    document, fetch = await self._posting(row, it)
                except SourceUnavailableError as error:
                    failures += 1
                    logger.warning("posting passed over", extra={"id": row["id"], "cause": cause(error)})
                    if failures == FAILURES:
                        raise
                    continue
                failures = 0
                if document is not None:
                    yield document
                # Not earlier: what was not taken would never be sent again.
                if fetch is not None:
                    await self._web.keep(fetch)

    async def _it_duties(self) -> frozenset[int]:
        """Asks for the tree of duties; the ids that are known stand in for it."""
        url = f"{self._base}/api/v1/duty-groups"
        try:
            answer = await self._web.get(url, want="json", reach=self._site)
            found = rows.it_duties(answer.value)
            problem = f"answered {answer.status} without the duty IT·인터넷"
        except SourceUnavailableError as error:
            found, problem = None, cause(error)
        if found is None:
            logger.warning("duties not read, the known ones are taken", extra={"problem": problem})
            return rows.KNOWN_IT_DUTIES
        return found

    async def _listed(self, month: rows.Month) -> list[dict[str, Any]]:
        """Asks for the postings of a month."""
        answer = await self._web.post(
            f"{self._base}/employment/calendar_list.json", month.body(), reach=self._site
        )
        answer.require()
        listed = answer.value.get("employment") if isinstance(answer.value, dict) else None
        if not isinstance(listed, list):
            raise SourceUnavailableError(f"{answer.url} answered in a shape that is not known.")
        found = [row for row in listed if isinstance(row, dict) and isinstance(row.get("id"), int)]
        if len(found) < len(listed):
            extra = {"rows": len(listed) - len(found), "month": f"{month.start:%Y-%m}"}
            logger.warning("rows of the listing passed over", extra=extra)
        return found

    async def _posting(
        self, row: dict[str, Any], it: frozenset[int]
    ) -> tuple[Collected | None, Fetch | None]:
        """Returns a posting as a document, where it is for IT and new; and what to remember of it."""
        page = f"{self._base}/recruit/{row['id']}"
        last, end = await self._web.last(page), rows.moment(row.get("end_time"))
        if last is not None and end is not None and last.fetched_at >= end:
            return None, None
        detail, answer = await self._detail(row["id"])
        if detail is None:
            logger.warning("posting is gone", extra={"id": row["id"]})
            return None, None
        fetch = Fetch(page, None, None, rows.fingerprint(detail), datetime.now(UTC))
        positions = rows.it_positions(detail, it)
        if not positions or (last is not None and last.content_hash == fetch.content_hash):
            return None, fetch
        urls, words = await asyncio.to_thread(rows.images_and_text, detail.get("content"), page)
        images, missing, for_good = await self._images(urls)
        html = [RawFile(f"{row['id']}.html", "text/html", detail["content"].encode())] if words else []
        if not html and not images:
            logger.warning("posting has no poster and no text", extra={"id": row["id"], "missing": missing})
            return None, None if missing else fetch
        provenance = {
            "url": page,
            "requests": [f"{self._base}/employment/calendar_list.json", answer.url],
            "fetched_at": fetch.fetched_at.isoformat(),
            "permission": self._permission,
            "images": [_shown(url) for url in urls],
            "missing": missing,
        }
        files = (*html, *images)
        hints = rows.hints(detail, positions, page)
        document = Collected("jasoseol", str(row["id"]), files, hints, provenance=provenance)
        return document, fetch if for_good else None

    async def _detail(self, number: int) -> tuple[dict[str, Any] | None, Answer]:
        """Asks for a posting, in the newer way where the older one does not answer; None: it is gone."""
        older_answers = not self._newer_details
        if older_answers:
            url = f"{self._base}/employment/get.json"
            body = {"employment_company_id": number, "skip_read_log": True}
            try:
                answer = await self._web.post(url, body, reach=self._site)
            except SourceUnavailableError as error:
                logger.warning("details are asked for in the newer way", extra={"cause": cause(error)})
                older_answers = False
            else:
                if _is_posting(answer.value, number):
                    return answer.value, answer
        url = f"{self._base}/api/v1/employment_companies/{number}?skip_read_log=true"
        answer = await self._web.get(url, want="json", reach=self._site)
        if not _is_posting(answer.value, number):
            return None, answer
        # Waiting for what does not answer, at each of thousands of postings, would take days.
        self._newer_details = not older_answers
        return answer.value, answer

    async def _images(self, urls: list[str]) -> tuple[list[RawFile], list[str], bool]:
        """Fetches images. Returns those that are there, the addresses of the others, and whether these
        are missing for good.

        Raises:
            SourceUnavailableError: one of the site's own does not answer now.
        """
        images, missing, for_good = [], [], True
        for url in urls:
            try:
                images.append(_inline(url) if is_data_url(url) else await self._image(url))
            except (DocumentUnreadableError, SourceUnavailableError) as error:
                if isinstance(error, SourceUnavailableError):
                    if origin(url) in self._anywhere.own:
                        raise
                    for_good = False
                logger.warning("image is missing", extra={"url": _shown(url), "cause": cause(error)})
                missing.append(_shown(url))
        return images, missing, for_good

    async def _image(self, url: str) -> RawFile:
        try:
            answer = await self._web.get(url, want="image", reach=self._anywhere)
        except SourceRefusedError as error:
            # A stranger's server that refuses says nothing of what 자소설닷컴 wants.
            if origin(url) in self._anywhere.own:
                raise
            raise DocumentUnreadableError(error.message) from error
        if not answer.ok:
            raise DocumentUnreadableError(f"{url} answered {answer.status}.")
        name = unquote(PurePosixPath(urlsplit(url).path).name) or "image"
        return RawFile(name, answer.media_type, answer.content)


def _is_posting(value: Any, number: int) -> bool:
    return isinstance(value, dict) and value.get("ret", True) is not False and value.get("id") == number


def _inline(url: str) -> RawFile:
    """Reads an image that stands in the page itself."""
    found = read_data_url(url)
    if found is None:
        raise DocumentUnreadableError("an image within the page is broken.")
    if not found.media_type.startswith("image/") or not found.content:
        raise DocumentUnreadableError(f"{found.media_type} within the page is no image.")
    return RawFile("inline", found.media_type, found.content)


def _shown(url: str) -> str:
    """An address for the provenance; an image within the page has none."""
    return "data:" if is_data_url(url) else url
