"""Tasks concrete: something to show, an order, work that fits the weeks and the person, no filler."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evals.evaluators.base import Metric, Score, absent, mean, tally
from evals.evaluators.base import failures as listed_failures
from evals.evaluators.filler import is_filler, names_a_thing
from evals.evaluators.reading import Json, answers, folded, known_skills, spoken, task_words, tasks
from evals.evaluators.similarity import likeness, morphemes

METRICS = {
    "deliverables": Metric("higher", "tasks with a specific deliverable", guarded=True),
    "steps_ordered": Metric("higher", "steps that stand on the ones before them", guarded=True),
    "tasks_fit_weeks": Metric("higher", "projects whose work fits their weeks", guarded=True, tolerance=0.03),
    "difficulty_fits": Metric("higher", "answers at a level the person can be at", tolerance=0.03),
    "no_filler": Metric("higher", "tasks that are not filler", guarded=True),
    "tasks_concrete": Metric("higher", "tasks that say what is made or measured", guarded=True),
    "tasks_distinct": Metric("higher", "tasks that repeat no other of their project", guarded=True),
}

FEWEST_STEPS = 3
A_WEEK = {"student": (0.75, 4.0), "job_seeker": (0.75, 4.0), "worker": (0.5, 3.0), None: (0.5, 4.0)}
"""Tasks a week by career stage, least and most: a task of the worked example in the prompts is two to three
days of a job seeker's; one that takes more than nine is none, and of more than four a week none is done."""
_LEVELS = ("beginner", "intermediate", "advanced")
_THIN = 3
"""Skills of somebody who begins; with one project at most and no job."""
_MUCH = 6
"""Skills of somebody who is beyond beginning; with two jobs."""
_LONG_ENOUGH = 15
"""Characters of a description that can say what is made and how."""
_WORDS_ENOUGH = 5
_REPEATED = 0.75
"""Likeness from which one task repeats another. Tasks of one project share its nouns, so it is higher than
that of subjects: the nearest different ones of the offline model come to .6."""

_OPENS = re.compile(
    r"환경 ?(?:설정|구성|준비)|요구 ?사항|기획|범위|시작하기|준비하기|기준 ?정하|set ?up|kick-?off|planning"
    r"|requirements|get(?:ting)? started|scope",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    r"포트폴리오|마무리|회고|발표|결과 ?정리|공개하기|portfolio|wrap[ -]?up|retrospective|presentation"
    r"|publish",
    re.IGNORECASE,
)
_FIGURE = re.compile(
    r"\d|한 번|두 |세 |네 |다섯|여섯|열 |절반|매일|\b(?:once|twice|two|three|four|five|six|ten|half)\b"
)


