"""The comparison as one HTML file that needs nothing else: no network, no font, no library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lxml.etree import _Element as Element

from evals.report.answers import asked_for, side_by_side
from evals.report.changed import ChangedCase
from evals.report.compare import Comparison, HeaderDifference, Row
from evals.report.format import (
    NO_FIGURE,
    figure,
    finding,
    interval,
    mark,
    probability,
    setting,
    signed,
    tally,
    unit_of,
    way,
)
from evals.report.html_parts import Child, document, element, folded, table
from evals.report.plots import bars, colour, differences

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
        folded(f"Packages in other versions: {len(packages)}", listed) if packages else None,
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
    found, unit = row.difference, unit_of(row)
    if found is None:
        nothing = [_figure(None, NO_FIGURE) for _ in range(7)]
        return [*nothing[:5], _figure(0, _cases_of(row)), *nothing[5:]]
    return [
        _figure(found.a, figure(found.a, unit)),
        _figure(found.b, figure(found.b, unit)),
        _figure(found.difference, signed(found.difference, unit), colour(row)),
        _figure(found.low, interval(row)),
        _figure(row.p, probability(row.p)),
        _figure(found.n, _cases_of(row)),
        _figure(found.higher, str(found.higher)),
        _figure(found.lower, str(found.lower)),
    ]


def _cases_of(row: Row) -> str:
    """Cases that count, and how many only one run has a score for."""
    count = 0 if row.difference is None else row.difference.n
    apart = [f"{len(cases)} {how}" for how, cases in (("lost", row.lost), ("gained", row.gained)) if cases]
    return f"{count} ({', '.join(apart)})" if apart else str(count)


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
    way = "up" if (change or 0) > 0 else "down"
    sure = row.verdict in ("better", "worse")
    text = element("strong", f"{finding(row)[0]} {shown}") if sure else shown
    return element("td", text, class_=f"figure {way}-{level}" if level else "figure", title=finding(row))


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
            element("span", f"{mark(case.direction)} ", class_=way(case.direction)),
            element("strong", case.case_id),
            element("span", f" {case.b.family or ''} {asked_for(case.b)}", lang=case.b.language),
            element("span", f" · changed by {case.distance:.1f}: {changes}{failed}", class_="quiet"),
        ),
        element("div", side_by_side(case), lang=case.b.language),
        class_="case",
        open="" if number == 0 else None,
    )


def _left_out(comparison: Comparison) -> list[Child]:
    lists = {
        "Error in B only": comparison.broken,
        "Error in A only": comparison.mended,
        "Only in A": comparison.only_a,
        "Only in B": comparison.only_b,
        "Other inputs": comparison.other_inputs,
    }
    return [
        folded(f"{name}: {len(cases)}", element("p", element("code", ", ".join(cases)))) if cases else None
        for name, cases in lists.items()
    ]
