"""A project as Markdown: what a person takes along."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tools.core.contracts import AnswerWarning, Language, Project, Step, Subject, Task

_WORDS: dict[Language, dict[str, Any]] = {
    "ko": {
        "levels": {"beginner": "입문", "intermediate": "중급", "advanced": "고급"},
        "time": "{level} · {weeks}주",
        "hours": " · 주 {hours}시간",
        "goal": "목표",
        "skills": "기술",
        "why": "왜 이 프로젝트인가",
        "wishes": "바라는 것",
        "evidence": "공고의 말",
        "steps": "단계",
        "weeks": "{weeks:g}주",
        "task_hours": " ({hours:g}시간)",
        "deliverable": "산출물",
        "fault": "일부러 일으키는 장애",
        "signal": "드러나는 신호",
        "remedy": "대책",
        "minimum": "시간이 모자라면: {step}단계까지의 최소 버전",
        "data": "데이터",
        "costs": "비용",
        "not_covered": "담지 않은 것",
        "candidates": "다른 후보",
        "warnings": "확인이 필요한 점",
    },
    "en": {
        "levels": {"beginner": "beginner", "intermediate": "intermediate", "advanced": "advanced"},
        "time": "{level} · {weeks} weeks",
        "hours": " · {hours} hours a week",
        "goal": "Goal",
        "skills": "Skills",
        "why": "Why this project",
        "wishes": "What you wish for",
        "evidence": "In the postings' words",
        "steps": "Steps",
        "weeks": "{weeks:g} weeks",
        "task_hours": " ({hours:g} hours)",
        "deliverable": "Deliverable",
        "fault": "Fault caused on purpose",
        "signal": "Signal that shows it",
        "remedy": "Remedy",
        "minimum": "If time runs out: the minimum version after step {step}",
        "data": "Data",
        "costs": "Costs",
        "not_covered": "Left out",
        "candidates": "Other candidates",
        "warnings": "To be checked",
    },
}
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")


def to_markdown(
    project: Project,
    language: Language,
    *,
    candidates: Sequence[Subject] = (),
    warnings: Sequence[AnswerWarning] = (),
) -> str:
    """Returns a project as Markdown (CommonMark), with what else was proposed and what checks found.

    Texts of the model and of postings cannot format anything: their special characters are escaped.
    """
    words = _WORDS[language]
    time = words["time"].format(level=words["levels"][project.difficulty], weeks=project.duration_weeks)
    if project.hours_per_week:
        time += words["hours"].format(hours=project.hours_per_week)
    parts = [f"# {_plain(project.title)}", time, _plain(project.description)]
    if project.goal:
        parts.append(f"**{words['goal']}**: {_plain(project.goal)}")
    parts.append(f"**{words['skills']}**: {_plain(', '.join(project.skills))}")
    parts += [f"## {words['why']}", _plain(project.summary)]
    if project.wishes:
        parts += [f"**{words['wishes']}**", _listed(project.wishes)]
    if project.evidence:
        parts += [f"## {words['evidence']}", "\n".join(_quotes(project))]
    parts.append(f"## {words['steps']}")
    for number, step in enumerate(project.steps, start=1):
        parts += _step(number, step, words)
    if minimum := project.minimum_version:
        heading = words["minimum"].format(step=minimum.after_step)
        parts += [f"**{heading}**", _plain(minimum.shows)]
    if project.data:
        parts += [f"## {words['data']}", _listed(f"{item.name}: {item.origin}" for item in project.data)]
    if project.costs:
        parts += [f"## {words['costs']}", _plain(project.costs)]
    if project.not_covered:
        left = (f"{item.name}: {item.reason}" for item in project.not_covered)
        parts += [f"## {words['not_covered']}", _listed(left)]
    if candidates:
        parts += [f"## {words['candidates']}", "\n".join(_candidates(candidates))]
    if warnings:
        parts += [f"## {words['warnings']}", _listed(warning.message for warning in warnings)]
    return "\n\n".join(parts) + "\n"


def _step(number: int, step: Step, words: dict[str, Any]) -> Iterator[str]:
    weeks = f" ({words['weeks'].format(weeks=step.weeks)})" if step.weeks else ""
    yield f"### {number}. {_plain(step.title)}{weeks}"
    yield "\n".join(line for task in step.tasks for line in _task(task, words))


def _task(task: Task, words: dict[str, Any]) -> Iterator[str]:
    hours = words["task_hours"].format(hours=task.hours) if task.hours else ""
    yield f"- [ ] **{_plain(task.title)}**{hours} — {_plain(task.description)}"
    yield f"  - {words['deliverable']}: {_plain(task.deliverable)}"
    if task.fault:
        yield f"  - {words['fault']}: {_plain(task.fault.what)}"
        yield f"  - {words['signal']}: {_plain(task.fault.signal)}"
        yield f"  - {words['remedy']}: {_plain(task.fault.remedy)}"


def _quotes(project: Project) -> Iterator[str]:
    for quote in project.evidence:
        claim = f"{_plain(quote.claim)}: " if quote.claim else ""
        yield f"- {claim}“{_plain(quote.quote)}” — {_plain(quote.company)}, {_plain(quote.job_title)}"


def _candidates(candidates: Sequence[Subject]) -> Iterator[str]:
    for subject in candidates:
        yield f"- **{_plain(subject.title)}** — {_plain(subject.description)} ({_plain(subject.goal)})"


def _listed(texts: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(text)}" for text in texts)


def _plain(text: str) -> str:
    """Returns a text on one line in which nothing formats."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
