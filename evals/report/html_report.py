"""The comparison as one HTML file that needs nothing else: no network, no font, no library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from lxml.etree import _Element as Element

from evals.report import format as fmt
from evals.report.compare import ChangedCase, Comparison, HeaderDifference, Row
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
from tools.core.contracts import Answer, RetrievedPosting, Subject

_HERE = Path(__file__).parent
_EFFECTS = (0.2, 0.5, 0.8)
"""From where a change counts as small, middling, large, in standard deviations between cases (Cohen 1988,
*Statistical Power Analysis for the Behavioral Sciences*)."""
_LONGEST = 20_000
"""Characters of an output that is shown as JSON."""
_ABOUT = (
    "Differences are B − A over the cases that both runs have a score for; repeats of a case are averaged "
    "first. Intervals are 95 % bootstrap intervals over cases. A metric is called better or worse when its "
    "p-value, corrected for the number of metrics (Holm; by family: Benjamini–Hochberg), is at most 0.05. "
    "With fewer than six cases nothing is called."
)
_FAMILIES = (
    "Differences B − A. ▲ better, ▼ worse beyond chance. The colour says how large a change is beside "
    "the spread between cases (0.2, 0.5, 0.8 standard deviations). In italics: fewer than six cases, too "
    "few to tell."
)
_CASES = (
    "By the sum of the changes of the guarded metrics, each in standard deviations between cases. Cases that "
    "ended in an error in one run only come first."
)
_COLUMNS = ("Metric", "A", "B", "Difference", "95 % interval", "p", "Cases", "Higher", "Lower", "Finding")
div, li, ol, p, span, strong, td, tr, ul = (
    partial(element, tag) for tag in ("div", "li", "ol", "p", "span", "strong", "td", "tr", "ul")
)
row_head = partial(element, "th", scope="row")
quiet = partial(element, "span", class_="quiet")


def html(comparison: Comparison) -> str:
    """Returns the whole page. Texts of the runs, however hostile, are text in it and nothing else."""
    a, b = comparison.a.header, comparison.b.header
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
    warnings = map(li, comparison.warnings)
    answered = fmt.sides(comparison)
    body = [
        element("a", "To the metrics", href="#metrics", class_="skip"),
        element(
            "header",
            p(f"Suite {b.suite} · {len(comparison.common)} cases in both", class_="quiet"),
            element("h1", a.name, quiet(" → "), b.name),
            p(answered, class_="quiet") if answered else None,
            p(fmt.tally(comparison), class_="tally"),
            ul(warnings, class_="warnings", aria_label="Warnings") if comparison.warnings else None,
            element("nav", links, aria_label="Sections"),
        ),
        element("main", shown),
        element("footer", p(_ABOUT)),
    ]
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return document(f"{a.name} → {b.name}", body, style=style, script=script)


def _section(name: str, title: str, parts: Sequence[Child]) -> Element | None:
    if all(part is None for part in parts):
        return None
    return element("section", element("h2", title), parts, id=name)


def _settings(settings: Sequence[HeaderDifference]) -> list[Child]:
    if not settings:
        return [p("Nothing that was recorded.")]

    def listed(label: str, rows: Sequence[HeaderDifference]) -> Element:
        return table(label, ("Setting", "A", "B"), map(_setting, rows))

    packages = [one for one in settings if one.name.startswith("packages.")]
    others = [one for one in settings if one not in packages]
    title = f"Packages in other versions: {len(packages)}"
    return [
        listed("Settings", others) if others else None,
        details(title, listed("Packages", packages)) if packages else None,
    ]


def _setting(one: HeaderDifference) -> Element:
    values = [td(element("code", fmt.setting(value))) for value in (one.a, one.b)]
    return tr(row_head(one.name), values)


def _metrics(rows: Sequence[Row]) -> Element:
    return table("Metrics", _COLUMNS, map(_metric, rows), "sortable")


def _metric(row: Row) -> Element:
    known = row.metric
    about = known and f"{known.what} ({known.unit}, {known.better} is better)"
    tag = span(" guarded", class_="tag") if row.guarded else None
    name = row_head(row.key, tag, span(about, class_="what") if about else None)
    return tr(name, _figures(row), td(fmt.finding(row), class_=colour(row)))


def _figures(row: Row) -> list[Element]:
    """The cells between a metric's name and the finding."""
    change, unit = row.difference, fmt.unit_of(row)
    # Cases that count, and how many only one run has a score for.
    one_sided = [f"{len(ids)} {how}" for how, ids in (("lost", row.lost), ("gained", row.gained)) if ids]
    n = 0 if change is None else change.n
    cases = _figure(n, f"{n} ({', '.join(one_sided)})" if one_sided else str(n))
    if change is None:
        nothing = [_figure(None, fmt.NO_FIGURE) for _ in range(7)]
        return [*nothing[:5], cases, *nothing[5:]]
    return [
        _figure(change.a, fmt.figure(change.a, unit)),
        _figure(change.b, fmt.figure(change.b, unit)),
        _figure(change.difference, fmt.signed(change.difference, unit), colour(row)),
        _figure(change.low, fmt.interval(row)),
        _figure(row.p, fmt.probability(row.p)),
        cases,
        _figure(change.higher, str(change.higher)),
        _figure(change.lower, str(change.lower)),
    ]


