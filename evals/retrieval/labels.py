"""Which sample postings answer a query, and how well: labels by rule, from the structured truth.

What is known of a sample posting was written down when it was made, before anything searched for it:
its job family (`samples/truth.jsonl`), its skills and the years it asks for (structured fields,
which are not part of the text that is embedded), the industry of its company (`samples/programs/bank/`).
A query says what it wants in the same terms (`Wants`). The rule:

| grade | when |
|---|---|
| 3 | the wanted family, and everything else the query asks for holds |
| 2 | the wanted family |
| 1 | a neighbouring family, and the wanted skills hold |
| 0 | anything else |

What else a query can ask for: skills, which hold when the posting lists at least `SHARED` of them; a
level, which holds within one step (a beginner can apply where one year is asked for, a senior is not
lost where five are); an industry, which must be that of the posting. A query that asks for nothing else
is content with the family, and then all its postings have grade 3.

A posting that was published again counts once, with the first: the search shows one of near-duplicates
(`tools/postings/near_duplicates.py`), and finding both would be no better. Postings that carry
instructions to a model have the grade of what they advertise: resisting them is not the search's task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import yaml
from pydantic import Field

from evals.datasets.cases import HOSTILE_POSTINGS, Family, Strict
from ingest.load import SAMPLES
from tools.postings.contracts import Word

Level = Literal["entry", "junior", "mid", "senior"]
Industry = Literal[
    "commerce",
    "education",
    "fintech",
    "game",
    "healthcare",
    "iot",
    "logistics",
    "manufacturing",
    "media",
    "mobility",
    "public",
    "robotics",
    "saas",
    "security",
    "travel",
]
"""Named as the files of `samples/programs/bank/industries/`."""

SHARED = 2
"""Wanted skills that a posting must list for the skills to hold."""
BEST = 3
_LEVELS: tuple[Level, ...] = get_args(Level)
_JUNIOR_FROM, _MID_FROM, _SENIOR_FROM = 1, 3, 6
_NEIGHBOURS: tuple[tuple[Family, Family], ...] = (
    ("백엔드", "풀스택"),
    ("백엔드", "데이터 엔지니어"),
    ("백엔드", "DevOps/인프라"),
    ("백엔드", "게임"),
    ("프론트엔드", "풀스택"),
    ("프론트엔드", "모바일"),
    ("AI/ML", "데이터 엔지니어"),
    ("AI/ML", "데이터 분석"),
    ("데이터 엔지니어", "데이터 분석"),
    ("데이터 엔지니어", "DevOps/인프라"),
    ("DevOps/인프라", "보안"),
    ("임베디드", "QA"),
    ("모바일", "QA"),
)
"""Families between which people move, and whose postings share work: a game's server is a server, a
device's tests need its protocols."""
_NEAR = frozenset(_NEIGHBOURS) | {(b, a) for a, b in _NEIGHBOURS}
_ENGLISH: dict[str, Industry] = {
    "Hollowreed Pay": "fintech",
    "Pebblefjord Logistics": "logistics",
    "Tallowbrook Health": "healthcare",
    "Larkspindle Games": "game",
    "Murmurgrid": "iot",
    "Ninecairn Security": "security",
    "Saltlantern Robotics": "robotics",
    "Fennbridge Mobility": "mobility",
    "Wickerstack": "saas",
    "Copperwren Media": "media",
    "Orchardloop": "commerce",
    "Quillmarsh Learning": "education",
}
"""The companies that write in English stand in one file for all industries, which does not name these."""


class Wants(Strict):
    """What a query asks for beside the family; nothing of it: the family alone."""

    skills: list[Word] = Field(default_factory=list)
    level: Level | None = None
    domain: Industry | None = Field(None, description="the industry of the company")


Key: TypeAlias = tuple[str, str]
"""Source and source id."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a posting. `stands_for`: the first of its near-duplicates, mostly itself. The
    industry of a company that is in no bank is null."""

    stands_for: Key
    family: Family
    skills: frozenset[str]
    level: Level
    domain: Industry | None


def read_samples(samples: Path = SAMPLES) -> dict[Key, Label]:
    """Returns what is known of the sample postings. It reads files: for a thread."""
    truth = {row["source_id"]: row for row in _rows(samples.with_name("truth.jsonl"))}
    industries = _industries(samples.parent / "programs" / "bank" / "companies")
    found: dict[Key, Label] = {}
    for posting in _rows(samples):
        known = truth[posting["source_id"]]
        first = known["near_duplicate_of"] or posting["source_id"]
        industry = industries[posting["company"]]
        found[_key(posting)] = _label(posting, known["family"], (posting["source"], first), industry)
    return found


def read_hostile(postings: Path = HOSTILE_POSTINGS) -> dict[Key, Label]:
    """Returns what is known of the postings that were written to mislead. It reads a file."""
    rows = _rows(postings)
    return {_key(row): _label(row, row["family"], _key(row), None) for row in rows}


def level_of(experience: str) -> Level:
    """Returns the level that a posting asks for, by the fewest years it names: none is entry, 1 and 2
    are junior, 3 to 5 mid, 6 and more senior. (`경력 4~8년` is mid, `신입/경력` entry.)"""
    years = re.search(r"\d+", experience)
    least = int(years[0]) if years and "신입" not in experience else 0
    return _LEVELS[(least >= _JUNIOR_FROM) + (least >= _MID_FROM) + (least >= _SENIOR_FROM)]


def grade(family: Family, wants: Wants, posting: Label) -> int:
    """Returns how well a posting answers a query, 0 to 3."""
    skills = len(_folded(wants.skills) & posting.skills) >= SHARED
    if posting.family != family:
        return int((family, posting.family) in _NEAR and bool(wants.skills) and skills)
    level = wants.level is None or abs(_LEVELS.index(wants.level) - _LEVELS.index(posting.level)) <= 1
    domain = wants.domain is None or wants.domain == posting.domain
    return BEST if (skills or not wants.skills) and level and domain else BEST - 1


def grades(family: Family, wants: Wants, postings: Iterable[Label]) -> dict[Key, int]:
    """Returns the grade of every posting, near-duplicates as one under the first's key."""
    found: dict[Key, int] = {}
    for posting in postings:
        found[posting.stands_for] = max(found.get(posting.stands_for, 0), grade(family, wants, posting))
    return found


def _key(row: dict[str, Any]) -> Key:
    return row["source"], row["source_id"]


def _label(row: dict[str, Any], family: Family, stands_for: Key, domain: Industry | None) -> Label:
    return Label(stands_for, family, _folded(row["skills"]), level_of(row["experience"]), domain)


def _industries(folder: Path) -> dict[str, Industry]:
    """The industry of each company."""
    found = dict(_ENGLISH)
    for path in folder.glob("*.yaml"):
        # The C loader: 20 ms for all files, where the one in Python takes half a second.
        sheet = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        if "industry" in sheet:
            found |= {company["name"]: cast(Industry, sheet["industry"]) for company in sheet["companies"]}
    return found


def _folded(skills: Iterable[str]) -> frozenset[str]:
    return frozenset(skill.casefold() for skill in skills)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
