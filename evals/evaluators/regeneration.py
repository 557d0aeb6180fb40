"""Regeneration: whether it follows the wishes, and which wishes in free words a rule can check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from evals.evaluators.base import (
    SKILLS,
    Check,
    Json,
    Metric,
    Score,
    Turn,
    canonical_skills,
    kept_postings,
    mean,
    mentioned_skills,
    most_wanted,
    turns,
    used_skills,
    work_text,
)
from evals.evaluators.similarity import morphemes, nouns, stem
from evals.evaluators.words import words
from tools.lexicon import find_skills

METRICS = {
    "asked_difficulty": Metric("higher", "regenerations at the level asked for", guarded=True, tolerance=0.0),
    "asked_weeks": Metric("higher", "regenerations within the weeks asked for", guarded=True, tolerance=0.0),
    "asked_skills": Metric("higher", "skills asked for that the project uses", guarded=True),
    "asked_choice": Metric(
        "higher", "regenerations that build the candidate chosen", guarded=True, tolerance=0.0
    ),
    "asked_feedback": Metric(
        "higher", "wishes in words, as far as a rule can check, that came true", guarded=True
    ),
    "asked_words": Metric("higher", "wishes in words that the project takes up", guarded=True),
    "stays_in_job": Metric("higher", "regenerations that stay in the wished job", guarded=True),
}

_IN_JOB = 0.5
"""Of the skills that a project brings in, the share that kept postings name where it is of their job."""
_NOUN = 2
"""Letters of a word that a feedback is about."""
_SAYS_HOW = frozenset(map(stem, words("feedback_says_how")))
_LEVELS = ("beginner", "intermediate", "advanced")


def wishes(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the regenerations that succeeded against their wishes; None where nothing of the kind was asked.

    `asked_difficulty`: share of those with a wished level that have it.
    `asked_weeks`: share of those with a wished number of weeks that take no more.
    `asked_skills`: share of the wished skills that the project lists or its tasks use.
    `asked_choice`: share of those with a chosen candidate (`subject_id`) that build it.
    `asked_feedback`: share of what a feedback says clearly (`parse_feedback`) that came true: shorter and
    longer, easier and harder (against the answer before; at the end of the scale, the same level), a number
    of weeks, a skill to use or to leave out.

    `asked_words`: share of the feedbacks about something ("게임 쪽으로", but not "더 쉽게"; what is unwanted
    left out) of which the new project's work has a noun.
    `stays_in_job`: 1 for a regenerated project at least half of whose skills a kept posting names, falling to
    0; without those that were asked for, which the person may take from wherever.

    Cannot see whether a word was taken up in earnest, nor a skill outside the dictionary; a wish that
    contradicts another of the same turn counts as it stands.
    """
    listed = turns(outputs)
    market = set(most_wanted(kept_postings(outputs)))
    return [
        mean(key, (check for turn in listed for check in checks(turn)), none=none)
        for key, checks, none in (
            ("asked_difficulty", _level, "no level was asked for"),
            ("asked_weeks", _within, "no number of weeks was asked for"),
            ("asked_skills", _skills, "no skill was asked for"),
            ("asked_choice", _choice, "no candidate was chosen"),
            ("asked_feedback", _feedback, "nothing a rule can check"),
            ("asked_words", _topic, "no feedback is about something"),
        )
    ] + [
        mean(
            "stays_in_job",
            (part for turn in listed for part in _in_job(turn, market)),
            none="no regeneration",
        )
    ]


def _level(turn: Turn) -> Iterator[Check]:
    wanted = turn.wishes.get("difficulty")
    if wanted:
        got = turn.after["project"]["difficulty"]
        yield got == wanted, f"asked {wanted}, got {got}"


def _within(turn: Turn) -> Iterator[Check]:
    most = turn.wishes.get("weeks")
    if most:
        got = turn.after["project"]["duration_weeks"]
        yield got <= most, f"asked for {most} weeks at most, got {got}"


def _skills(turn: Turn) -> Iterator[Check]:
    project = turn.after["project"]
    used = canonical_skills(project["skills"]) | used_skills(project)
    for skill in turn.wishes.get("skills") or []:
        yield bool(canonical_skills([skill]) & used), f"asked for {skill}"


def _choice(turn: Turn) -> Iterator[Check]:
    wanted = turn.wishes.get("subject_id")
    if wanted:
        titles = [c["title"] for c in turn.before["candidates"] if c["id"] == wanted]
        yield turn.after["project"]["subject_id"] == wanted, f"asked for {' '.join(titles) or wanted}"


def _feedback(turn: Turn) -> Iterator[Check]:
    asked = parse_feedback(turn.wishes.get("feedback") or "")
    before, after = turn.before["project"], turn.after["project"]
    yield from _time(asked, before["duration_weeks"], after["duration_weeks"])
    if asked.shift and not turn.wishes.get("difficulty"):
        was, now = _LEVELS.index(before["difficulty"]), _LEVELS.index(after["difficulty"])
        wanted = min(max(was + asked.shift, 0), len(_LEVELS) - 1)
        right = now >= wanted if asked.shift > 0 else now <= wanted
        yield right, f"{'harder' if asked.shift > 0 else 'easier'}: {_LEVELS[was]}, then {_LEVELS[now]}"
    used = used_skills(after) | canonical_skills(after["skills"]) | mentioned_skills(after["title"])
    yield from ((skill not in used, f"without {skill}") for skill in sorted(asked.without))
    yield from ((skill in used, f"with {skill}") for skill in sorted(asked.with_))