def concrete(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the tasks and steps of all projects. All are 0 to 1, higher is better.

    `deliverables`: share of tasks whose deliverable is there, names a thing ("통과하는 통합 테스트", not
    "코드") and is not the task's title.
    `steps_ordered`: share of a project's steps that are in their place: the first is no closing one, a later
    one shares words with what earlier steps made, none that opens comes in the second half and none that
    closes before the last third; 0 for fewer than three steps.
    `tasks_fit_weeks`: 1 for a number of tasks a week that the career stage can do (`A_WEEK`), falling to
    0 at half the least and at twice the most.
    `difficulty_fits`: share of the answers, of those for which no level was asked, at the only defensible
    level (`expect.difficulty`); where the case names none, not advanced for somebody with nothing to
    show yet and not beginner for somebody with two jobs and six skills; None for the others.
    `no_filler`: share of tasks whose title and description are no filler (`filler.py`).
    `tasks_concrete`: share of tasks whose description says what is made or measured: fifteen characters, and
    a figure, a technology or five different content words.
    `tasks_distinct`: share of tasks that repeat none before them in the project, by text.

    They cannot see whether the work is right, whether a deliverable follows from its task, nor how hard
    a task is.
    """
    listed = answers(outputs)
    if not listed:
        return [absent(key, "no answer") for key in METRICS]
    projects = [answer["project"] for answer in listed]
    every = [task for project in projects for task in tasks(project)]
    stage = (inputs.get("profile") or {}).get("career_stage")
    return [
        tally("deliverables", ((_shows(task), task["deliverable"]) for task in every), none="no tasks"),
        mean("steps_ordered", [_ordered(project) for project in projects], none="no answer"),
        mean("tasks_fit_weeks", [_fits(project, stage) for project in projects], none="no answer"),
        tally(
            "difficulty_fits",
            _levels(inputs, outputs, reference_outputs),
            none="more than one level is defensible, or one was asked for",
        ),
        tally("no_filler", ((not _filler(task), task["title"]) for task in every), none="no tasks"),
        tally("tasks_concrete", ((_concrete(task), task["description"]) for task in every), none="no tasks"),
        tally(
            "tasks_distinct", (check for project in projects for check in _distinct(project)), none="no tasks"
        ),
    ]


def _shows(task: Json) -> bool:
    deliverable = task["deliverable"]
    return names_a_thing(deliverable) and folded(deliverable) != folded(task["title"])


def _filler(task: Json) -> bool:
    return is_filler(task["title"]) or is_filler(task["description"])


def _concrete(task: Json) -> bool:
    text = folded(task["description"])
    return len(text) >= _LONG_ENOUGH and (
        _FIGURE.search(text) is not None or bool(spoken(text)) or len(morphemes(text)) >= _WORDS_ENOUGH
    )


def _ordered(project: Json) -> tuple[float, str]:
    steps = project["steps"]
    if len(steps) < FEWEST_STEPS:
        return 0.0, f"{project['title']}: {len(steps)} steps"
    made: set[str] = set()
    wrong = []
    for number, step in enumerate(steps):
        words = {word for task in step["tasks"] for word in morphemes(task_words(task))}
        place = number / (len(steps) - 1)
        misplaced = (_OPENS.search(step["title"]) and place > 1 / 2) or (
            _CLOSES.search(step["title"]) and place < 2 / 3
        )
        if misplaced or (number and not words & made):
            wrong.append(step["title"])
        made |= words
    return 1 - len(wrong) / len(steps), f"{project['title']}: {listed_failures(wrong)}"


def _fits(project: Json, stage: str | None) -> tuple[float, str]:
    least, most = A_WEEK.get(stage, A_WEEK[None])
    number, weeks = len(tasks(project)), max(1, project["duration_weeks"])
    rate = number / weeks
    share = min(1.0, 2 - rate / most) if rate > least else min(1.0, 2 * rate / least - 1)
    return max(0.0, share), f"{project['title']}: {number} tasks in {weeks} weeks"


def _levels(inputs: Json, outputs: Json, reference: Json) -> Iterator[tuple[bool, str]]:
    allowed = _defensible(inputs, reference)
    asked = [False, *(_asks_level(t["wishes"]) for t in outputs.get("turns") or [] if not t["error"])]
    if allowed != set(_LEVELS):
        for answer, wished in zip(answers(outputs), asked, strict=False):
            level = answer["project"]["difficulty"]
            if not wished:
                yield level in allowed, f"{level}, not {' or '.join(sorted(allowed))}"


def _asks_level(wishes: Json) -> bool:
    # Feedback may ask for it too, in words.
    return bool(wishes.get("difficulty") or wishes.get("feedback"))


def _defensible(inputs: Json, reference: Json) -> set[str]:
    if reference.get("difficulty"):
        return {reference["difficulty"]}
    profile = inputs.get("profile") or {}
    jobs, past = len(profile.get("experiences") or []), len(profile.get("projects") or [])
    known = len(known_skills(inputs, reference))
    if not jobs and past <= 1 and known <= _THIN:
        return {"beginner", "intermediate"}
    return {"intermediate", "advanced"} if jobs > 1 and known >= _MUCH else set(_LEVELS)


def _distinct(project: Json) -> Iterator[tuple[bool, str]]:
    listed = tasks(project)
    for number, task in enumerate(listed):
        again = any(
            folded(task["title"]) == folded(other["title"]) or likeness(task, other) >= _REPEATED
            for other in listed[:number]
        )
        yield not again, task["title"]
