"""자소설닷컴: postings for IT duties, by month. Off until its owner's permission is stated."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import lxml.html
import orjson
from lxml import etree

from ingest.documents import Collected, Hints, Listed, RawFile
from ingest.errors import DocumentUnreadableError, SourceRefusedError, SourceUnavailableError
from ingest.parsers.html_embedded import displayed_url, image_urls, is_tracking_pixel
from ingest.parsers.html_tokens import is_data_url, read_data_url
from ingest.sources.web import AllowedHosts, Answer, Fetch, Web, origin
from tools.core.errors import InvalidRequestError
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
"""Postings in a row that cannot be fetched, after which the source ends."""
KST = timezone(timedelta(hours=9), "KST")
IT_ROOT = "IT인터넷"
"""The root of the duties that are collected, `IT·인터넷`, in letters only."""
KNOWN_IT_DUTIES = frozenset({94, *range(160, 183)})
"""The root and the duties below it as of 2026."""
MANY_DUTIES = 15
"""A posting for more duties is for IT only where the name of a position or the title says so: companies
list all duties for a general recruitment."""
MOST_IMAGES = 30

_RANGE = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])(?:\.\.(20\d\d)-(0[1-9]|1[0-2]))?")
_OTHER_DEVELOPMENT = re.compile(
    r"(사업|상품|제품|신약|의약품|부동산|콘텐츠|교육|인재|지역|도시|해외|시장|브랜드|디자인|메뉴|소재|공정)\s*개발"
)
_TECH = re.compile(
    r"개발|프로그래머|프로그래밍|소프트웨어|데이터|인공지능|머신러닝|딥러닝|서버|백엔드|프론트엔드|풀스택|클라우드|정보보안|"
    r"정보보호|네트워크|임베디드|펌웨어|전산|알고리즘|안드로이드|플랫폼|DB\s*관리|"
    r"(?<![A-Za-z])(?:IT|ICT|SW|S/W|AI|ML|QA|DBA|DevOps|SRE|iOS|UI|UX|ERP|SAP|developer|software|"
    r"data|back-?end|front-?end|full-?stack|cloud|security|programmer)(?![A-Za-z])",
    re.IGNORECASE,
)
_DIVISIONS = {
    1: ("신입",),
    2: ("경력",),
    3: ("인턴",),
    4: ("계약직",),
    5: ("신입", "경력"),
    6: ("신입", "인턴"),
    7: ("교육",),
}
"""Codes as the site's own script has them."""
_NOT_REGULAR = {3, 4, 7}


