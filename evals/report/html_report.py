"""The comparison as one HTML file that needs nothing else: no network, no font, no library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from lxml.etree import _Element as Element

from evals.report.compare import ChangedCase, Comparison, HeaderDifference, Row
from evals.report.format import (
    NO_FIGURE,
    answers_of,
    desired_job,
    direction,
    error_of,
    figure,
    finding,
    interval,
    mark,
    probability,
    setting,
    signed,
    tally,
    unit_of,
)
from evals.report.html_parts import (
    Child,
    bars,
    colour,
    details,
    differences,
    document,
    element,
    markup,
    table,
)
from evals.runs.results import CaseResult
from tools.postings.contracts import Answer, RetrievedPosting, Subject

_HERE = Path(__file__).parent
_EFFECTS = (0.2, 0.5, 0.8)
"""From where a change counts as small, middling, large, in standard deviations between cases (Cohen 1988,
*Statistical Power Analysis for the Behavioral Sciences*)."""
_ABOUT = (
    "Differences are B − A over the cases that both runs have a score for; repeats of a case are averaged "
    "first. Intervals are 95 % bootstrap intervals over cases. A metric is called better or worse when its "
    "p-value, corrected for the number of metrics (Holm; by family: Benjamini–Hochberg), is at most 0.05. "
    "With fewer than six cases nothing is called."
)

_LONGEST = 20_000
"""Characters of an output that is shown as JSON."""

Part = Callable[[Answer], list[Element]]


def html(comparison: Comparison) -> str:
    """Returns the whole page. Texts of the runs, however hostile, are text in it and nothing else."""
    a, b = comparison.a.header, comparison.b.header
    title = f"{a.name} → {b.name}"
    sections = [
        _section("settings", "What was different", _settings(comparison.settings)),
        _section("metrics", "Metrics", [differences(comparison.rows), _metrics(comparison.rows)]),
        _section("cost", "Counts, time, tokens and money", [bars(comparison.rows)]),
        _section("families", "By job family", _families(comparison)),
        _section("cases", "Cases that changed most", _cases(comparison.changed)),
        _section("left-out", "Cases in one run only, and errors", _left_out(comparison)),
    ]
    shown = [section for section in sections if section is not None]
    links = [element("a", section[0].text or "", href=f"#{section.get('id')}") for section in shown]
    body = [
        element("a", "To the metrics", href="#metrics", class_="skip"),
        element(
            "header",
            element("p", f"Suite {b.suite} · {len(comparison.common)} cases in both", class_="quiet"),
            element("h1", a.name, element("span", " → ", class_="quiet"), b.name),
            element("p", tally(comparison), class_="tally"),
            _warnings(comparison.warnings),
            element("nav", links, aria_label="Sections"),
        ),
        element("main", shown),
        element("footer", element("p", _ABOUT)),
    ]
    return document(
        title,
        body,
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
    )


def _section(name: str, title: str, parts: Sequence[Child]) -> Element | None:
    if all(part is None for part in parts):
        return None
    return element("section", element("h2", title), parts, id=name)


def _warnings(warnings: Sequence[str]) -> Element | None:
    if not warnings:
        return None
    return element("ul", [element("li", one) for one in warnings], class_="warnings", aria_label="Warnings")


def _settings(settings: Sequence[HeaderDifference]) -> list[Child]:
    if not settings:
        return [element("p", "Nothing that was recorded.")]
    packages = [one for one in settings if one.name.startswith("packages.")]
    others = [one for one in settings if one not in packages]
    names = ("Setting", "A", "B")
    listed = table("Packages", names, map(_setting, packages))
    return [
        table("Settings", names, map(_setting, others)) if others else None,
        details(f"Packages in other versions: {len(packages)}", listed) if packages else None,
    ]


def _setting(one: HeaderDifference) -> Element:
    values = [element("td", element("code", setting(value))) for value in (one.a, one.b)]
    return element("tr", element("th", one.name, scope="row"), values)


def _metrics(rows: Sequence[Row]) -> Element:
    names = ("Metric", "A", "B", "Difference", "95 % interval", "p", "Cases", "Higher", "Lower", "Finding")
    return table("Metrics", names, map(_metric, rows), "sortable")


def _metric(row: Row) -> Element:
    known = row.metric
    about = known and f"{known.what} ({known.unit}, {known.better} is better)"
    return element(
        "tr",
        element(
            "th",
            row.key,
            element("span", " guarded", class_="tag") if known and known.guarded else None,
            element("span", about, class_="what") if about else None,
            scope="row",
        ),
        _figures(row),
        element("td", finding(row), class_=colour(row)),
    )


def _figures(row: Row) -> list[Element]:
    """What stands between a metric's name and the finding."""
    change, unit = row.difference, unit_of(row)
    if change is None:
        nothing = [_figure(None, NO_FIGURE) for _ in range(7)]
        return [*nothing[:5], _figure(0, _cases_of(row)), *nothing[5:]]
    return [
        _figure(change.a, figure(change.a, unit)),
        _figure(change.b, figure(change.b, unit)),
        _figure(change.difference, signed(change.difference, unit), colour(row)),
        _figure(change.low, interval(row)),
        _figure(row.p, probability(row.p)),
        _figure(change.n, _cases_of(row)),
        _figure(change.higher, str(change.higher)),
        _figure(change.lower, str(change.lower)),
    ]


