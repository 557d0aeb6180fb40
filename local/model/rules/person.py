"""The person who asks: the job they want, their skills and level, and what they ask for this time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tools.lexicon import KIND_OF, canonical, find_skills
from tools.lexicon.families import FAMILIES, GENERAL, TECHNICAL_KINDS, Family, read_posting
from tools.lexicon.wishes import Wish, wish

from .text import everything, is_order, load_yaml, read, read_list, rows, shorten

_CUES: dict[str, Any] = load_yaml("cues.yaml")
_NAMED = {key: re.compile(pattern, re.I) for key, pattern in _CUES.pop("families").items()}
_SAID = {name: re.compile("|".join(patterns), re.I) for name, patterns in _CUES.items()}
_WEEKS = re.compile(r"(\d{1,2}|일)\s*(?:주(?!\s*(?:차|년))|weeks?|wks?)", re.I)
_WEEKS_EN = re.compile(r"\b(one|two|three|four|five|six|seven|eight|nine|ten|twelve)\s+weeks?\b", re.I)
_MONTHS = re.compile(
    r"(\d|(?<![가-힣])[한두세]|\ba|\bone|\btwo|\bthree)\s*(?:개월|달(?!콤|러|성|력|리)|months?\b)", re.I
)
_NUMBERS = {
    word: number
    for number, words in {
        1: "일 한 a one", 2: "두 two", 3: "세 three", 4: "four", 5: "five", 6: "six", 7: "seven",
        8: "eight", 9: "nine", 10: "ten", 12: "twelve",
    }.items()
    for word in words.split()
}  # fmt: skip
_WORD = re.compile(r"[a-z0-9.+#]{2,}|[가-힣]{2,}")
_MONTH_WEEKS = 4
_MOST_WEEKS = 26


@dataclass(frozen=True)
class Feedback:
    """Cues found. `shift`: -1 easier, 1 harder; `stretch`: -1 shorter, 1 longer; `families` are those that
    the job itself is to be changed to."""

    shift: int = 0
    stretch: int = 0
    weeks: int | None = None
    team: bool = False
    skills: tuple[str, ...] = ()
    unwanted_skills: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    unwanted_families: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    unwanted: str = ""


@lru_cache(maxsize=1024)
def read_feedback(text: str) -> Feedback:
    """Returns the cues in a feedback text; of an empty or unclear one, none."""
    refused = [found for name in ("not_ko", "not_en") for found in _SAID[name].findall(text)]
    unwanted = " ".join(refused).lower()
    rest = _SAID["not_en"].sub(" ", _SAID["not_ko"].sub(" ", text))
    said = {name for name, pattern in _SAID.items() if pattern.search(text)}
    return Feedback(
        shift=int("harder" in said) - int("easier" in said and "harder" not in said),
        stretch=-1 if "shorter" in said and "too_short" not in said else int("longer" in said),
        weeks=_weeks(text),
        team=_SAID["team"].search(rest) is not None,
        skills=tuple(find_skills(rest)),
        unwanted_skills=tuple(find_skills(unwanted)),
        families=_families(rest) if "switch" in said else (),
        unwanted_families=_families(unwanted),
        words=frozenset(_WORD.findall(rest.lower())),
        unwanted=unwanted,
    )


def _weeks(text: str) -> int | None:
    weeks, months = _WEEKS.search(text) or _WEEKS_EN.search(text), _MONTHS.search(text)
    if weeks is None and months is None:
        return None
    amount = _number(weeks[1]) if weeks else _number(months[1]) * _MONTH_WEEKS if months else 0
    return min(max(amount - (_SAID["below"].search(text) is not None), 1), _MOST_WEEKS)


def _number(word: str) -> int:
    return _NUMBERS.get(word.lower()) or int(word)


def _families(text: str) -> tuple[str, ...]:
    return tuple(key for key, pattern in _NAMED.items() if pattern.search(f"{text} "))


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
_YEAR_MONTHS = 12
_LONGEST = 50 * _YEAR_MONTHS

_SENIOR = re.compile(r"시니어|리드|수석|책임|senior|\blead\b|\bstaff\b|principal|아키텍트|architect", re.I)
_JUNIOR = re.compile(r"신입|인턴|주니어|junior|\bintern\b|entry", re.I)
_LEARNING = re.compile(r"교육생|수강|훈련생|부트캠프|bootcamp|trainee|student", re.I)
_GRADUATE = re.compile(r"석사|박사|대학원|master|ph\.?\s?d|graduate school", re.I)
_DATE = re.compile(r"((?:19|20)\d\d)\s*(?:[-./년]\s*(\d{1,2}))?")
_YEARS = re.compile(r"(?<!\d)(\d{1,2})(?:\.\d)?\s*(?:년\s*(?:차|경력|이상|간|동안|째)|\+?\s*years?)")
_SENTENCE = re.compile(r"[\n!?。]|\.(?:\s|$)")


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
    last = _month(end, _YEAR_MONTHS) if end else now.year * _YEAR_MONTHS + now.month
    return first, min(max(last, first), first + _LONGEST)


def _month(date: re.Match[str], default: int) -> int:
    return int(date[1]) * _YEAR_MONTHS + (int(date[2]) if date[2] else default)


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
    return sum(worth.values()) / _YEAR_MONTHS


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


DIFFICULTIES = ("beginner", "intermediate", "advanced")


@dataclass(frozen=True)
class Person:
    """What the rules know about who asks, in one place."""

    language: str
    job: str
    """The desired job, in the person's words; empty where it speaks to a model."""
    wish: Wish
    has: tuple[str, ...]
    """Skills that the profile shows, canonical; those listed as skills come first."""
    listed: tuple[str, ...]
    """The skills they list, in their own words and order."""
    wishes: tuple[str, ...]
    """The profile's wishes, word for word."""
    hopes: tuple[str, ...]
    """Sentences of the introduction that say what they would like."""
    stage: str | None
    hours: int | None
    """Hours a week, where the profile says so."""
    text: str
    """Every text of the profile in lower case."""
    wants: str
    """What they say of themselves and where they want to go, in lower case."""
    did: str
    """Their past projects and work, in lower case."""
    past: tuple[str, ...]
    """Titles of past projects, and roles."""
    asked: tuple[str, ...]
    """Skills asked for in this request, canonical."""
    difficulty: str
    weeks: int | None
    """The most weeks that this request allows, in its field."""
    weeks_before: int | None
    """Of the project shown before."""
    feedback: Feedback

    @property
    def time_limit(self) -> int | None:
        """The fewest weeks that are named, in the request's field or in words."""
        return min(filter(None, (self.weeks, self.feedback.weeks)), default=None)


