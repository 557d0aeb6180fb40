"""What a terminal, or a README, shows of runs: their figures, and what differs between two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from evals.evaluators.base import Metric
from evals.report.answers import asked_for
from evals.report.compare import Comparison, Row
from evals.report.format import NO_FIGURE, SHARE, figure, finding, interval, mark, signed, tally, unit_of
from evals.report.statistics import estimates
from evals.runs.results import Estimate, Result

Metrics = Mapping[str, Metric]
_SAID = {"better": "green", "worse": "red", "changed": "magenta"}
_QUIET = ("identical", "no difference shown", "too few")
"""Verdicts that are shown of guarded metrics only."""


def figures(runs: Sequence[Result], metrics: Metrics, wanted: Sequence[str]) -> Table:
    """Returns the figures of runs, a row a metric: of one run its mean, 95 % interval and cases, of several
    their means. `wanted` names the metrics; none means all. Guarded ones are in bold."""
    several = len(runs) > 1
    columns = [run.header.name for run in runs] if several else ["mean", "95 %", "cases"]
    table = Table("metric", *columns, "", box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for key, metric, row in _rows(runs, metrics, wanted):
        name = Text(key, "bold" if metric and metric.guarded else "")
        cells = [_mean(one, metric) for one in row] if several else _one(row[0], metric)
        table.add_row(name, *cells, Text(_what(metric), "dim"))
    return table


def figures_as_markdown(runs: Sequence[Result], metrics: Metrics, wanted: Sequence[str]) -> str:
    """Returns the figures of runs as a Markdown table: each mean with its 95 % interval."""
    names = " | ".join(run.header.name for run in runs)
    lines = [f"| metric | {names} | |", f"|---|{'--:|' * len(runs)}---|"]
    for key, metric, row in _rows(runs, metrics, wanted):
        cells = " | ".join(_with_interval(one, metric) for one in row)
        lines.append(f"| `{key}` | {cells} | {_what(metric)} |")
    return "\n".join(lines)


def comparison(found: Comparison) -> Iterator[Table | Text]:
    """Yields what differs from run A to run B: the metrics that do and those that are
    guarded, and the cases that changed most."""
    a, b = found.a.header, found.b.header
    yield Text.assemble("A ", (a.name, "bold"), " → B ", (b.name, "bold"), f", {len(found.common)} cases")
    yield from (Text(warning, "yellow") for warning in found.warnings)
    shown = [row for row in found.rows if _tells(row) or (row.metric and row.metric.guarded)]
    table = Table("metric", "A", "B", "B − A", "95 %", "", box=None, pad_edge=False)
    for column in table.columns[1:5]:
        column.justify = "right"
    for row in shown:
        table.add_row(*_compared(row))
    yield table
    left_out = len(found.rows) - len(shown)
    yield Text(f"{tally(found)}; guarded metrics in bold, {left_out} without a difference left out", "dim")
    for case in found.broken:
        yield Text(f"in an error now: {case}", "red")
    if found.changed:
        cases = Table("changed most", "job", "metrics", box=None, pad_edge=False)
        for one in found.changed:
            changes = ", ".join(
                f"{c.key} {figure(c.a, c.unit)} → {figure(c.b, c.unit)}" for c in one.changes[:3]
            )
            job = asked_for(one.b)[:40]
            cases.add_row(f"{mark(one.direction)} {one.case_id}", job, changes)
        yield cases


def _rows(
    runs: Sequence[Result], metrics: Metrics, wanted: Sequence[str]
) -> Iterator[tuple[str, Metric | None, list[Estimate | None]]]:
    """In the order of the registry. A run that broke off has figures of the cases it came to."""
    found = [run.summary.metrics if run.summary else estimates(run.cases) for run in runs]
    every = dict.fromkeys(key for one in found for key in one)
    keys = [*(key for key in metrics if key in every), *(key for key in every if key not in metrics)]
    for key in keys:
        if not wanted or key in wanted:
            yield key, metrics.get(key), [one.get(key) for one in found]


def _one(one: Estimate | None, metric: Metric | None) -> list[str]:
    return [_mean(one, metric), _interval(one, metric), str(one.n) if one else "0"]


def _mean(one: Estimate | None, metric: Metric | None) -> str:
    return figure(one.mean if one else None, _unit(metric))


def _interval(one: Estimate | None, metric: Metric | None) -> str:
    if one is None or one.low is None:
        return "too few"
    return f"{figure(one.low, _unit(metric))} – {figure(one.high, _unit(metric))}"


def _with_interval(one: Estimate | None, metric: Metric | None) -> str:
    if one is None or one.low is None:
        return _mean(one, metric)
    return f"{_mean(one, metric)} ({_interval(one, metric)})"


def _unit(metric: Metric | None) -> str:
    return metric.unit if metric else SHARE


def _what(metric: Metric | None) -> str:
    if metric is None:
        return ""
    unit = "" if metric.unit == SHARE else f", {metric.unit}"
    return f"{metric.what}{unit}{'; lower is better' if metric.better == 'lower' else ''}"


def _tells(row: Row) -> bool:
    return row.verdict not in _QUIET


def _compared(row: Row) -> list[str | Text]:
    found, unit = row.difference, unit_of(row)
    name = Text(row.key, "bold" if row.metric and row.metric.guarded else "")
    cells = [NO_FIGURE] * 3
    if found is not None:
        cells = [figure(found.a, unit), figure(found.b, unit), signed(found.difference, unit)]
    style = _SAID.get(row.verdict, "dim")
    return [name, *cells, interval(row), Text(finding(row), style)]
