"""Skill gaps addressed: asked for by postings, new to the person, and worked on in the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from evals.evaluators.base import Metric, Score, absent, mean, tally
from evals.evaluators.grounding import demand
from evals.evaluators.reading import (
    Json,
    answers,
    asks_for,
    built_with,
    chosen_subject,
    kept_postings,
    known_skills,
    named,
    posting_text,
    task_words,
    tasks,
)
from evals.evaluators.similarity import morphemes

METRICS = {
    "gaps_asked_for": Metric("higher", "named gaps that a kept posting names", guarded=True),
    "gaps_new": Metric("higher", "named gaps that the person does not have already", guarded=True),
    "gaps_worked_on": Metric("higher", "gaps of the project that its tasks work on", guarded=True),
}

_SHARE = 0.5
"""Of the words of a gap that is no skill of the dictionary, those that must be found."""


def gaps(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the gaps that candidates name, and what projects do about them.

    `gaps_asked_for`: share of the candidates' gaps that a kept posting names, in its list or its text; a
    gap in free words ("handling failures") counts when half of its words stand in one posting; 0 to 1,
    higher is better.
    `gaps_new`: share of the candidates' gaps that are not among what the person can do (profile, its
    projects, the case's `known_skills`); 0 to 1, higher is better.
    `gaps_worked_on`: of a project's gaps, those that its tasks use, averaged over the projects; a project
    without any gap, for somebody to whom the market has something new, scores 0; 0 to 1, higher is
    better. A project's gaps are those of the candidate that it was built from; where that was not shown
    (the first project of a session), the skills of the project that the person lacks and a kept posting
    names.

    They cannot see whether a gap is the one most worth closing (`project_demand` is near that), nor how
    deep a task goes into it.
    """
    listed = answers(outputs)
    if not listed:
        return [absent(key, "no answer") for key in METRICS]
    kept, known = kept_postings(outputs), known_skills(inputs, reference_outputs)
    subjects = {subject["id"]: subject for answer in listed for subject in answer["candidates"]}
    listed_gaps = [
        (gap["skill"], f"{gap['skill']} of {subject['title']}")
        for subject in subjects.values()
        for gap in subject["skill_gaps"]
    ]
    new_to_them = set(demand(kept)) - known
    return [
        tally(
            "gaps_asked_for",
            ((_asked_for(gap, kept), what) for gap, what in listed_gaps),
            none="no gaps named",
        ),
        tally(
            "gaps_new", ((not named([gap]) & known, what) for gap, what in listed_gaps), none="no gaps named"
        ),
        mean(
            "gaps_worked_on",
            [part for answer in listed for part in _worked_on(outputs, answer, kept, known, new_to_them)],
            none="the market asks nothing that the person lacks",
        ),
    ]


def _asked_for(gap: str, kept: list[Json]) -> bool:
    return any(asks_for(p, gap) or _mostly_in(gap, morphemes(posting_text(p))) for p in kept)


def _mostly_in(gap: str, words: Counter[str]) -> bool:
    wanted = morphemes(gap)
    # One word alone is a name; half of it is nothing.
    return len(wanted) > 1 and sum(word in words for word in wanted) / len(wanted) >= _SHARE


def _worked_on(
    outputs: Json, answer: Json, kept: list[Json], known: set[str], new_to_them: set[str]
) -> Iterator[tuple[float, str]]:
    project = answer["project"]
    subject = chosen_subject(outputs, project)
    if subject is not None:
        wanted = [gap["skill"] for gap in subject["skill_gaps"]]
    else:
        lacking = sorted(named(project["skills"]) - known)
        wanted = [skill for skill in lacking if any(asks_for(posting, skill) for posting in kept)]
    if wanted:
        used, words = built_with(project), morphemes("\n".join(map(task_words, tasks(project))))
        unused = [gap for gap in wanted if not named([gap]) & used and not _mostly_in(gap, words)]
        yield 1 - len(unused) / len(wanted), f"{project['title']}: no task on {', '.join(unused)}"
    elif new_to_them:
        yield 0.0, f"{project['title']}: closes no gap"