def _cases_of(row: Row) -> str:
    """Cases that count, and how many only one run has a score for."""
    count = 0 if row.difference is None else row.difference.n
    one_sided = [
        f"{len(cases)} {how}" for how, cases in (("lost", row.lost), ("gained", row.gained)) if cases
    ]
    return f"{count} ({', '.join(one_sided)})" if one_sided else str(count)


def _figure(value: float | None, shown: str, kind: str = "") -> Element:
    return element("td", shown, class_=f"figure {kind}".strip(), data_value=value)


def _families(comparison: Comparison) -> list[Child]:
    families = comparison.families
    if len(families) == 1:
        return [None]
    by_key = {family: {row.key: row for row in rows} for family, rows in families.items()}
    rows = [
        element(
            "tr",
            element("th", row.key, scope="row"),
            [_cell(by_key[family].get(row.key), row.spread) for family in families],
        )
        for row in comparison.rows
    ]
    names = ["Metric", *(f"{family} ({comparison.family_sizes[family]})" for family in families)]
    legend = (
        "Differences B − A. ▲ better, ▼ worse beyond chance. The colour says how large a change is beside "
        "the spread between cases (0.2, 0.5, 0.8 standard deviations). In italics: fewer than six cases, too "
        "few to tell."
    )
    return [element("p", legend, class_="quiet"), table("By job family", names, rows, "heat")]


def _cell(row: Row | None, spread: float) -> Element:
    if row is None or row.difference is None:
        return element("td", NO_FIGURE, class_="figure")
    shown, change = signed(row.difference.difference, unit_of(row)), row.improvement
    if row.verdict == "too few":
        return element("td", element("i", shown), class_="figure few", title="too few cases")
    level = 0 if change is None or not spread else sum(abs(change) / spread >= at for at in _EFFECTS)
    kind = f"figure {'up' if (change or 0) > 0 else 'down'}-{level}" if level else "figure"
    sure = row.verdict in ("better", "worse")
    text = element("strong", f"{finding(row)[0]} {shown}") if sure else shown
    return element("td", text, class_=kind, title=finding(row))


def _cases(cases: Sequence[ChangedCase]) -> list[Child]:
    if not cases:
        return [element("p", "No guarded metric changed in any case.")]
    about = (
        "By the sum of the changes of the guarded metrics, each in standard deviations between cases. "
        "Cases that ended in an error in one run only come first."
    )
    return [element("p", about, class_="quiet"), *(_case(number, one) for number, one in enumerate(cases))]


def _case(number: int, case: ChangedCase) -> Element:
    failed = f" · error in {'B' if case.b.failed() else 'A'} only" if case.one_failed else ""
    changes = ", ".join(one.key for one in case.changes[:4])
    return element(
        "details",
        element(
            "summary",
            element("span", f"{mark(case.direction)} ", class_=direction(case.direction)),
            element("strong", case.case_id),
            element("span", f" {case.b.family or ''} {desired_job(case.b)}", lang=case.b.language),
            element("span", f" · changed by {case.distance:.1f}: {changes}{failed}", class_="quiet"),
        ),
        element("div", _side_by_side(case), lang=case.b.language),
        class_="case",
        open="" if number == 0 else None,
    )


def _left_out(comparison: Comparison) -> list[Child]:
    lists = {
        "Error in B only": comparison.broken,
        "Error in A only": comparison.recovered,
        "Only in A": comparison.only_a,
        "Only in B": comparison.only_b,
        "Other inputs": comparison.other_inputs,
    }
    return [
        details(f"{name}: {len(cases)}", element("p", element("code", ", ".join(cases)))) if cases else None
        for name, cases in lists.items()
    ]


def _side_by_side(case: ChangedCase) -> list[Child]:
    """What was asked, which scores changed and why, and what each run answered."""
    asked = details("What was asked", _json(case.b.inputs))
    return [asked, _scores(case), *_outputs(case.a.outputs, case.b.outputs)]


def _scores(case: ChangedCase) -> Element | None:
    if not case.changes:
        return None
    names = ("Metric", "A", "B", "Said of A", "Said of B")
    rows = [
        element(
            "tr",
            element("th", f"{mark(one.steps)} {one.key}", scope="row", class_=direction(one.steps)),
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
            yield details(f"After regeneration {number}", _beside("Asked", *wishes), parts)
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
    """Two columns; what is alike in both is details away."""
    shown = [[markup(one) for one in side] for side in (a, b)]
    if shown[0] == shown[1]:
        return details(f"{name} (the same in both)", b, class_="same")
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
        details(f"{len(dropped)} dropped", element("ul", map(_posting, dropped))),
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