class JasoseolSource:
    """`jasoseol:2024-01..2024-12`: postings that were open in these months and are for IT duties.

    The files of a posting are the images in its content, in order, after the content itself where that has
    any text. A posting that has not changed since it was taken is not fetched again; one that was taken
    after its end is not requested. A past month does not tell what is open now, so no `Listed` is yielded.
    """

    def __init__(self, argument: str, web: Web, base: str | None = None, *, permission: str | None) -> None:
        """Takes the months, and the permission as the user states it.

        Raises:
            InvalidRequestError: this is no range of months.
        """
        self.name = f"jasoseol:{argument}" if base is None else f"jasoseol:{argument}@{base}"
        self._months = months(argument)
        self._web = web
        self._base = base or SITE
        self._permission = (permission or "").strip()
        self._site = AllowedHosts.of(self._base)
        self._anywhere = AllowedHosts.of(self._base, *([] if base else [POSTERS]), others=True)
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
                if row["id"] in seen or not may_be_it(row, it) or not month.meets(row):
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
                # Only now: a fetch counts as taken, and what was taken is not sent again.
                if fetch is not None:
                    await self._web.log.record(fetch)

    async def _it_duties(self) -> frozenset[int]:
        """Fetches the ids of the IT duties; KNOWN_IT_DUTIES where that fails."""
        url = f"{self._base}/api/v1/duty-groups"
        try:
            answer = await self._web.get(url, want="json", allowed=self._site)
            duties_below = it_duties(answer.value)
            problem = f"answered {answer.status} without the duty IT·인터넷"
        except SourceUnavailableError as error:
            duties_below, problem = None, cause(error)
        if duties_below is None:
            logger.warning("duties not read, the known ones are taken", extra={"problem": problem})
            return KNOWN_IT_DUTIES
        return duties_below

    async def _listed(self, month: Month) -> list[dict[str, Any]]:
        answer = await self._web.post(
            f"{self._base}/employment/calendar_list.json", month.body(), allowed=self._site
        )
        answer.require_ok()
        listed = answer.value.get("employment") if isinstance(answer.value, dict) else None
        if not isinstance(listed, list):
            raise SourceUnavailableError(f"{answer.url} answered in a shape that is not known.")
        rows = [row for row in listed if isinstance(row, dict) and isinstance(row.get("id"), int)]
        if len(rows) < len(listed):
            extra = {"rows": len(listed) - len(rows), "month": f"{month.start:%Y-%m}"}
            logger.warning("rows of the listing passed over", extra=extra)
        return rows

    async def _posting(
        self, row: dict[str, Any], it: frozenset[int]
    ) -> tuple[Collected | None, Fetch | None]:
        """Returns a posting as a document, where it is for IT and new; and its fetch, to be recorded."""
        page = f"{self._base}/recruit/{row['id']}"
        last, end = await self._web.log.last(page), moment(row.get("end_time"))
        if last is not None and end is not None and last.fetched_at >= end:
            return None, None
        detail, answer = await self._detail(row["id"])
        if detail is None:
            logger.warning("posting is gone", extra={"id": row["id"]})
            return None, None
        fetch = Fetch(page, None, None, fingerprint(detail), datetime.now(UTC))
        positions = it_positions(detail, it)
        if not positions or (last is not None and last.content_hash == fetch.content_hash):
            return None, fetch
        urls, words = await asyncio.to_thread(images_and_text, detail.get("content"), page)
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
        hints = _hints(detail, positions, page)
        document = Collected("jasoseol", str(row["id"]), files, hints, provenance=provenance)
        return document, fetch if for_good else None

    async def _detail(self, number: int) -> tuple[dict[str, Any] | None, Answer]:
        """Fetches a posting, by the newer API where the older one does not answer; None: it is gone."""
        older_answers = not self._newer_details
        if older_answers:
            url = f"{self._base}/employment/get.json"
            body = {"employment_company_id": number, "skip_read_log": True}
            try:
                answer = await self._web.post(url, body, allowed=self._site)
            except SourceUnavailableError as error:
                logger.warning("details are fetched by the newer API", extra={"cause": cause(error)})
                older_answers = False
            else:
                if _is_posting(answer.value, number):
                    return answer.value, answer
        url = f"{self._base}/api/v1/employment_companies/{number}?skip_read_log=true"
        answer = await self._web.get(url, want="json", allowed=self._site)
        if not _is_posting(answer.value, number):
            return None, answer
        # Waiting for the older API at each of thousands of postings would take days.
        self._newer_details = not older_answers
        return answer.value, answer

    async def _images(self, urls: list[str]) -> tuple[list[RawFile], list[str], bool]:
        """Fetches images. Returns those that are there, the addresses of the others, and whether a later
        try is of no use for these.

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
            answer = await self._web.get(url, want="image", allowed=self._anywhere)
        except SourceRefusedError as error:
            # Only a refusal by the site's own hosts ends the source.
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
    image = read_data_url(url)
    if image is None:
        raise DocumentUnreadableError("an image within the page is broken.")
    if not image.media_type.startswith("image/") or not image.content:
        raise DocumentUnreadableError(f"{image.media_type} within the page is no image.")
    return RawFile("inline", image.media_type, image.content)


def _shown(url: str) -> str:
    """Returns an address for the provenance; an image within the page has none."""
    return "data:" if is_data_url(url) else url


@dataclass(frozen=True, slots=True)
class Month:
    """A window of the listing, in KST; `end` is the beginning of the next month."""

    start: datetime
    end: datetime

    def body(self) -> dict[str, str]:
        """Returns the body of the listing's request. Other names are refused by the site."""
        return {"start_time": self.start.isoformat(), "end_time": self.end.isoformat()}

    def meets(self, row: dict[str, Any]) -> bool:
        """Whether the posting was open in this month, as far as its times are known."""
        start, end = moment(row.get("start_time")), moment(row.get("end_time"))
        return (start is None or start < self.end) and (end is None or end >= self.start)


