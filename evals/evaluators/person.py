"""What a project makes of the person: wishes and skills that are used or named as left, work within reach."""

from __future__ import annotations

from collections.abc import Iterator

from evals.evaluators.base import (
    EVERYDAY,
    SKILLS,
    Check,
    Json,
    Metric,
    Score,
    all_absent,
    answers,
    canonical_skills,
    kept_postings,
    known_skills,
    mean,
    mentioned_skills,
    most_wanted,
    names_as_left,
    plain,
    task_text,
    tasks,
    work_text,
    works_with,
)
from evals.evaluators.similarity import morphemes
from tools.core.text import texts

METRICS = {
    "wishes_covered": Metric("higher", "wishes that are served or named as left", guarded=True),
    "wishes_in_own_words": Metric(
        "higher", "served wishes that stand in the profile", guarded=True, tolerance=0.0
    ),
    "wishes_worked_on": Metric(
        "higher", "served wishes that the work takes up", guarded=True, tolerance=0.03
    ),
    "strengths_own": Metric("higher", "strengths of candidates that the person has", guarded=True),
    "skills_covered": Metric("higher", "main skills that are used or named as left", guarded=True),
    "tasks_in_reach": Metric(
        "higher", "projects most of whose tasks are in what the person can do", guarded=True
    ),
}

_MAIN = 5
"""Skills of a profile that count as the main ones."""
_SHARED = 2
"""Skills that a person must share with the market to be built upon: a changer may have none."""


def person(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores what the projects make of the profile.

    `wishes_covered`: share of the profile's `wishes` that a project says it serves, or works on by its words,
    or names as left; None where the profile has none.
    `wishes_in_own_words`: share of the wishes that a project or a candidate says it serves which stand in the
    profile.
    `wishes_worked_on`: share of those of projects of which the work uses every skill, or where they name none
    at least one word.
    `strengths_own`: share of the strengths that candidates build on which the person has: a known skill, or
    words of the profile.
    `skills_covered`: share of the person's main skills that the work uses or that are named as left. The main
    ones are the first five of the profile's list that the dictionary has, without everyday ones (Git).
    `tasks_in_reach`: 1 for a project at least half of whose tasks are mostly done with what the person can
    do (profile, its projects, the case's `known_skills`), falling to 0; tasks without a skill of the
    dictionary are left out. None for a person who shares fewer than two skills with the kept postings.

    Cannot see a wish that is served without one of its words and not listed, nor how well a skill is used.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(METRICS)
    profile = inputs.get("profile") or {}
    projects = [answer["project"] for answer in listed]
    known = known_skills(inputs, reference_outputs)
    shared = known & set(most_wanted(kept_postings(outputs)))
    said = plain("\n".join(texts(profile)))
    candidates = [subject for answer in listed for subject in answer["candidates"]]
    named = [wish for part in (*projects, *candidates) for wish in part.get("wishes") or []]
    strengths = [one for subject in candidates for one in subject.get("strengths") or []]
    served = [(project, wish) for project in projects for wish in project.get("wishes") or []]
    return [
        mean(
            "wishes_covered",
            (
                (_covers(project, wish), f"{project['title']}: {wish}")
                for project in projects
                for wish in profile.get("wishes") or []
            ),
            none="the profile names no wishes",
        ),
        mean(
            "wishes_in_own_words",
            ((bool(plain(wish)) and plain(wish) in said, wish) for wish in named),
            none="no wish is said to be served",
        ),
        mean(
            "wishes_worked_on",
            ((_takes_up(project, wish), f"{project['title']}: {wish}") for project, wish in served),
            none="no wish is said to be served",
        ),
        mean(
            "strengths_own",
            ((bool(canonical_skills([one]) & known) or plain(one) in said, one) for one in strengths),
            none="no strength is named",
        ),
        mean(
            "skills_covered",
            (
                (works_with(project, skill) or names_as_left(project, skill), f"{project['title']}: {skill}")
                for project in projects
                for skill in _main_skills(profile)
            ),
            none="the profile names no skills",
        ),
        mean(
            "tasks_in_reach",
            (part for project in projects for part in _in_reach(project, known))
            if len(shared) >= _SHARED
            else [],
            none="the person shares too few skills with the market",
        ),
    ]


def _covers(project: Json, wish: str) -> bool:
    whole = plain(wish)
    listed = [plain(one) for one in project.get("wishes") or []]
    return (
        any(one and (one in whole or whole in one) for one in listed)
        or names_as_left(project, wish)
        or _takes_up(project, wish, most=True)
    )


def _takes_up(project: Json, wish: str, *, most: bool = False) -> bool:
    """Whether the work uses the skills that a wish names; where it names none, one of its words, or half of
    them for a wish that the project does not list."""
    named = mentioned_skills(wish)
    if named:
        return all(works_with(project, skill) for skill in named)
    words, work = morphemes(wish), morphemes(work_text(project))
    shared = sum(word in work for word in words)
    return shared * 2 >= len(words) > 0 if most else shared > 0


def _main_skills(profile: Json) -> list[str]:
    """What the person puts first, without what stands in every profile (Git)."""
    listed = dict.fromkeys(profile.get("skills") or [])
    return [skill for skill in listed if canonical_skills([skill]) & SKILLS - EVERYDAY][:_MAIN]


def _in_reach(project: Json, known: set[str]) -> Iterator[tuple[float, str]]:
    checks: list[Check] = []
    for task in tasks(project):
        needed = canonical_skills(task["skills"]) | mentioned_skills(task_text(task))
        needed &= SKILLS | known
        if needed:
            checks.append((len(needed & known) * 2 >= len(needed), task["title"]))
    if checks:
        share = sum(within for within, _ in checks) / len(checks)
        beyond = ", ".join(title for within, title in checks if not within)
        yield min(1.0, share * 2), f"{project['title']}: {share:.0%}; beyond: {beyond}"
