"""The person who asks: the job they want, their skills and level, and what they ask for this time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tools.lexicon import KIND_OF, canonical, find_skills

from .families import FAMILIES, GENERAL, TECHNICAL_KINDS, Family, read_posting
from .text import everything, is_order, read, read_list, rows, shorten

_EASIER = re.compile(
    r"쉬[운웠]|쉽게|더\s*쉽|초보|초급|입문|어려워|어렵다|버거|easier|simpler|beginner|too (?:hard|difficult)",
    re.I,
)
_HARDER = re.compile(
    r"어렵게|더\s*어려운|심화|고급|난이도를?\s*(?:높|올)|도전적|너무\s*쉬"
    r"|harder|advanced|challenging|too easy|more difficult",
    re.I,
)
_SHORTER = re.compile(
    r"짧게|짧았으면|짧은\s*(?:기간|프로젝트|과제|일정|걸|거|것)|기간[을은이]?\s*(?:좀|조금|더)?\s*(?:줄|짧)"
    r"|(?:빨리|금방|빠르게)\s*끝|더\s*빨리|간단(?:한|하게|히)|작은\s*규모|규모[를로]?\s*(?:좀|조금|더)?\s*(?:줄|작)"
    r"|시간이\s*(?:\S+\s*)?(?:없|부족|적)|너무\s*(?:길|오래)|오래\s*걸(?!려도)"
    r"|\bshorter\b|\bshort (?:project|plan|one)\b|\bquick(?:er|ly)?\b|\bsmaller\b|\b(?:less|little|no) time\b"
    r"|\btoo long\b",
    re.I,
)
_LONGER = re.compile(
    r"길게|길었으면|더\s*긴|긴\s*(?:기간|프로젝트)|기간[을은이]?\s*(?:좀|조금|더)?\s*늘|오래\s*(?:할|하|걸려도)"
    r"|너무\s*짧|\blonger\b|\bbigger\b|\bmore time\b|\btoo short\b",
    re.I,
)
_TOO = re.compile(r"너무\s*짧|too short", re.I)
_WEEKS = re.compile(r"(\d{1,2}|일)\s*(?:주(?!\s*(?:차|년))|weeks?|wks?)", re.I)
_WEEKS_EN = re.compile(r"\b(one|two|three|four|five|six|seven|eight|nine|ten|twelve)\s+weeks?\b", re.I)
_MONTHS = re.compile(
    r"(\d|(?<![가-힣])[한두세]|\ba|\bone|\btwo|\bthree)\s*(?:개월|달(?!콤|러|성|력|리)|months?\b)", re.I
)
_BELOW = re.compile(r"보다\s*(?:더\s*)?짧|미만|shorter than|less than|fewer than", re.I)
_NUMBERS = {
    word: number
    for number, words in {
        1: "일 한 a one", 2: "두 two", 3: "세 three", 4: "four", 5: "five", 6: "six", 7: "seven",
        8: "eight", 9: "nine", 10: "ten", 12: "twelve",
    }.items()
    for word in words.split()
}  # fmt: skip
_TEAM = re.compile(
    r"팀\s*(?:으로|프로젝트|플|과제)|여럿|같이|함께|협업|\bteam\b|together|group project", re.I
)
_NOT_KO = re.compile(
    r"((?:[^\s,.]+\s*,\s*)*[^\s,.]+(?:\s[^\s,.]+)?)\s*"
    r"(?:말고|빼(?!지|놓지)|제외(?!하지)|싫|아닌|대신|없이|없애|없었으면|삭제|필요\s*없|원하지\s*않|싶지\s*않"
    r"|(?:쓰|사용하|넣|다루|하)지\s*(?:않|말|마)|안\s*(?:쓰|써|넣|배우|다루))"
)
_WORD_EN = r"(?!(?:use|using|but|with|please|add|prefer|instead|only|i|let|just)\b)[\w+#][\w.+#/-]*"
_NOT_EN = re.compile(
    r"(?:\b(?:not|no|without|instead of|rather than|other than|except|avoid|exclude|remove|drop|skip"
    r"|leave out)|n['’]t)\s+(?:(?:really\s+)?(?:want|like|wish)\s+)?(?:to\s+)?"
    r"(?:(?:use|using|include|learn|have|do)\s+)?"
    rf"({_WORD_EN}(?:(?:\s*,\s*|\s+(?:and|or|nor)\s+|\s){_WORD_EN}){{0,3}})",
    re.I,
)
_WORD = re.compile(r"[a-z0-9.+#]{2,}|[가-힣]{2,}")
_MONTH_WEEKS = 4
_MOST_WEEKS = 26


@dataclass(frozen=True)
class Feedback:
    """Cues found. `shift`: -1 easier, 1 harder; `stretch`: -1 shorter, 1 longer."""

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
    refused = [*_NOT_KO.findall(text), *_NOT_EN.findall(text)]
    unwanted = " ".join(refused).lower()
    rest = _NOT_EN.sub(" ", _NOT_KO.sub(" ", text))
    easier, harder = _EASIER.search(text) is not None, _HARDER.search(text) is not None
    shorter, longer = _SHORTER.search(text) is not None, _LONGER.search(text) is not None
    return Feedback(
        shift=int(harder) - int(easier and not harder),
        stretch=int(longer) if _TOO.search(text) else -1 if shorter else int(longer),
        weeks=_weeks(text),
        team=_TEAM.search(rest) is not None,
        skills=tuple(find_skills(rest)),
        unwanted_skills=tuple(find_skills(unwanted)),
        families=_families(rest),
        unwanted_families=_families(unwanted),
        words=frozenset(_WORD.findall(rest.lower())),
        unwanted=unwanted,
    )


def _weeks(text: str) -> int | None:
    weeks, months = _WEEKS.search(text) or _WEEKS_EN.search(text), _MONTHS.search(text)
    if weeks is None and months is None:
        return None
    amount = _number(weeks[1]) if weeks else _number(months[1]) * _MONTH_WEEKS if months else 0
    return min(max(amount - (_BELOW.search(text) is not None), 1), _MOST_WEEKS)


def _number(word: str) -> int:
    return _NUMBERS.get(word.lower()) or int(word)


_NICKNAMES = {
    "frontend": r"프론트|화면|front",
    "backend": r"백엔드|백앤드|서버|back",
    "data_engineering": r"데이터(?!\s*분석)|\bdata\b(?! anal)",
    "data_analysis": r"데이터\s*분석|분석|analy",
    "ai_ml": r"인공지능|머신|딥러닝|\bai\b|\bml\b|llm|모델",
    "mobile": r"모바일|앱\s|안드로이드|\bios\b|mobile|android",
    "devops": r"인프라|배포|클라우드|devops|infra|cloud|운영",
    "security": r"보안|security",
    "qa": r"테스트|품질|\bqa\b|testing",
    "game": r"게임|game",
    "embedded": r"임베디드|펌웨어|하드웨어|로봇|embedded|firmware|robot",
    "blockchain": r"블록체인|blockchain|web3",
    "marketing": r"마케팅|marketing",
    "design": r"디자인(?!\s*패턴)|\bui\b",
}
_NAMED = {key: re.compile(pattern, re.I) for key, pattern in _NICKNAMES.items() if key in FAMILIES}


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


def read_person(request: Mapping[str, Any], profile: Mapping[str, Any]) -> Person:
    """Returns the person behind a request and a profile; what is missing is guessed modestly."""
    text = everything({key: value for key, value in profile.items() if key != "desired_job"})
    job = read(request, "desired_job") or read(profile, "desired_job")
    listed = [canonical(skill) for skill in read_list(profile, "skills") if not is_order(skill)]
    has = tuple(dict.fromkeys(skill for skill in [*listed, *find_skills(text)] if skill in KIND_OF))
    cues = read_feedback(read(request, "feedback"))
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
