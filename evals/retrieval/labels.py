"""Which sample postings are relevant to a query, and how much: labels by rule, from the truth of the samples.

The truth was written with the postings, before anything searched for them: job family and industry
(`samples/truth.jsonl`), skills and years asked for (fields that are not part of the embedded text). A query
says in the same terms what it wants (`Wants`). The rule:

| grade | when |
|---|---|
| 3 | the wanted family, and everything else the query asks for holds |
| 2 | the wanted family |
| 1 | a neighbouring family, and the wanted skills hold |
| 0 | anything else |

Wanted skills hold when the posting lists at least `SHARED` of them; a level holds within one step; an
industry must be that of the posting. A query that asks for nothing else gives grade 3 to its whole family.

A posting that was published again counts once, as the first: the search shows one of near-duplicates
(`tools/postings/near_duplicates.py`). Postings with instructions to a model have the grade of the job they
advertise: resisting them is not the search's task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from evals.datasets.cases import HOSTILE_POSTINGS, Family, Strict
from ingest.load import SAMPLES
from tools.core.contracts import Language, Word

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
_HANGUL = re.compile("[가-힣]")
Key = tuple[str, str]
"""Source and source id."""

SHARED = 2
"""Wanted skills that a posting must list for the skills to hold."""
BEST = 3
_LEVELS: tuple[Level, ...] = get_args(Level)
_LEVELS_FROM = (1, 3, 6)
"""The years from which a posting asks for the second, third and fourth level."""
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
"""Families between which people move, and whose postings share work."""
_NEAR = frozenset(_NEIGHBOURS) | {(b, a) for a, b in _NEIGHBOURS}


class Wants(Strict):
    """What a query asks for beside the family."""

    skills: list[Word] = Field(default_factory=list)
    level: Level | None = None
    domain: Industry | None = Field(None, description="the industry of the company")


@dataclass(frozen=True, slots=True)
class Label:
    """The truth of a posting. `stands_for`: the first of its near-duplicates, mostly itself. `domain` is null
    for hostile postings."""

    stands_for: Key
    family: Family
    skills: frozenset[str]
    level: Level
    domain: Industry | None
    language: Language


def read_samples() -> dict[Key, Label]:
    """Returns the labels of the sample postings. Blocks."""
    truth = {row["source_id"]: row for row in _rows(SAMPLES.with_name("truth.jsonl"))}
    labels: dict[Key, Label] = {}
    for posting in _rows(SAMPLES):
        known = truth[posting["source_id"]]
        first = (posting["source"], known["near_duplicate_of"] or posting["source_id"])
        labels[_key(posting)] = _label(posting, known["family"], first, known["industry"])
    return labels


def read_hostile() -> dict[Key, Label]:
    """Returns the labels of the hostile postings. Blocks."""
    return {_key(row): _label(row, row["family"], _key(row), None) for row in _rows(HOSTILE_POSTINGS)}


def level_of(experience: str) -> Level:
    """Returns the level that a posting asks for, by the fewest years it names: none is entry, 1 and 2
    are junior, 3 to 5 mid, 6 and more senior. (`경력 4~8년` is mid, `신입/경력` entry.)"""
    years = re.search(r"\d+", experience)
    least = int(years[0]) if years and "신입" not in experience else 0
    return _LEVELS[sum(least >= start for start in _LEVELS_FROM)]


def grade(family: Family, wants: Wants, posting: Label) -> int:
    """Returns how relevant a posting is to a query, 0 to 3."""
    skills = len(_folded(wants.skills) & posting.skills) >= SHARED
    if posting.family != family:
        return int((family, posting.family) in _NEAR and bool(wants.skills) and skills)
    level = wants.level is None or abs(_LEVELS.index(wants.level) - _LEVELS.index(posting.level)) <= 1
    domain = wants.domain is None or wants.domain == posting.domain
    return BEST if (skills or not wants.skills) and level and domain else BEST - 1


def grades(family: Family, wants: Wants, postings: Iterable[Label]) -> dict[Key, int]:
    """Returns the grade of every posting, near-duplicates as one under the first's key."""
    best: dict[Key, int] = {}
    for posting in postings:
        best[posting.stands_for] = max(best.get(posting.stands_for, 0), grade(family, wants, posting))
    return best


def _key(row: dict[str, Any]) -> Key:
    return row["source"], row["source_id"]


def _label(row: dict[str, Any], family: Family, stands_for: Key, domain: Industry | None) -> Label:
    language: Language = "ko" if _HANGUL.search(row["responsibilities"]) else "en"
    return Label(stands_for, family, _folded(row["skills"]), level_of(row["experience"]), domain, language)


def _folded(skills: Iterable[str]) -> frozenset[str]:
    return frozenset(skill.casefold() for skill in skills)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
