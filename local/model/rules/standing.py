"""How far along a person is in the trade they want: by years in it, stage, projects and skills.

Years in another trade do not count: a nurse of seven years who wants to write servers begins. The
thresholds follow what Korean postings call 경력 (from three years, senior from five or more).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tools.lexicon import KIND_OF, find_skills

from .families import FAMILIES, GENERAL, TECHNICAL_KINDS, Family, read_posting
from .text import everything, is_order, read, read_list, rows

Row = Mapping[str, Any]
Span = tuple[int, int]

BEGINNER, INTERMEDIATE, ADVANCED = range(3)

_SENIOR_YEARS = 5.0
_TITLED_YEARS = 3.0
"""Enough, where a title says senior."""
_STUDENT_YEARS = 1.0
_BEGUN_YEARS = 0.5
_SOME_SKILLS = 3
_OTHER_TRADE = 0.5
"""What a year in another trade is worth in the wanted one, if both are technical or neither is."""
_SOME_SOFTWARE = 0.75
"""The same of a year as a developer of something that is not said."""
_SPOKEN_OF = 2.0
"""Score from which a job's description is about a family that its title does not name."""
_MONTHS = 12
_LONGEST = 50 * _MONTHS

_SENIOR = re.compile(r"시니어|리드|수석|책임|senior|\blead\b|\bstaff\b|principal|아키텍트|architect", re.I)
_JUNIOR = re.compile(r"신입|인턴|주니어|junior|\bintern\b|entry", re.I)
_LEARNING = re.compile(r"교육생|수강|훈련생|부트캠프|bootcamp|trainee|student", re.I)
_GRADUATE = re.compile(r"석사|박사|대학원|master|ph\.?\s?d|graduate school", re.I)
_DATE = re.compile(r"((?:19|20)\d\d)\s*(?:[-./년]\s*(\d{1,2}))?")
_YEARS = re.compile(r"(?<!\d)(\d{1,2})(?:\.\d)?\s*(?:년\s*(?:차|경력|이상|간|동안|째)|\+?\s*years?)")
_SENTENCE = re.compile(r"[\n.!?。]")


def standing(profile: Row, job: str, families: Sequence[Family], stage: str | None) -> int:
    """Returns `BEGINNER`, `INTERMEDIATE` or `ADVANCED`; without any hint the middle one.

    A job without an end lasts until today.
    """
    jobs = [_Job(row, families) for row in _experiences(profile)]
    dated = [job for job in jobs if job.span is not None]
    years = _served(dated) if dated else _stated(profile, job, families)
    if stage == "student":
        graduate = _GRADUATE.search(everything({"educations": profile.get("educations")}))
        return INTERMEDIATE if graduate or years >= _STUDENT_YEARS else BEGINNER
    titled = _SENIOR.search(job) or any(_SENIOR.search(held.role) for held in jobs if held.weight == 1)
    unknown = not dated and stage != "job_seeker"
    if years >= (_TITLED_YEARS if titled else _SENIOR_YEARS) or (_SENIOR.search(job) and unknown):
        return ADVANCED
    if _JUNIOR.search(job) and stage is None:
        return BEGINNER
    if _SENIOR.search(job) or years >= _BEGUN_YEARS or not (jobs or stage == "job_seeker"):
        return INTERMEDIATE
    begun = _has_built(profile, families) or _known(profile, families) >= _SOME_SKILLS
    return INTERMEDIATE if begun else BEGINNER


class _Job:
    """A job: its months (None where it has no beginning), and what they are worth in the wanted trade."""

    def __init__(self, row: Row, families: Sequence[Family]) -> None:
        self.role = read(row, "role")[:200]
        self.span = _span(row)
        self.weight = _weight(self.role, read(row, "description"), families)


def _experiences(profile: Row) -> Iterator[Row]:
    for name in ("experiences", "experience", "careers"):
        yield from (row for row in rows(profile, name) if not _LEARNING.search(read(row, "role")))


def _span(row: Row) -> Span | None:
    start, end = _DATE.search(read(row, "start")), _DATE.search(read(row, "end"))
    if start is None:
        return None
    now = datetime.now(UTC)
    first = _month(start, 1)
    last = _month(end, _MONTHS) if end else now.year * _MONTHS + now.month
    return first, min(max(last, first), first + _LONGEST)


def _month(date: re.Match[str], default: int) -> int:
    return int(date[1]) * _MONTHS + (int(date[2]) if date[2] else default)


def _weight(role: str, description: str, families: Sequence[Family]) -> float:
    """What a month of this job is worth in the trade: all, a part where it is near, nothing elsewhere."""
    reading = read_posting(role, description)
    own = [family for family in families if family is not GENERAL]
    if any(family.key in reading.titled for family in own):
        return 1.0
    elsewhere = [key for key in reading.titled if not FAMILIES[key].it]
    if not families[0].it:
        return _OTHER_TRADE if elsewhere or reading.top is None else 0.0
    if not elsewhere and any(reading.scores[family.key] >= _SPOKEN_OF for family in own):
        return 1.0
    if GENERAL.key in reading.titled:
        return 1.0 if families[0] is GENERAL else _SOME_SOFTWARE
    return _OTHER_TRADE if any(FAMILIES[key].it for key in reading.titled) else 0.0


def _served(jobs: Sequence[_Job]) -> float:
    """Years of all jobs; months of two jobs at once count once, by the nearer of them."""
    worth: dict[int, float] = {}
    for job in jobs:
        if job.span is not None and job.weight:
            for month in range(*job.span):
                worth[month] = max(worth.get(month, 0.0), job.weight)
    return sum(worth.values()) / _MONTHS


def _stated(profile: Row, job: str, families: Sequence[Family]) -> float:
    """Years that a sentence gives which is about the trade."""
    told = everything({name: profile.get(name) for name in ("introduction", "experiences", "skills")})
    years = [
        float(match[1])
        for sentence in _SENTENCE.split(told)
        if (match := _YEARS.search(sentence)) and _speaks_of(sentence, families)
    ]
    own = _YEARS.search(job)
    return max([*years, float(own[1]) if own else 0.0])


def _speaks_of(sentence: str, families: Sequence[Family]) -> bool:
    named = any(family.title.search(sentence) for family in families)
    return named or (families[0].it and _technical(sentence) > 0)


def _technical(text: str) -> int:
    return sum(KIND_OF[skill] in TECHNICAL_KINDS for skill in find_skills(text))


def _has_built(profile: Row, families: Sequence[Family]) -> bool:
    """Whether a past project shows a trade of the kind; outside of IT any project does."""
    projects = [everything(row) for row in rows(profile, "projects")]
    return any(_technical(text) if families[0].it else text for text in projects)


def _known(profile: Row, families: Sequence[Family]) -> int:
    listed = [skill for skill in read_list(profile, "skills") if not is_order(skill)]
    return _technical("\n".join(listed)) if families[0].it else len(listed)
