"""Which group of jobs a person wishes for: by the words of the desired job, and the profile where these are
vague."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tools.lexicon.families import FAMILIES, GENERAL, Family, read_posting

_CLOSE = 0.8
_MIN_BODY = 2.0


@dataclass(frozen=True)
class Wish:
    """The wanted families, the nearest first; the first one's templates are used."""

    families: tuple[Family, ...]

    @property
    def family(self) -> Family:
        """The family that is wanted most."""
        return self.families[0]


def wish(desired_job: str, skills: str) -> Wish:
    """Returns what a free-form wish asks for; `skills` (any text of the profile) helps a vague one."""
    return _wish(desired_job[:400], skills[:4000])


@lru_cache(maxsize=2048)
def _wish(desired_job: str, skills: str) -> Wish:
    reading = read_posting(desired_job, desired_job)
    named = [FAMILIES[key] for key in reading.titled if key != "general"]
    if any(family.it for family in named) and _MAKES.search(desired_job):
        named = [family for family in named if family.it]
    if not named:
        return _vague(desired_job, skills)
    score = {family: _wanted(family, desired_job) for family in named}
    ranked = sorted(named, key=lambda family: -score[family])
    best = score[ranked[0]]
    return Wish(tuple(family for family in ranked if score[family] >= best * _CLOSE))


def _wanted(family: Family, desired_job: str) -> float:
    """How strongly a wish names a family: every different word for the job counts, not only the first."""
    words = {hit.lower() for hit in family.title.findall(desired_job)}
    details = set(family.body.findall(desired_job.lower()))
    return 2 * len(words) + 0.5 * len(details)


_MAKES = re.compile(
    r"개발|엔지니어|프로그래|구현|설계|engineer|develop|programm|scientist|analyst|분석|코딩|연구", re.I
)
_SOFTWARE = re.compile(r"개발|엔지니어|프로그래|developer|engineer|software|\bit\b|코딩|컴퓨터", re.I)


def _vague(desired_job: str, skills: str) -> Wish:
    reading = read_posting("", f"{desired_job}\n{skills}")
    technical = _SOFTWARE.search(desired_job) is not None
    scores = {
        key: score
        for key, score in reading.scores.items()
        if score >= _MIN_BODY and (FAMILIES[key].it or not technical) and key != "general"
    }
    if not scores:
        return Wish((GENERAL,) if technical or reading.technical else (FAMILIES["other"],))
    if technical and not FAMILIES["general"].body.search(desired_job.lower()):
        top = [
            key
            for key in sorted(scores, key=lambda key: -scores[key])
            if scores[key] >= max(scores.values()) / 2
        ]
        return Wish((*(FAMILIES[key] for key in top[:3]), GENERAL))
    best = max(scores.values())
    ranked = sorted(scores, key=lambda key: -scores[key])
    return Wish(tuple(FAMILIES[key] for key in ranked if scores[key] >= best * _CLOSE))