def read_person(request: Mapping[str, Any], profile: Mapping[str, Any]) -> Person:
    """Returns the person behind a request and a profile; what is missing is guessed modestly."""
    text = everything({key: value for key, value in profile.items() if key != "desired_job"})
    job = read(request, "desired_job") or read(profile, "desired_job")
    listed = _harmless(read_list(profile, "skills"))
    told = _harmless([line.strip() for line in _SENTENCE.split(read(profile, "introduction"))])
    shown = [everything({key: value for key, value in profile.items() if key not in _NOT_SHOWN})]
    shown += [line for line in told if not _SAID["lacking"].search(line)]
    has = [canonical(skill) for skill in listed] + find_skills("\n".join(shown))
    wishes = _harmless(read_list(profile, "wishes"))
    cues = read_feedback("\n".join([read(request, "feedback"), *wishes]))
    asked = [shorten(canonical(skill), 40) for skill in _harmless(read_list(request, "skills"))]
    stage = read(profile, "career_stage") or read(request, "career_stage") or None
    wanted = wish(job, text)
    before = next(iter(rows({"before": [request.get("before")]}, "before")), {})
    asked_level, level_before = request.get("difficulty"), before.get("difficulty")
    level = standing(profile, job, wanted.families, stage)
    if cues.shift and level_before in DIFFICULTIES:
        level = DIFFICULTIES.index(level_before)
    level = min(max(level + cues.shift, 0), 2)
    return Person(
        language="en" if request.get("language") == "en" else "ko",
        job="" if is_order(job) else shorten(job.strip(), 80),
        wish=wanted,
        has=tuple(skill for skill in dict.fromkeys(has) if skill in KIND_OF),
        listed=tuple(listed),
        wishes=tuple(wishes),
        hopes=tuple(line for line in told if len(line) <= _MAX_WISH and _SAID["wanting"].search(line)),
        stage=stage,
        hours=_whole(profile.get("hours_per_week")),
        text=text.lower(),
        wants=_words(profile, "introduction", "wishes", "desired_companies") + f"\n{job.lower()}",
        did=_words(profile, "projects", "experiences"),
        past=tuple(_past(profile)),
        asked=tuple(
            skill for skill in dict.fromkeys([*asked, *cues.skills]) if skill not in cues.unwanted_skills
        ),
        difficulty=asked_level if asked_level in DIFFICULTIES else DIFFICULTIES[level],
        weeks=_whole(request.get("weeks")),
        weeks_before=_whole(before.get("duration_weeks")),
        feedback=cues,
    )


def _harmless(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if text and not is_order(text)]


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _words(profile: Mapping[str, Any], *names: str) -> str:
    return everything({name: profile.get(name) for name in names}).lower()


def _past(profile: Row) -> Iterator[str]:
    for part, name in (("projects", "title"), ("experiences", "role")):
        for row in rows(profile, part):
            if (title := read(row, name).strip()) and len(title) <= _MAX_TITLE and not is_order(title):
                yield title


_NOT_SHOWN = frozenset({"desired_job", "wishes", "introduction"})
_MAX_TITLE = 40
_MAX_WISH = 160
