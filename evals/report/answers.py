"""Two answers to one case, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
from lxml.etree import _Element as Element
from pydantic import ValidationError

from evals.report.changed import ChangedCase
from evals.report.format import NO_FIGURE, figure, mark, way
from evals.report.html_parts import Child, element, folded, markup, table
from evals.runs.results import CaseResult
from tools.postings.contracts import Answer, RetrievedPosting, Subject

_LONGEST = 20_000
"""Characters of an output that is shown as JSON."""

Part = Callable[[Answer], list[Element]]


def side_by_side(case: ChangedCase) -> list[Child]:
    """Returns what was asked, which scores changed and why, and what each run answered."""
    return [_asked(case.b), _scores(case), *_outputs(case.a.outputs, case.b.outputs)]


def answers_of(outputs: dict[str, Any]) -> list[Answer] | None:
    """Returns the answers in a case's outputs; None where they are of another shape, as those of another
    version may be."""
    try:
        return [Answer.model_validate(one) for one in outputs["answers"]]
    except (KeyError, TypeError, ValidationError):
        return None


def error_of(outputs: dict[str, Any]) -> str | None:
    """Returns the error that the first answer ended in, in a line; None when it did not."""
    error = outputs.get("error")
    if not error:
        return None
    return f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else str(error)


def asked_for(case: CaseResult) -> str:
    """Returns what the person of a case wants to become, or the query."""
    profile = case.inputs.get("profile")
    wanted = profile.get("desired_job") if isinstance(profile, dict) else case.inputs.get("query")
    return wanted if isinstance(wanted, str) else ""


def _asked(case: CaseResult) -> Element:
    return folded("What was asked", _json(case.inputs))


def _scores(case: ChangedCase) -> Element | None:
    if not case.changes:
        return None
    names = ("Metric", "A", "B", "Said of A", "Said of B")
    rows = [
        element(
            "tr",
            element("th", f"{mark(one.steps)} {one.key}", scope="row", class_=way(one.steps)),
            element("td", figure(one.a, one.unit), class_="figure"),
            element("td", figure(one.b, one.unit), class_="figure"),
            element("td", _comment(case.a, one.key)),
            element("td", _comment(case.b, one.key)),
        )
        for one in case.changes
    ]
    return table("Scores that changed", names, rows)


def _comment(case: CaseResult, key: str) -> str:
    return next((score.comment or "" for score in case.scores if score.key == key), "")


def _outputs(a: dict[str, Any], b: dict[str, Any]) -> Iterable[Element]:
    if "ranked" in a and "ranked" in b:
        yield _beside("Ranking", _ranking(a["ranked"]), _ranking(b["ranked"]))
        return
    of_a, of_b = answers_of(a), answers_of(b)
    if of_a is None or of_b is None:
        yield _beside("Output", [_json(a)], [_json(b)])
        return
    errors = [error_of(a), error_of(b)]
    if any(errors):
        yield _beside("Error", *([element("p", one, class_="error")] if one else [] for one in errors))
    for number in range(max(len(of_a), len(of_b))):
        one = of_a[number] if number < len(of_a) else None
        other = of_b[number] if number < len(of_b) else None
        parts = [
            _beside(name, [] if one is None else part(one), [] if other is None else part(other))
            for name, part in _PARTS.items()
        ]
        if number == 0:
            yield from parts
        else:
            # Turns that failed have no answer, so the wishes are those of the turns that ended well.
            wishes = [_wishes(outputs, number - 1) for outputs in (a, b)]
            yield folded(f"After regeneration {number}", _beside("Asked", *wishes), parts)
    yield from _failed_turns(a, b)


def _ranking(ranked: list[dict[str, Any]]) -> list[Element]:
    """What the retrieval suite found (`evals/retrieval/suites.py`), best place first."""
    rows = [
        element(
            "li",
            element("strong", NO_FIGURE if row.get("grade") is None else str(row["grade"])),
            f" {row.get('job_title')} · {row.get('company')} ",
            element("span", row.get("family") or "", class_="quiet"),
        )
        for row in ranked
    ]
    return [element("p", "Grade, posting, family", class_="quiet"), element("ol", rows)]


def _wishes(outputs: dict[str, Any], number: int) -> list[Element]:
    well = [turn for turn in outputs.get("turns") or [] if not turn.get("error")]
    return [_json(well[number].get("wishes"))] if number < len(well) else []


def _failed_turns(a: dict[str, Any], b: dict[str, Any]) -> Iterable[Element]:
    sides = [[turn for turn in outputs.get("turns") or [] if turn.get("error")] for outputs in (a, b)]
    if any(sides):
        yield _beside("Regenerations that failed", *([_json(turn) for turn in side] for side in sides))


def _beside(name: str, a: Sequence[Element], b: Sequence[Element]) -> Element:
    """Two columns; what is alike in both is folded away."""
    shown = [[markup(one) for one in side] for side in (a, b)]
    if shown[0] == shown[1]:
        return folded(f"{name} (the same in both)", b, class_="same")
    columns = [
        element("div", element("h5", f"{run} · {name}"), side or element("p", NO_FIGURE), class_="column")
        for run, side in (("A", a), ("B", b))
    ]
    return element("div", columns, class_="beside")


def _json(value: Any) -> Element:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    rest = f"\n… {len(text) - _LONGEST:,} characters more in the result file"
    return element("pre", text[:_LONGEST] + (rest if len(text) > _LONGEST else ""), tabindex="0")


def _project(answer: Answer) -> list[Element]:
    project = answer.project
    terms = f"{project.difficulty} · {project.duration_weeks} weeks · {', '.join(project.skills)}"
    return [
        element("p", element("strong", project.title)),
        element("p", project.description),
        element("p", terms, class_="quiet"),
        element("p", project.summary),
    ]


def _subjects(answer: Answer) -> list[Element]:
    return [element("ol", [element("li", _subject(one)) for one in answer.candidates])]


def _subject(subject: Subject) -> list[Child]:
    gaps = "; ".join(f"{gap.skill} ({gap.reason})" for gap in subject.skill_gaps)
    return [
        element("strong", subject.title),
        element("p", subject.description),
        element("p", f"Goal: {subject.goal}"),
        element("p", f"Gaps: {gaps or NO_FIGURE}", class_="quiet"),
    ]


def _steps(answer: Answer) -> list[Element]:
    steps = []
    for step in answer.project.steps:
        tasks = [
            element(
                "li",
                element("strong", task.title),
                f" — {task.description} ",
                element("span", f"→ {task.deliverable}", class_="quiet"),
            )
            for task in step.tasks
        ]
        steps.append(element("li", element("strong", step.title), element("ul", tasks)))
    return [element("ol", steps)]


def _evidence(answer: Answer) -> list[Element]:
    return [
        element(
            "figure",
            element("blockquote", one.quote),
            element("figcaption", f"{one.posting_id} {one.company} · {one.job_title}", class_="quiet"),
        )
        for one in answer.project.evidence
    ]


def _postings(answer: Answer) -> list[Element]:
    kept = [one for one in answer.postings if one.kept]
    dropped = [one for one in answer.postings if not one.kept]
    nearest = " · none fits, so these are the nearest" if answer.closest_only else ""
    return [
        element("p", f"{len(kept)} of {len(answer.postings)}{nearest}"),
        element("ul", map(_posting, kept)),
        folded(f"{len(dropped)} dropped", element("ul", map(_posting, dropped))),
    ]


def _posting(posting: RetrievedPosting) -> Element:
    return element(
        "li",
        f"{posting.job_title} · {posting.company} ",
        element("span", f"({posting.posting_id}) {posting.reason}", class_="quiet"),
    )


_PARTS: dict[str, Part] = {
    "Project": _project,
    "Subjects": _subjects,
    "Steps": _steps,
    "Evidence": _evidence,
    "Kept postings": _postings,
}
