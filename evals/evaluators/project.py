"""The tasks: with something to show, in an order, that fit the weeks and the person; no filler."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evals.evaluators.base import (
    Check,
    Json,
    Metric,
    Score,
    all_absent,
    answers,
    failures,
    folded,
    known_skills,
    mean,
    mentioned_skills,
    task_text,
    tasks,
)
from evals.evaluators.filler import is_filler, names_a_thing
from evals.evaluators.similarity import morphemes, similarity
from evals.evaluators.words import part

METRICS = {
    "deliverables": Metric("higher", "tasks with a specific deliverable", guarded=True),
    "steps_ordered": Metric("higher", "steps that stand on the ones before them", guarded=True),
    "tasks_fit_weeks": Metric("higher", "projects whose work fits their weeks", guarded=True, tolerance=0.03),
    "difficulty_fits": Metric("higher", "answers at a level the person can be at", tolerance=0.03),
    "no_filler": Metric("higher", "tasks that are not filler", guarded=True),
    "tasks_concrete": Metric("higher", "tasks that say what is made or measured", guarded=True),
    "tasks_distinct": Metric("higher", "tasks that repeat no other of their project", guarded=True),
}

_FEWEST_STEPS = 3
_A_WEEK = {"student": (0.75, 4.0), "job_seeker": (0.75, 4.0), "worker": (0.5, 3.0), None: (0.5, 4.0)}
"""Tasks a week by career stage, least and most: a task of the worked example in the prompts is two to three
days of a job seeker's."""
_HOURS_A_TASK = (5, 40)
"""Hours of a task, least and most, where the hours a week are known: half a day to a working week."""
_LEVELS = ("beginner", "intermediate", "advanced")
_THIN = 3
"""Skills of somebody who begins; with one project at most and no job."""
_MUCH = 6
"""Skills of somebody who is beyond beginning; with two jobs."""
_LONG_ENOUGH = 15
"""Characters of a description that can say what is made and how."""
_WORDS_ENOUGH = 5
_REPEATED = 0.75
"""Similarity from which one task repeats another. Tasks of one project share its nouns, so it is higher than
that of subjects: the nearest different ones of the offline model come to .6."""

_FIGURE = re.compile(
    r"\d|한 번|두 |세 |네 |다섯|여섯|열 |절반|매일|\b(?:once|twice|two|three|four|five|six|ten|half)\b"
)


