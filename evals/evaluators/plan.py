"""The plan of a project: its weeks, its goal, its minimum version, its faults and its data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from evals.evaluators.base import (
    Check,
    Json,
    Metric,
    Score,
    all_absent,
    answers,
    folded,
    mean,
    plain,
    task_text,
    tasks,
    work_text,
)
from evals.evaluators.filler import names_a_thing
from evals.evaluators.similarity import morphemes
from evals.evaluators.words import one_of, part

METRICS = {
    "weeks_add_up": Metric("higher", "projects the weeks of whose steps are the project's", guarded=True),
    "hours_kept": Metric(
        "higher", "projects reckoned with no more hours a week than there are", guarded=True
    ),
    "minimum_halfway": Metric(
        "higher", "projects of which something stands after half the weeks", guarded=True
    ),
    "goal_measured": Metric(
        "higher", "projects with a goal in figures that the last step meets", guarded=True
    ),
    "faults_answered": Metric(
        "higher", "injected faults with a signal and a remedy of their own", guarded=True
    ),
    "data_named": Metric("higher", "data with a name and an origin", guarded=True),
}

_WEEKS_OFF = 0.25
"""Weeks by which the steps may miss the project's: figures are rounded."""
_HALF = (0.3, 0.7)
"""Shares of the weeks that are about half of them: of three equal steps the first or the second."""
_SHORTEST = 4
"""Characters of a signal, a remedy or an origin that can say something."""
_GOAL_WORDS = 0.5
"""Of the goal's words, the share that the last step must have where it repeats none of the figures."""
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_VAGUE_DATA = re.compile(
    # "로그", "public data", "공개 게임 로그": no name says which.
    rf"(?:(?:{one_of('vague_data.what')} ?)+(?:\S+ ){{0,2}})?{one_of('vague_data.thing')}",
    re.IGNORECASE,
)


def plan(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the plans of all projects. What a project does not say counts as not there, so that answers of
    before, whose shape has none of it, score 0 where something is promised.

    `weeks_add_up`: share of the projects of which every step has weeks, and these add up to the project's.
    `hours_kept`: share of the projects whose hours a week are said and no more than the profile's; None
    where the profile says none.
    `minimum_halfway`: share of the projects with a minimum version that shows a thing and stands after 30 to
    70 % of the weeks.
    `goal_measured`: share of the projects whose goal has a figure, and whose last step has a task with one of
    the goal's figures or half of its words.
    `faults_answered`: share of the failures that tasks cause on purpose, by their field or by their words,
    with a signal and a remedy that are told apart from the failure and from each other; and the remedy shares
    a word with the work. None where nothing is broken on purpose.
    `data_named`: share of the data with a name that says which ("공개 데이터" does not) and an origin; a
    project without any whose work speaks of data counts as one that fails.

    Cannot see whether a signal would show the fault, whether data exists, nor whether weeks are enough.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(METRICS)
    projects = [answer["project"] for answer in listed]
    hours = (inputs.get("profile") or {}).get("hours_per_week")
    return [
        mean("weeks_add_up", map(_weeks, projects), none="no answer"),
        mean(
            "hours_kept",
            [_hours(project, hours) for project in projects] if hours else [],
            none="the person names no hours",
        ),
        mean("minimum_halfway", map(_minimum, projects), none="no answer"),
        mean("goal_measured", map(_goal, projects), none="no answer"),
        mean(
            "faults_answered",
            (check for project in projects for check in _faults(project)),
            none="nothing is broken on purpose",
        ),
        mean(
            "data_named",
            (check for project in projects for check in _data(project)),
            none="no work on data",
        ),
    ]


def _weeks_of(project: Json) -> list[float]:
    return [float(step.get("weeks") or 0) for step in project["steps"]]


def _weeks(project: Json) -> Check:
    weeks = _weeks_of(project)
    fits = all(weeks) and abs(sum(weeks) - project["duration_weeks"]) <= _WEEKS_OFF
    said = " + ".join(format(each, "g") for each in weeks)
    return bool(weeks) and fits, f"{project['title']}: {said} of {project['duration_weeks']} weeks"


def _hours(project: Json, most: int) -> Check:
    hours: int = project.get("hours_per_week") or 0
    return 0 < hours <= most, f"{project['title']}: {hours or 'none said'} of {most} hours a week"


def _minimum(project: Json) -> Check:
    minimum = project.get("minimum_version")
    if not minimum:
        return False, f"{project['title']}: no minimum version"
    weeks, after = _weeks_of(project), minimum["after_step"]
    # Steps without weeks count alike, so that a fault in these is not counted here again.
    spent = weeks if all(weeks) else [1.0] * len(weeks)
    share = sum(spent[:after]) / sum(spent) if spent else 0.0
    inside = _HALF[0] <= share <= _HALF[1] or any(math.isclose(share, end) for end in _HALF)
    stands = 0 < after <= len(weeks) and inside and names_a_thing(minimum["shows"])
    return stands, f"{project['title']}: step {after}, {share:.0%} of the weeks: {minimum['shows']}"


def _goal(project: Json) -> Check:
    goal = project.get("goal") or ""
    figures, words = _figures(goal), morphemes(goal)
    last = [task_text(task) for step in project["steps"][-1:] for task in step["tasks"]]

    def meets(text: str) -> bool:
        shared = sum(word in morphemes(text) for word in words)
        return bool(figures & _figures(text)) or shared >= _GOAL_WORDS * len(words)

    return bool(figures) and any(map(meets, last)), f"{project['title']}: {goal or 'no goal'}"


def _figures(text: str) -> set[str]:
    return {match[0].replace(",", "") for match in _FIGURE.finditer(text)}


def _faults(project: Json) -> Iterator[Check]:
    work = [
        (task, morphemes(f"{task['title']}\n{task['description']}\n{task['deliverable']}"))
        for task in tasks(project)
    ]
    built = {word for _, found in work for word in found}
    for task, _ in work:
        fault = task.get("fault")
        if fault:
            said = [plain(fault[name]) for name in ("what", "signal", "remedy")]
            apart = len(set(said)) == len(said) and all(len(one) >= _SHORTEST for one in said[1:])
            yield apart and bool(built & set(morphemes(fault["remedy"]))), f"{task['title']}: {fault['what']}"
        elif part("injects").search(f"{task['title']}\n{task['description']}"):
            yield False, f"{task['title']}: neither signal nor remedy"


def _data(project: Json) -> Iterator[Check]:
    sources = project.get("data") or []
    for source in sources:
        name, origin = (folded(source[part]).strip(" .") for part in ("name", "origin"))
        vague = _VAGUE_DATA.fullmatch(name) or _VAGUE_DATA.fullmatch(origin)
        yield bool(name) and len(origin) >= _SHORTEST and not vague, f"{name}: {origin}"
    if not sources and part("needs_data").search(work_text(project)):
        yield False, f"{project['title']}: data without a name"