def _figure(value: float | None, shown: str, kind: str = "") -> Element:
    return td(shown, class_=f"figure {kind}".strip(), data_value=value)


def _families(comparison: Comparison) -> list[Child]:
    families = comparison.families
    if len(families) == 1:
        return [None]
    by_key = {family: {row.key: row for row in rows} for family, rows in families.items()}
    rows = [
        tr(row_head(row.key), [_cell(by_key[family].get(row.key), row.spread) for family in families])
        for row in comparison.rows
    ]
    names = ["Metric", *(f"{family} ({comparison.family_sizes[family]})" for family in families)]
    return [p(_FAMILIES, class_="quiet"), table("By job family", names, rows, "heat")]


def _cell(row: Row | None, spread: float) -> Element:
    if row is None or row.difference is None:
        return td(fmt.NO_FIGURE, class_="figure")
    shown, change = fmt.signed(row.difference.difference, fmt.unit_of(row)), row.improvement
    if row.verdict == "too few":
        return td(element("i", shown), class_="figure few", title="too few cases")
    level = 0 if change is None or not spread else sum(abs(change) / spread >= at for at in _EFFECTS)
    kind = f"figure {'up' if (change or 0) > 0 else 'down'}-{level}" if level else "figure"
    sure = row.verdict in ("better", "worse")
    text = strong(f"{fmt.finding(row)[0]} {shown}") if sure else shown
    return td(text, class_=kind, title=fmt.finding(row))


def _cases(cases: Sequence[ChangedCase]) -> list[Child]:
    if not cases:
        return [p("No guarded metric changed in any case.")]
    return [p(_CASES, class_="quiet"), *(_case(case, is_open=case is cases[0]) for case in cases)]


def _case(case: ChangedCase, *, is_open: bool) -> Element:
    failed = f" · error in {'B' if case.b.failed() else 'A'} only" if case.one_failed else ""
    changes = ", ".join(one.key for one in case.changes[:4])
    summary = element(
        "summary",
        span(f"{fmt.mark(case.direction)} ", class_=fmt.direction(case.direction)),
        strong(case.case_id),
        span(f" {case.b.family or ''} {fmt.desired_job(case.b)}", lang=case.b.language),
        quiet(f" · changed by {case.distance:.1f}: {changes}{failed}"),
    )
    asked = details("What was asked", _json(case.b.inputs))
    outputs = _outputs(case.a.outputs, case.b.outputs)
    sides = div(asked, _scores(case), *outputs, lang=case.b.language)
    return element("details", summary, sides, class_="case", open="" if is_open else None)


def _left_out(comparison: Comparison) -> list[Child]:
    lists = {
        "Error in B only": comparison.broken,
        "Error in A only": comparison.recovered,
        "Only in A": comparison.only_a,
        "Only in B": comparison.only_b,
        "Other inputs": comparison.other_inputs,
    }
    return [
        details(f"{name}: {len(cases)}", p(element("code", ", ".join(cases)))) if cases else None
        for name, cases in lists.items()
    ]


def _scores(case: ChangedCase) -> Element | None:
    """The scores that changed, and the evaluators' comments."""
    if not case.changes:
        return None
    rows = [
        tr(
            row_head(f"{fmt.mark(one.steps)} {one.key}", class_=fmt.direction(one.steps)),
            [td(fmt.figure(value, one.unit), class_="figure") for value in (one.a, one.b)],
            [td(_comment(side, one.key)) for side in (case.a, case.b)],
        )
        for one in case.changes
    ]
    return table("Scores that changed", ("Metric", "A", "B", "Said of A", "Said of B"), rows)


def _comment(case: CaseResult, key: str) -> str:
    return next((score.comment or "" for score in case.scores if score.key == key), "")