def _topic(turn: Turn) -> Iterator[Check]:
    feedback = turn.wishes.get("feedback") or ""
    wanted = {word for word in topic(feedback) if len(word) >= _NOUN}
    if wanted:
        taken = wanted & set(morphemes(work_text(turn.after["project"])))
        yield bool(taken), f"nothing of {', '.join(sorted(wanted))}"


def topic(feedback: str) -> set[str]:
    """Returns the words that a feedback is about: without skills, what is unwanted, and how it should be."""
    wanted = _WITHOUT_EN.sub(" ", _WITHOUT_KO.sub(" ", feedback))
    return {
        word
        for word in nouns(wanted)
        if word not in _SAYS_HOW and not word.isdigit() and not find_skills(word)
    }


def _in_job(turn: Turn, market: set[str]) -> Iterator[tuple[float, str]]:
    project = turn.after["project"]
    asked = canonical_skills(turn.wishes.get("skills") or [])
    asked |= mentioned_skills(turn.wishes.get("feedback") or "")
    brought = ((canonical_skills(project["skills"]) & SKILLS) | used_skills(project) & SKILLS) - asked
    if brought and market:
        named = brought & market
        strange = ", ".join(sorted(brought - market))
        yield min(1.0, len(named) / len(brought) / _IN_JOB), f"{project['title']}: {strange}"


def _time(asked: Feedback, before: int, after: int) -> Iterator[Check]:
    if asked.weeks is not None:
        right = after <= asked.weeks if asked.at_most else after == asked.weeks
        yield right, f"asked for {asked.weeks} weeks, got {after}"
    elif asked.stretch:
        right = (after - before) * asked.stretch > 0
        yield right, f"{'longer' if asked.stretch > 0 else 'shorter'}: {before} weeks, then {after}"


_SHORTER = re.compile(
    r"짧게|짧은|짧았으면|더 ?빨리 ?끝|기간을? ?(?:줄|짧)|\bshorter\b|\bless time\b|\bquicker\b", re.I
)
_LONGER = re.compile(r"길게|더 ?긴|기간을? ?늘|\blonger\b|\bmore time\b", re.I)
_EASIER = re.compile(
    r"(?<!너무 )(?:더 )?쉽게|더 ?쉬운|난이도를? ?(?:낮|내)|너무 ?어려|\beasier\b|\btoo (?:hard|difficult)\b",
    re.I,
)
_HARDER = re.compile(
    r"어렵게|더 ?어려운|난이도를? ?(?:높|올)|너무 ?쉬|\bharder\b|\bmore (?:difficult|challenging)\b"
    r"|\btoo easy\b",
    re.I,
)
_WEEKS = re.compile(r"(\d{1,2})\s*(?:주(?!\s*(?:차|년))|weeks?\b)", re.I)
_AT_MOST = re.compile(r"이내|안에|안으로|이하|넘지|within|at most|no more than|under|up to", re.I)
_WITHOUT_KO = re.compile(
    r"(?P<what>(?:\S+[\s,]+){0,3}?\S+?)\s*(?:은|는|을|를|이|가)?\s*"
    r"(?:빼(?!지|놓지)|제외(?!하지)|말고|없이|대신|(?:쓰|사용하|넣)지\s*(?:말|않)|안\s*(?:쓰|넣)|싫)"
)
_WITHOUT_EN = re.compile(
    r"\b(?:without|instead of|rather than|exclud(?:e|ing)|avoid|drop|remove|skip|no more|not using|no)\s+"
    r"(?P<what>\S+(?:(?:,\s*|\s+(?:and|or)\s+)\S+)*)",
    re.I,
)
_WITH_KO = re.compile(
    r"(?P<what>(?:\S+[\s,]+){0,2}?\S+?)(?:(?:으로|로)(?=[\s.,!]|$)|(?:을|를)?\s*(?:써|쓰고|사용|활용|이용|넣|추가|다뤄|배우))"
)
_WITH_EN = re.compile(
    r"\b(?:with|use|using|add|include|try|learn)\s+(?P<what>\S+(?:(?:,\s*|\s+(?:and|or)\s+|\s)\S+)?)", re.I
)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What can be checked. `weeks` is exact unless `at_most`; `stretch` and `shift` are -1 for shorter and
    easier, 1 for longer and harder; skills are canonical names in lower case."""

    stretch: int = 0
    shift: int = 0
    weeks: int | None = None
    at_most: bool = False
    without: frozenset[str] = frozenset()
    with_: frozenset[str] = frozenset()


def parse_feedback(text: str) -> Feedback:
    """Returns what of a feedback a rule can check. Only clear words count: what is not understood is not
    checked, so that a rule's misunderstanding is no fault of the answer."""
    without = _skills_in([_WITHOUT_KO, _WITHOUT_EN], text)
    rest = _WITHOUT_EN.sub(" ", _WITHOUT_KO.sub(" ", text))
    weeks = _WEEKS.search(text)
    return Feedback(
        stretch=bool(_LONGER.search(text)) - bool(_SHORTER.search(text)),
        shift=bool(_HARDER.search(text)) - bool(_EASIER.search(text)),
        weeks=int(weeks[1]) if weeks else None,
        at_most=weeks is not None and _AT_MOST.search(text) is not None,
        without=without,
        with_=_skills_in([_WITH_KO, _WITH_EN], rest) - without,
    )


def _skills_in(patterns: list[re.Pattern[str]], text: str) -> frozenset[str]:
    named = (match["what"] for pattern in patterns for match in pattern.finditer(text))
    return frozenset(skill.casefold() for what in named for skill in find_skills(what))