def concrete(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the tasks and steps of all projects.

    `deliverables`: share of tasks whose deliverable names a thing ("통과하는 통합 테스트", not "코드") and is
    not the task's title.
    `steps_ordered`: share of a project's steps that are in their place: the first is no closing one, a later
    one shares words with what earlier steps made, none that opens comes in the second half and none that
    closes before the last third; 0 for fewer than three steps.
    `tasks_fit_weeks`: 1 for a number of tasks a week that the hours a week of the person, or else of the
    project, allow (`_HOURS_A_TASK`), or where neither is said the career stage (`_A_WEEK`); falling to 0 at
    half the least and at twice the most.
    `difficulty_fits`: share of the answers, of those for which no level was asked, at the only defensible
    level (`expect.difficulty`); where the case names none, not advanced for somebody with nothing to
    show yet and not beginner for somebody with two jobs and six skills; None for the others.
    `no_filler`: share of tasks whose title and description are no filler (`is_filler`).
    `tasks_concrete`: share of tasks whose description says what is made or measured: fifteen characters, and
    a figure, a technology or five different content words.
    `tasks_distinct`: share of tasks that repeat none before them in the project, by text.

    Cannot see whether the work is right, whether a deliverable follows from its task, nor how hard a task is.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(METRICS)
    projects = [answer["project"] for answer in listed]
    every = [task for project in projects for task in tasks(project)]
    profile = inputs.get("profile") or {}
    none = "no tasks"
    checks: dict[str, list[Check]] = {"deliverables": [], "no_filler": [], "tasks_concrete": []}
    for task in every:
        title, text, deliverable = (folded(task[part]) for part in ("title", "description", "deliverable"))
        says = _FIGURE.search(text) or mentioned_skills(text) or len(morphemes(text)) >= _WORDS_ENOUGH
        shows = names_a_thing(deliverable) and deliverable != title
        checks["deliverables"].append((shows, task["deliverable"]))
        checks["no_filler"].append((not (is_filler(title) or is_filler(text)), task["title"]))
        checks["tasks_concrete"].append((len(text) >= _LONG_ENOUGH and bool(says), task["description"]))
    return [
        mean("deliverables", checks["deliverables"], none=none),
        mean("steps_ordered", [_ordered(project) for project in projects], none="no answer"),
        mean("tasks_fit_weeks", [_fits_weeks(project, profile) for project in projects], none="no answer"),
        mean(
            "difficulty_fits",
            _levels(inputs, outputs, reference_outputs),
            none="more than one level is defensible, or one was asked for",
        ),
        mean("no_filler", checks["no_filler"], none=none),
        mean("tasks_concrete", checks["tasks_concrete"], none=none),
        mean("tasks_distinct", (check for project in projects for check in _distinct(project)), none=none),
    ]


def _ordered(project: Json) -> tuple[float, str]:
    steps = project["steps"]
    if len(steps) < _FEWEST_STEPS:
        return 0.0, f"{project['title']}: {len(steps)} steps"
    made: set[str] = set()
    wrong = []
    for number, step in enumerate(steps):
        words = {word for task in step["tasks"] for word in morphemes(task_text(task))}
        place = number / (len(steps) - 1)
        misplaced = (part("step.opens").search(step["title"]) and place > 1 / 2) or (
            part("step.closes").search(step["title"]) and place < 2 / 3
        )
        if misplaced or (number and not words & made):
            wrong.append(step["title"])
        made |= words
    return 1 - len(wrong) / len(steps), f"{project['title']}: {failures(wrong)}"


def _fits_weeks(project: Json, profile: Json) -> tuple[float, str]:
    least, most = _A_WEEK.get(profile.get("career_stage"), _A_WEEK[None])
    hours = profile.get("hours_per_week") or project.get("hours_per_week")
    if hours:
        shortest, longest = _HOURS_A_TASK
        least, most = hours / longest, hours / shortest
    number, weeks = len(tasks(project)), max(1, project["duration_weeks"])
    rate = number / weeks
    share = min(1.0, 2 - rate / most) if rate > least else min(1.0, 2 * rate / least - 1)
    return max(0.0, share), f"{project['title']}: {number} tasks in {weeks} weeks"


def _levels(inputs: Json, outputs: Json, reference: Json) -> Iterator[Check]:
    allowed = _defensible(inputs, reference)
    wishes = [{}, *(turn["wishes"] for turn in outputs.get("turns") or [] if not turn["error"])]
    if allowed != set(_LEVELS):
        for answer, wished in zip(answers(outputs), wishes, strict=False):
            level = answer["project"]["difficulty"]
            # Feedback may ask for a level in words.
            if not (wished.get("difficulty") or wished.get("feedback")):
                yield level in allowed, f"{level}, not {' or '.join(sorted(allowed))}"


def _defensible(inputs: Json, reference: Json) -> set[str]:
    if reference.get("difficulty"):
        return {reference["difficulty"]}
    profile = inputs.get("profile") or {}
    jobs, past = len(profile.get("experiences") or []), len(profile.get("projects") or [])
    known = len(known_skills(inputs, reference))
    if not jobs and past <= 1 and known <= _THIN:
        return {"beginner", "intermediate"}
    return {"intermediate", "advanced"} if jobs > 1 and known >= _MUCH else set(_LEVELS)


def _distinct(project: Json) -> Iterator[Check]:
    listed = tasks(project)
    for number, task in enumerate(listed):
        again = any(
            folded(task["title"]) == folded(other["title"]) or similarity(task, other) >= _REPEATED
            for other in listed[:number]
        )
        yield not again, task["title"]