def _outputs(a: dict[str, Any], b: dict[str, Any]) -> Iterable[Element]:
    """What each run answered, side by side."""
    if "ranked" in a and "ranked" in b:
        yield _beside("Ranking", _ranking(a["ranked"]), _ranking(b["ranked"]))
        return
    of_a, of_b = fmt.answers_of(a), fmt.answers_of(b)
    if of_a is None or of_b is None:
        yield _beside("Output", [_json(a)], [_json(b)])
        return
    errors = [fmt.error_of(a), fmt.error_of(b)]
    if any(errors):
        yield _beside("Error", *([p(one, class_="error")] if one else [] for one in errors))
    turns = [outputs.get("turns") or [] for outputs in (a, b)]
    # Turns that failed have no answer, so the wishes are those of the turns that succeeded.
    wishes = [[turn.get("wishes") for turn in side if not turn.get("error")] for side in turns]
    for number in range(max(len(of_a), len(of_b))):
        sides = [side[number] if number < len(side) else None for side in (of_a, of_b)]
        parts = [
            _beside(name, *([] if side is None else part(side) for side in sides))
            for name, part in _PARTS.items()
        ]
        if number == 0:
            yield from parts
        else:
            asked = ([_json(side[number - 1])] if number <= len(side) else [] for side in wishes)
            yield details(f"After regeneration {number}", _beside("Asked", *asked), parts)
    failed = [[_json(turn) for turn in side if turn.get("error")] for side in turns]
    if any(failed):
        yield _beside("Regenerations that failed", *failed)


def _ranking(ranked: list[dict[str, Any]]) -> list[Element]:
    """The ranking of a search suite, best place first."""
    rows = [
        li(
            strong(fmt.NO_FIGURE if row.get("grade") is None else str(row["grade"])),
            f" {row.get('job_title')} · {row.get('company')} ",
            quiet(row.get("family") or ""),
        )
        for row in ranked
    ]
    return [p("Grade, posting, family", class_="quiet"), ol(rows)]


def _beside(name: str, a: Sequence[Element], b: Sequence[Element]) -> Element:
    """Two columns; what is the same in both is folded away."""
    if [markup(one) for one in a] == [markup(one) for one in b]:
        return details(f"{name} (the same in both)", b, class_="same")
    columns = [
        div(element("h5", f"{run} · {name}"), side or p(fmt.NO_FIGURE), class_="column")
        for run, side in (("A", a), ("B", b))
    ]
    return div(columns, class_="beside")


def _json(value: Any) -> Element:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    rest = f"\n… {len(text) - _LONGEST:,} characters more in the result file"
    return element("pre", text[:_LONGEST] + (rest if len(text) > _LONGEST else ""), tabindex="0")


def _project(answer: Answer) -> list[Element]:
    project = answer.project
    terms = f"{project.difficulty} · {project.duration_weeks} weeks · {', '.join(project.skills)}"
    return [p(strong(project.title)), p(project.description), p(terms, class_="quiet"), p(project.summary)]


def _subjects(answer: Answer) -> list[Element]:
    return [ol(map(_subject, answer.candidates))]


def _subject(subject: Subject) -> Element:
    gaps = "; ".join(f"{gap.skill} ({gap.reason})" for gap in subject.skill_gaps)
    return li(
        strong(subject.title),
        p(subject.description),
        p(f"Goal: {subject.goal}"),
        p(f"Gaps: {gaps or fmt.NO_FIGURE}", class_="quiet"),
    )


def _steps(answer: Answer) -> list[Element]:
    steps = []
    for step in answer.project.steps:
        tasks = [
            li(strong(task.title), f" — {task.description} ", quiet(f"→ {task.deliverable}"))
            for task in step.tasks
        ]
        steps.append(li(strong(step.title), ul(tasks)))
    return [ol(steps)]


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
        p(f"{len(kept)} of {len(answer.postings)}{nearest}"),
        ul(map(_posting, kept)),
        details(f"{len(dropped)} dropped", ul(map(_posting, dropped))),
    ]


def _posting(posting: RetrievedPosting) -> Element:
    about = quiet(f"({posting.posting_id}) {posting.reason}")
    return li(f"{posting.job_title} · {posting.company} ", about)


_PARTS: dict[str, Callable[[Answer], list[Element]]] = {
    "Project": _project,
    "Subjects": _subjects,
    "Steps": _steps,
    "Evidence": _evidence,
    "Kept postings": _postings,
}