def months(argument: str) -> list[Month]:
    """Returns the months of `2024-01..2024-12` or `2024-01`.

    Raises:
        InvalidRequestError: this is no range of months.
    """
    match = _RANGE.fullmatch(argument)
    numbers = [int(number) for number in match.groups(default=0)] if match else []
    if not numbers:
        raise InvalidRequestError(
            f"jasoseol:{argument} is no range of months. "
            "Write jasoseol:2024-01..2024-12 or jasoseol:2024-01.",
        )
    first = numbers[0] * 12 + numbers[1] - 1
    last = numbers[2] * 12 + numbers[3] - 1 if numbers[2] else first
    if last < first:
        raise InvalidRequestError(
            f"jasoseol:{argument} ends before it begins. Write the earlier month first.",
        )
    begins = [datetime(n // 12, n % 12 + 1, 1, tzinfo=KST) for n in range(first, last + 2)]
    return [Month(start, end) for start, end in pairwise(begins)]


def moment(value: Any) -> datetime | None:
    """Returns the time of an ISO text; None for everything else."""
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time.replace(tzinfo=KST) if time.tzinfo is None else time.astimezone(KST)


def it_duties(rows: Any) -> frozenset[int] | None:
    """Returns the ids of `IT·인터넷` and all duties below it; None where the tree has no such root."""
    ids = {row["id"] for row in _objects(rows) if _is_root(row) and isinstance(row.get("id"), int)}
    if not ids:
        return None
    while below := {
        row["id"]
        for row in _objects(rows)
        if row.get("group_id") in ids and isinstance(row.get("id"), int) and row["id"] not in ids
    }:
        ids |= below
    return frozenset(ids)


def employments(posting: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the positions of a posting, as the site has them."""
    return list(_objects(posting.get("employments")))


def duties(employment: dict[str, Any]) -> set[int]:
    """Returns the duties of a position. The listing has them as `duty_groups[].group_id`, which in spite of
    its name is the duty's own id; other answers have `duty_group_ids`."""
    ids = employment.get("duty_group_ids")
    of_groups = [group.get("group_id") for group in _objects(employment.get("duty_groups"))]
    return {duty for duty in [*(ids if isinstance(ids, list) else []), *of_groups] if isinstance(duty, int)}


def divisions(employment: dict[str, Any]) -> list[int]:
    """Returns the codes of the kinds of employment: a number in some answers, a list in others."""
    value = employment.get("division")
    codes = value if isinstance(value, list) else [value]
    return [code for code in codes if isinstance(code, int) and code in _DIVISIONS]


def may_be_it(posting: dict[str, Any], it: frozenset[int]) -> bool:
    """Whether a row of the listing may be a posting for IT duties. The listing has no names of positions."""
    return any(duties(employment) & it for employment in employments(posting))


def it_positions(posting: dict[str, Any], it: frozenset[int]) -> list[dict[str, Any]]:
    """Returns the positions of a whole posting that are for IT duties."""
    rows = [employment for employment in employments(posting) if duties(employment) & it]
    everything = {duty for employment in employments(posting) for duty in duties(employment)}
    if len(everything) <= MANY_DUTIES:
        return rows
    named = [employment for employment in rows if is_tech(employment.get("field"))]
    return named or (rows if is_tech(posting.get("title")) else [])


def is_tech(name: Any) -> bool:
    """Whether a name is one of an IT position; `사업개발` and its like are not."""
    return isinstance(name, str) and bool(_TECH.search(_OTHER_DEVELOPMENT.sub(" ", name)))


def _hints(posting: dict[str, Any], positions: list[dict[str, Any]], url: str) -> Hints:
    codes = [code for position in positions for code in divisions(position)]
    words = list(dict.fromkeys(word for code in codes for word in _DIVISIONS[code]))
    experience = [word for word in words if word in ("신입", "경력")]
    employment = [word for word in words if word not in experience] if set(codes) <= _NOT_REGULAR else []
    end = deadline(posting, positions)
    return Hints(
        title=_text(posting.get("title")),
        company=_text(posting.get("name")),
        url=url,
        deadline=end.date() if end else None,
        employment_type="/".join(employment) or None,
        experience="/".join(experience) or None,
        positions=tuple(dict.fromkeys(filter(None, (_text(p.get("field")) for p in positions)))),
    )


def deadline(posting: dict[str, Any], positions: Iterable[dict[str, Any]]) -> datetime | None:
    """Returns the end of a posting, or else the last end of its positions, where all have one."""
    ends = [moment(position.get("end_time")) for position in positions]
    known = [end for end in ends if end is not None]
    return moment(posting.get("end_time")) or (max(known) if ends and len(known) == len(ends) else None)


def fingerprint(posting: dict[str, Any]) -> str:
    """Returns a hash of a posting without its counters, which change with every request."""
    keys = ("name", "title", "content", "start_time", "end_time")
    rows = [
        (_text(e.get("field")), sorted(divisions(e)), sorted(duties(e)), e.get("end_time"))
        for e in employments(posting)
    ]
    return hashlib.sha256(orjson.dumps([[posting.get(key) for key in keys], rows])).hexdigest()


def images_and_text(content: Any, base: str) -> tuple[list[str], bool]:
    """Returns the addresses of the images in a posting's HTML, in order, and whether it has any text."""
    if not isinstance(content, str) or not content.strip():
        return [], False
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = lxml.html.document_fromstring(content.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return [], False
    etree.strip_elements(tree, "script", "style", "template", "title", with_tail=False)
    pictures = [{str(k): str(v) for k, v in image.attrib.items()} for image in tree.iter("img")]
    named = [displayed_url(image_urls(picture)) for picture in pictures if not is_tracking_pixel(picture)]
    urls = dict.fromkeys(urljoin(base, url) for url in named if url)
    return list(urls)[:MOST_IMAGES], any(c.isalnum() for c in "".join(map(str, tree.itertext())))


def _objects(rows: Any) -> Iterable[dict[str, Any]]:
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _is_root(row: dict[str, Any]) -> bool:
    return row.get("group_id") is None and re.sub(r"[\W_]", "", str(row.get("name"))) == IT_ROOT


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
