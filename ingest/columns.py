"""Which field of a posting a column is, whatever an export calls it: `회사명`, `companyName`, `company`."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from ingest.cells import identifier, is_blank

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
    POSTED: (
        "posted, posted at, posted on, date posted, published at, created at, registered at, start date, "
        "게시일, 등록일, 등록일자, 작성일, 공고일, 시작일, collected at, fetched at, crawled at, scraped at, "
        "수집일"
    ),
}
"""The fields of a posting with the names that they go by, the surest first."""


def _key(name: str) -> str:
    """A name without case, width and what stands between its words."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


_FIELDS = {field: tuple(_key(name) for name in names.split(", ")) for field, names in _COLUMNS.items()}
_KNOWN = frozenset({"position", *(name for names in _FIELDS.values() for name in names)})


@functools.lru_cache(maxsize=1024)
def _cached_key(name: str) -> str:
    return _key(name)


def is_known(name: str) -> bool:
    """Whether a column of this name is read."""
    return _cached_key(name) in _KNOWN


def stated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a row says by the names of a posting's fields, and POSTED; where several columns are
    one field, the surest that says something. Cells that say nothing are left out, as are other columns;
    what identifies the posting is read already."""
    by_name: dict[str, Any] = {}
    for name, cell in row.items():
        if not is_blank(cell):
            by_name.setdefault(_cached_key(name), cell)
    # `position` counts a document's positions here, and is elsewhere what the job is called.
    position = identifier(by_name.pop("position", None))
    counts = isinstance(position, int) or (isinstance(position, str) and position.isdecimal())
    if position is not None and not counts:
        by_name.setdefault("positiontitle", position)
    found = {
        field: next(by_name[name] for name in names if name in by_name)
        for field, names in _FIELDS.items()
        if not by_name.keys().isdisjoint(names)
    }
    for field in ("source", "source_id"):
        if field in found:
            found[field] = identifier(found[field])
    return {**found, "position": position} if counts else found
