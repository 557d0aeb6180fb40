"""What a terminal shows: figures of runs, comparisons, the judge's findings, and a run's progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from evals.evaluators.base import Metric
from evals.judge.pairwise import Calibration, Preferences
from evals.report import format as fmt
from evals.report.compare import Comparison
from evals.report.statistics import estimates
from evals.runs.experiment import Progress
from evals.runs.results import CaseResult, Estimate, Header, Result
from tools.core.processes import with_command_name
from tools.core.terminal import Terminal

Metrics = Mapping[str, Metric]
_STYLES = {"better": "green", "worse": "red", "changed": "magenta"}
_QUIET = ("identical", "no difference shown", "too few")
"""Verdicts that are shown of guarded metrics only."""
_REASON = 100
"""Characters of a judge's reason that are shown."""


def print_figures(runs: Sequence[Result], metrics: Metrics, wanted: Sequence[str]) -> None:
    """Prints the figures of runs, a row a metric: of one run its mean, 95 % interval and cases, of several
    their means. `wanted` names the metrics; none means all. Guarded ones are in bold."""
    several = len(runs) > 1
    columns = [run.header.name for run in runs] if several else ["mean", "95 %", "cases"]
    table = _table("metric", *columns, "")
    for key, metric, row in _rows(runs, metrics, wanted):
        cells = [_mean(estimate, metric) for estimate in row]
        if not several:
            cells += [_interval(row[0], metric), str(row[0].n) if row[0] else "0"]
        table.add_row(_name(key, metric), *cells, Text(_description(metric), "dim"))
    console = Terminal()
    console.print(table)
    for run in runs:
        header = run.header
        about = f"{run.path}: {header.variant}, {header.dataset.cases} cases, corpus {header.corpus.version}"
        console.print(about, soft_wrap=True)
        # A suite that only searches has no prompts.
        if header.offline and header.prompts:
            console.print("answered by the offline model, by rule: read docs/evaluations.md", style="yellow")
        for part, why in header.skipped.items():
            console.print(f"not measured: {part} ({why})", style="yellow")
        if (missing := run.incomplete()) is not None:
            console.print(missing, style="yellow")


def figures_as_markdown(runs: Sequence[Result], metrics: Metrics, wanted: Sequence[str]) -> str:
    """Returns the figures of runs as a Markdown table: each mean with its 95 % interval."""
    names = " | ".join(run.header.name for run in runs)
    lines = [f"| metric | {names} | |", f"|---|{'--:|' * len(runs)}---|"]
    for key, metric, row in _rows(runs, metrics, wanted):
        cells = " | ".join(_with_interval(estimate, metric) for estimate in row)
        lines.append(f"| `{key}` | {cells} | {_description(metric)} |")
    return "\n".join(lines)


def print_comparison(comparison: Comparison) -> None:
    """Prints what differs from run A to run B: the metrics that do, the guarded ones, and the cases that
    changed most."""
    console = Terminal()
    a, b = comparison.a.header, comparison.b.header
    cases = f", {len(comparison.common)} cases"
    console.print(Text.assemble("A ", (a.name, "bold"), " → B ", (b.name, "bold"), cases))
    if answered := fmt.sides(comparison):
        console.print(answered, soft_wrap=True, markup=False)
    for warning in comparison.warnings:
        console.print(Text(warning, "yellow"))
    shown = [row for row in comparison.rows if row.verdict not in _QUIET or row.guarded]
    table = _table("metric", "A", "B", "B − A", "95 %", "")
    for row in shown:
        verdict = Text(fmt.finding(row), _STYLES.get(row.verdict, "dim"))
        table.add_row(_name(row.key, row.metric), *fmt.means(row), fmt.interval(row), verdict)
    console.print(table)
    hidden = len(comparison.rows) - len(shown)
    console.print(
        Text(
            f"{fmt.tally(comparison)}; guarded metrics in bold, {hidden} without a difference left out", "dim"
        )
    )
    for case in comparison.broken:
        console.print(Text(f"in an error now: {case}", "red"))
    if comparison.changed:
        table = Table("changed most", "job", "metrics", box=None, pad_edge=False)
        for one in comparison.changed:
            changes = (
                f"{c.key} {fmt.figure(c.a, c.unit)} → {fmt.figure(c.b, c.unit)}" for c in one.changes[:3]
            )
            case = f"{fmt.mark(one.direction)} {one.case_id}"
            table.add_row(case, fmt.desired_job(one.b)[:40], ", ".join(changes))
        console.print(table)


