"""The person who asks: what job they want, what they can do, what they asked for this time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tools.lexicon import KIND_OF, canonical, find_skills

from .families import FAMILIES, GENERAL, Family, read_posting
from .feedback import Feedback, understand
from .standing import standing
from .text import everything, is_order, read, read_list, rows, shorten

DIFFICULTIES = ("beginner", "intermediate", "advanced")
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
        return Wish((GENERAL,) if technical or reading.technical else (FAMILIES["office"],))
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


@dataclass(frozen=True)
class Person:
    """What the rules know about who asks, in one place."""

    language: str
    wish: Wish
    has: tuple[str, ...]
    """Skills that any text of the profile shows, canonical; those listed as skills come first."""
    stage: str | None
    text: str
    """Every text of the profile in lower case."""
    wants: str
    """What they say of themselves and where they want to go, in lower case."""
    did: str
    """Their past projects and work, in lower case."""
    past: str | None
    """The title of one past project."""
    asked: tuple[str, ...]
    """Skills asked for in this request, canonical."""
    difficulty: str
    feedback: Feedback


def meet(request: Mapping[str, Any], profile: Mapping[str, Any]) -> Person:
    """Returns the person behind a request and a profile; what is missing is guessed modestly."""
    text = everything({key: value for key, value in profile.items() if key != "desired_job"})
    job = read(request, "desired_job") or read(profile, "desired_job")
    listed = [canonical(skill) for skill in read_list(profile, "skills") if not is_order(skill)]
    has = tuple(dict.fromkeys(skill for skill in [*listed, *find_skills(text)] if skill in KIND_OF))
    cues = understand(read(request, "feedback"))
    asked = [shorten(canonical(skill), 40) for skill in read_list(request, "skills") if not is_order(skill)]
    stage = read(profile, "career_stage") or read(request, "career_stage") or None
    wanted = wish(job, text)
    asked_level = request.get("difficulty")
    level = min(max(standing(profile, job, wanted.families, stage) + cues.shift, 0), 2)
    return Person(
        language="en" if request.get("language") == "en" else "ko",
        wish=wanted,
        has=has,
        stage=stage,
        text=text.lower(),
        wants=_words(profile, "introduction", "desired_companies", "interests", "goal") + f"\n{job.lower()}",
        did=_words(profile, "projects", "experiences", "experience", "careers"),
        past=_past_project(profile),
        asked=tuple(
            skill for skill in dict.fromkeys([*asked, *cues.skills]) if skill not in cues.unwanted_skills
        ),
        difficulty=asked_level if asked_level in DIFFICULTIES else DIFFICULTIES[level],
        feedback=cues,
    )


def _words(profile: Mapping[str, Any], *names: str) -> str:
    return everything({name: profile.get(name) for name in names}).lower()


def _past_project(profile: Mapping[str, Any]) -> str | None:
    for project in rows(profile, "projects"):
        title = read(project, "title").strip()
        if title and len(title) <= _MAX_TITLE and not is_order(title):
            return title
    return None


_MAX_TITLE = 40
