"""From a row of an export to a posting: which column is which field, and what its cell says.

Exports name columns as they like: `회사명`, `companyName` and `company` are one field. Only names that are in
the table below are read."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple

from pydantic import ValidationError

from ingest.errors import DocumentUnreadableError
from ingest.structured import cells
from ingest.structured.cells import identifier, is_blank
from tools.core.text import web_address
from tools.postings.contracts import TEXT_FIELDS, Posting
from tools.postings.deadlines import last_day, stated_day

POSTED = "posted"
"""When the row was written or collected; a deadline without a year counts from it. No field of a posting."""

_COLUMNS = {
    "source": "source, site, platform, 출처, 사이트, 채용사이트",
    "source_id": (
        "source id, id, posting id, job id, posting no, rec idx, uid, 공고번호, 공고 id, 채용공고번호, 번호, "
        "아이디"
    ),
    "company": (
        "company, company name, employer, organization, hiring organization, corp name, 회사, 회사명, 기업, "
        "기업명, 업체명"
    ),
    "job_title": (
        "job title, title, position title, position name, role, job, job name, 공고명, 공고제목, 채용공고명, "
        "채용제목, 제목, 직무, 직무명, 포지션, 포지션명, 모집부문, 모집분야, 모집직무, 채용직무"
    ),
    "responsibilities": (
        "responsibilities, responsibility, duties, job duties, tasks, main tasks, what you will do, "
        "담당업무, 주요업무, 업무내용, 업무, 하는일, 직무내용, 담당업무내용, description, job description, "
        "상세내용, 내용"
    ),
    "requirements": (
        "requirements, requirement, qualifications, required qualifications, minimum qualifications, "
        "basic qualifications, required, 자격요건, 지원자격, 자격조건, 응시자격, 자격, 필수, 필수요건, "
        "필수사항, 필수조건, 요구사항"
    ),
    "preferred": (
        "preferred, preferred qualifications, preferred points, preference, nice to have, nice to haves, "
        "bonus, pluses, 우대, 우대사항, 우대조건, 우대요건"
    ),
    "url": (
        "url, link, job url, posting url, job link, apply url, apply link, href, 링크, 공고링크, 공고 url, "
        "공고주소, 상세링크, 지원링크"
    ),
    "deadline": (
        "deadline, deadline at, due date, due time, closing date, close date, closed at, closes at, "
        "expires at, expiry date, expiration date, valid through, end date, end at, end time, apply by, "
        "application deadline, 마감, 마감일, 마감일자, 마감일시, 마감기한, 접수마감, 접수마감일, 지원마감, "
        "지원마감일, 공고마감일, 종료일, 접수종료일, 접수기간, 모집기간, 채용기간, 지원기간"
    ),
    "location": (
        "location, place, city, region, workplace, work location, job location, 근무지, 근무지역, 근무장소, "
        "근무위치, 지역, 위치"
    ),
    "employment_type": (
        "employment type, job type, contract type, work type, employment, 고용형태, 근무형태, 채용형태, "
        "채용구분, 고용구분"
    ),
    "experience": (
        "experience, career, career level, experience level, seniority, years of experience, 경력, "
        "경력사항, 경력구분, 경력요건, 요구경력"
    ),
    "skills": (
        "skills, skill, tech stack, tech stacks, technologies, stack, stacks, skill tags, tags, keywords, "
        "기술스택, 기술, 스킬, 사용기술, 요구기술, 필요기술, 개발환경, 키워드"
    ),
    # What an export of this service says; what other files say of a posting is normalized by rule.
    "normalized_title": "normalized title",
    "normalized_company": "normalized company",
    "normalized_skills": "normalized skills",
    POSTED: (
        "posted, posted at, posted on, date posted, published at, created at, registered at, start date, "
        "게시일, 등록일, 등록일자, 작성일, 공고일, 시작일, collected at, fetched at, crawled at, scraped at, "
        "수집일"
    ),
}
"""The fields of a posting, each with the names of its columns, the surest name first."""


class UnreadField(NamedTuple):
    """A field that is left empty because its value could not be read."""

    field: str
    value: str
    problem: str


_SHOWN = 200
"""Characters of an unread value that are reported."""


def _key(name: str) -> str:
    """Returns a column's name without case, width and what stands between its words."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


_FIELDS = {field: tuple(_key(name) for name in names.split(", ")) for field, names in _COLUMNS.items()}
_KNOWN = frozenset({"position", *(name for names in _FIELDS.values() for name in names)})
_cached_key = functools.lru_cache(maxsize=1024)(_key)


def is_known(name: str) -> bool:
    """Whether a column of this name is read."""
    return _cached_key(name) in _KNOWN


def stated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the cells of a row by the names of a posting's fields, and POSTED. Where several columns are
    one field, the surest one that is not blank counts. Blank cells and other columns are left out. The
    fields that identify the posting are read already."""
    by_name: dict[str, Any] = {}
    for name, cell in row.items():
        if not is_blank(cell):
            by_name.setdefault(_cached_key(name), cell)
    # `position` counts a document's positions here, and elsewhere is the title of the job.
    position = identifier(by_name.pop("position", None))
    is_number = isinstance(position, int) or (isinstance(position, str) and position.isdecimal())
    if position is not None and not is_number:
        by_name.setdefault("positiontitle", position)
    fields = {
        field: next(by_name[name] for name in names if name in by_name)
        for field, names in _FIELDS.items()
        if not by_name.keys().isdisjoint(names)
    }
    for field in ("source", "source_id"):
        if field in fields:
            fields[field] = identifier(fields[field])
    return {**fields, "position": position} if is_number else fields


def as_posting(
    value: Any,
    *,
    source: str,
    seen: date | None = None,
    report: Callable[[UnreadField], None] = lambda _: None,
) -> Posting:
    """Returns the posting that a row states; `source` where it names none.

    A field whose value cannot be read is left empty and goes to `report`. A deadline without a year, or in
    days from now, counts from the day on which the row says it was written, else from `seen`.

    Raises:
        DocumentUnreadableError: the row is no posting; the message names the fields and what is wrong with
    them."""
    if not isinstance(value, dict):
        raise DocumentUnreadableError("not a JSON object")
    row = stated(value)
    written = last_day(row.pop(POSTED, None), seen=seen) or seen
    fields = {"source": source}
    for name, cell in row.items():
        if cells.is_broken(cell):
            report(UnreadField(name, str(cell)[:_SHOWN], "a list without its end; kept as it stands"))
        try:
            fields[name] = _read(name, cell, written)
        except ValueError as error:
            report(UnreadField(name, str(cell)[:_SHOWN], str(error)))
    try:
        return Posting.model_validate(fields)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DocumentUnreadableError("; ".join(problems)) from error


def _read(name: str, cell: Any, written: date | None) -> Any:
    """Returns the value of a cell for the posting's field `name`.

    Raises:
        ValueError: it cannot be read; the message says why.
    """
    if name in TEXT_FIELDS:
        return cells.lines(cell)
    match name:
        case "source" | "source_id" | "position":
            return cell
        case "skills" | "normalized_skills":
            return cells.names(cell)
        case "deadline":
            return stated_day(cell, seen=written)
        case "url":
            if (address := web_address(cell)) is None:
                raise ValueError("no http or https address")
            return address
        case _:
            return cells.line(cell)