def print_calibration(calibration: Calibration, model: str) -> None:
    """Prints how far the judge agrees with the labels of the pairs."""
    console = Terminal()
    low, high = calibration.kappa_interval
    console.print(f"{model} on {calibration.pairs} labelled pairs", style="bold")
    console.print(
        f"agrees with {calibration.accuracy:.0%}, kappa {calibration.kappa:.2f} ({low:.2f} – {high:.2f})"
    )
    console.print(f"ties {calibration.ties:.0%}, decided by their place {calibration.position_bias:.0%}")
    for trap, (accuracy, pairs) in calibration.by_trap.items():
        console.print(f"  {trap}: {accuracy:.0%} of {pairs}")
    if calibration.wrong or calibration.failed:
        console.print(f"against the label: {', '.join(calibration.wrong) or '-'}")
        console.print(f"without a verdict: {', '.join(calibration.failed) or '-'}")
    refusal = calibration.refusal
    console.print(refusal or "It may guard a metric.", style="yellow" if refusal else "green")


def print_preferences(preferences: Preferences, a: str, b: str) -> None:
    """Prints whose projects the judge finds better, case by case."""
    console = Terminal()
    share = preferences.share_b
    between = "too few cases" if share.low is None else f"{share.low:.0%} – {share.high:.0%}"
    console.print(f"{a} better {preferences.a}, {b} better {preferences.b}, ties {preferences.ties}")
    console.print(f"share of {b}: {share.mean:.0%} ({between}; ties count half)")
    console.print(f"decided by their place, and so ties: {preferences.one_place}")
    table = Table("case", "better", "why", box=None)
    for case_id, verdict in preferences.by_case.items():
        table.add_row(case_id, {"a": a, "b": b, "tie": "tie"}[verdict.better], verdict.reasons[0][:_REASON])
    console.print(table)
    if preferences.failed:
        console.print(f"without a verdict: {', '.join(preferences.failed)}", style="yellow")


class ProgressBar(Progress):
    """Shows on standard error how a run goes on."""

    def __init__(self) -> None:
        self.url = ""
        self._path: Path | None = None
        self._console = Terminal(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Bar(TextColumn("{task.description}", markup=False), *columns, console=self._console)
        self._task = self._bar.add_task("opening the corpus", total=None)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def started(self, header: Header, path: Path) -> None:
        """See `Progress.started`."""
        self._path = path
        total = header.dataset.cases * header.repeats
        self._bar.update(self._task, description=header.name, total=total)

    def case_done(self, result: CaseResult) -> None:
        """See `Progress.case_done`."""
        self._bar.advance(self._task)

    def uploaded_to(self, url: str) -> None:
        """See `Progress.uploaded_to`."""
        self.url = url

    def interrupted(self) -> None:
        """Prints where the results are that were made so far."""
        if self._path is not None:
            self._bar.stop()
            where = f"broken off; what was done is in {self._path} (`checkerboard eval show {self._path}`)"
            self._console.print(with_command_name(where), soft_wrap=True)


def _table(first: str, *others: str) -> Table:
    """A table whose figures, between the first and the last column, stand at the right."""
    table = Table(first, *others, box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    return table


def _rows(
    runs: Sequence[Result], metrics: Metrics, wanted: Sequence[str]
) -> Iterator[tuple[str, Metric | None, list[Estimate | None]]]:
    """In the order of the registry. An interrupted run has figures of the cases it came to."""
    means = [run.summary.metrics if run.summary else estimates(run.cases) for run in runs]
    measured = dict.fromkeys(key for run in means for key in run)
    for key in [
        *(key for key in metrics if key in measured),
        *(key for key in measured if key not in metrics),
    ]:
        if not wanted or key in wanted:
            yield key, metrics.get(key), [run.get(key) for run in means]


def _name(key: str, metric: Metric | None) -> Text:
    return Text(key, "bold" if metric and metric.guarded else "")


def _mean(estimate: Estimate | None, metric: Metric | None) -> str:
    return fmt.figure(estimate.mean if estimate else None, metric.unit if metric else fmt.SHARE)


def _interval(estimate: Estimate | None, metric: Metric | None) -> str:
    if estimate is None or estimate.low is None:
        return "too few"
    unit = metric.unit if metric else fmt.SHARE
    return f"{fmt.figure(estimate.low, unit)} – {fmt.figure(estimate.high, unit)}"


def _with_interval(estimate: Estimate | None, metric: Metric | None) -> str:
    mean = _mean(estimate, metric)
    return mean if estimate is None or estimate.low is None else f"{mean} ({_interval(estimate, metric)})"


def _description(metric: Metric | None) -> str:
    if metric is None:
        return ""
    unit = "" if metric.unit == fmt.SHARE else f", {metric.unit}"
    return f"{metric.what}{unit}{'; lower is better' if metric.better == 'lower' else ''}"
