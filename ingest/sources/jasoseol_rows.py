"""What 자소설닷컴 answers, in all the shapes that it has been seen in: read here, asked for elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from urllib.parse import urljoin

import lxml.html
import orjson
from lxml import etree

from ingest.documents import Hints
from ingest.parsers.html_pictures import addresses, is_pixel, shown
from tools.core.errors import InvalidRequestError

KST = timezone(timedelta(hours=9), "KST")
IT_ROOT = "IT인터넷"
"""The root of the duties that are collected, `IT·인터넷`, without what stands between its words."""
KNOWN_IT_DUTIES = frozenset({94, *range(160, 183)})
"""The root and the duties below it as of 2026: for when the tree of duties cannot be read."""
MANY_DUTIES = 15
"""A posting for more duties than these is a company's recruiting for everything: it is for IT only where a
position or the title says so."""
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


@dataclass(frozen=True, slots=True)
class Month:
    """A window of the listing, in KST; `end` is the beginning of the next month."""

    start: datetime
    end: datetime

    def body(self) -> dict[str, str]:
        """What the listing is asked with. It knows these two names only."""
        return {"start_time": self.start.isoformat(), "end_time": self.end.isoformat()}

    def meets(self, row: dict[str, Any]) -> bool:
        """Whether one could apply in this month; times that are not known say nothing against it."""
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
    """Returns a time as the site writes it; None where it writes none."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.replace(tzinfo=KST) if found.tzinfo is None else found.astimezone(KST)


def it_duties(rows: Any) -> frozenset[int] | None:
    """Returns the ids of `IT·인터넷` and all duties below it; None where the tree has no such root."""
    found = {row["id"] for row in _objects(rows) if _is_root(row) and isinstance(row.get("id"), int)}
    if not found:
        return None
    while below := {
        row["id"]
        for row in _objects(rows)
        if row.get("group_id") in found and isinstance(row.get("id"), int) and row["id"] not in found
    }:
        found |= below
    return frozenset(found)


def employments(posting: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the positions of a posting, as the site has them."""
    return list(_objects(posting.get("employments")))


def duties(employment: dict[str, Any]) -> set[int]:
    """Returns the duties of a position. The listing has them as `duty_groups[].group_id`, which in spite
    of its name is the duty's own id; all else has `duty_group_ids`."""
    ids = employment.get("duty_group_ids")
    found = ids if isinstance(ids, list) else []
    found = [*found, *(group.get("group_id") for group in _objects(employment.get("duty_groups")))]
    return {duty for duty in found if isinstance(duty, int)}


def divisions(employment: dict[str, Any]) -> list[int]:
    """Returns the codes of how one is employed: a number in some answers, a list in others."""
    value = employment.get("division")
    codes = value if isinstance(value, list) else [value]
    return [code for code in codes if isinstance(code, int) and code in _DIVISIONS]


def may_be_it(posting: dict[str, Any], it: frozenset[int]) -> bool:
    """Whether a row of the listing, which has no names of positions, may be a posting for IT duties."""
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
    """Whether a name speaks of IT; `사업개발` and its like do not."""
    return isinstance(name, str) and bool(_TECH.search(_OTHER_DEVELOPMENT.sub(" ", name)))


def hints(posting: dict[str, Any], positions: list[dict[str, Any]], url: str) -> Hints:
    """Returns what the site says of a posting beside its poster."""
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
    """Returns a hash of what makes a posting, without its counters, which change at every look."""
    keys = ("name", "title", "content", "start_time", "end_time")
    rows = [
        (_text(e.get("field")), sorted(divisions(e)), sorted(duties(e)), e.get("end_time"))
        for e in employments(posting)
    ]
    return hashlib.sha256(orjson.dumps([[posting.get(key) for key in keys], rows])).hexdigest()


def images_and_text(content: Any, base: str) -> tuple[list[str], bool]:
    """Returns the addresses of the images in a posting's HTML, in order, and whether it says anything
    in words."""
    if not isinstance(content, str) or not content.strip():
        return [], False
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = lxml.html.document_fromstring(content.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return [], False
    etree.strip_elements(tree, "script", "style", "template", "title", with_tail=False)
    pictures = [{str(k): str(v) for k, v in image.attrib.items()} for image in tree.iter("img")]
    named = [shown(addresses(picture)) for picture in pictures if not is_pixel(picture)]
    urls = dict.fromkeys(urljoin(base, url) for url in named if url)
    return list(urls)[:MOST_IMAGES], any(c.isalnum() for c in "".join(map(str, tree.itertext())))


def _objects(rows: Any) -> Iterable[dict[str, Any]]:
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _is_root(row: dict[str, Any]) -> bool:
    return row.get("group_id") is None and re.sub(r"[\W_]", "", str(row.get("name"))) == IT_ROOT


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
