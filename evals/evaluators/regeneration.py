"""Regeneration follows what was asked."""

from __future__ import annotations

from collections.abc import Iterator

from evals.evaluators.base import Metric, Score, tally
from evals.evaluators.feedback import Asked, understood
from evals.evaluators.reading import Json, Turn, built_with, named, spoken, turns

METRICS = {
    "asked_difficulty": Metric("higher", "regenerations at the level asked for", guarded=True, tolerance=0.0),
    "asked_skills": Metric("higher", "skills asked for that the project uses", guarded=True),
    "asked_choice": Metric(
        "higher", "regenerations that build the candidate chosen", guarded=True, tolerance=0.0
    ),
    "asked_feedback": Metric(
        "higher", "wishes in words, as far as a rule can check, that came true", guarded=True
    ),
}

_LEVELS = ("beginner", "intermediate", "advanced")


def wishes(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the regenerations that ended well against their wishes. All are 0 to 1, higher is better, and
    None where nothing of the kind was asked.

    `asked_difficulty`: share of those with a wished level that have it.
    `asked_skills`: share of the wished skills that the project lists or its tasks use.
    `asked_choice`: share of those with a chosen candidate (`subject_id`) that build it.
    `asked_feedback`: share of what a feedback says clearly that came true: shorter and longer, easier and
    harder (against the answer before; at the end of the scale, the same level), a number of weeks, a
    skill to use or to leave out. A feedback in which no rule finds such a thing is not counted.

    They cannot see wishes about the subject itself ("something with games"), nor a skill outside the
    dictionary; a wish that contradicts another of the same turn counts as it stands.
    """
    listed = turns(outputs)
    return [
        tally(
            "asked_difficulty", (c for turn in listed for c in _level(turn)), none="no level was asked for"
        ),
        tally("asked_skills", (c for turn in listed for c in _skills(turn)), none="no skill was asked for"),
        tally("asked_choice", (c for turn in listed for c in _choice(turn)), none="no candidate was chosen"),
        tally(
            "asked_feedback", (c for turn in listed for c in _feedback(turn)), none="nothing a rule can check"
        ),
    ]


def _level(turn: Turn) -> Iterator[tuple[bool, str]]:
    wanted = turn.wishes.get("difficulty")
    if wanted:
        got = turn.after["project"]["difficulty"]
        yield got == wanted, f"asked {wanted}, got {got}"


def _skills(turn: Turn) -> Iterator[tuple[bool, str]]:
    project = turn.after["project"]
    used = named(project["skills"]) | built_with(project)
    for skill in turn.wishes.get("skills") or []:
        yield bool(named([skill]) & used), f"asked for {skill}"


def _choice(turn: Turn) -> Iterator[tuple[bool, str]]:
    wanted = turn.wishes.get("subject_id")
    if wanted:
        titles = [c["title"] for c in turn.before["candidates"] if c["id"] == wanted]
        yield turn.after["project"]["subject_id"] == wanted, f"asked for {' '.join(titles) or wanted}"


def _feedback(turn: Turn) -> Iterator[tuple[bool, str]]:
    asked = understood(turn.wishes.get("feedback") or "")
    before, after = turn.before["project"], turn.after["project"]
    yield from _time(asked, before["duration_weeks"], after["duration_weeks"])
    if asked.shift and not turn.wishes.get("difficulty"):
        was, now = _LEVELS.index(before["difficulty"]), _LEVELS.index(after["difficulty"])
        wanted = min(max(was + asked.shift, 0), len(_LEVELS) - 1)
        right = now >= wanted if asked.shift > 0 else now <= wanted
        yield right, f"{'harder' if asked.shift > 0 else 'easier'}: {_LEVELS[was]}, then {_LEVELS[now]}"
    used = built_with(after) | named(after["skills"]) | spoken(after["title"])
    yield from ((skill not in used, f"without {skill}") for skill in sorted(asked.without))
    yield from ((skill in used, f"with {skill}") for skill in sorted(asked.with_))


def _time(asked: Asked, before: int, after: int) -> Iterator[tuple[bool, str]]:
    if asked.weeks is not None:
        right = after <= asked.weeks if asked.at_most else after == asked.weeks
        yield right, f"asked for {asked.weeks} weeks, got {after}"
    elif asked.stretch:
        right = (after - before) * asked.stretch > 0
        yield right, f"{'longer' if asked.stretch > 0 else 'shorter'}: {before} weeks, then {after}"
