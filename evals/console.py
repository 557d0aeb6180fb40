"""What the commands of `checkerboard eval` do, and print."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from evals.datasets.add_case import case_of, source_of
from evals.datasets.cases import Case, Family, write_case
from evals.evaluators import METRICS as OF_ANSWERS
from evals.evaluators.base import Metric
from evals.judge.evaluator import metrics as judge_metrics
from evals.report import terminal
from evals.report.compare import compare
from evals.report.gate import REFUSED, gate
from evals.report.html_report import html as as_html
from evals.report.markdown_report import markdown as as_markdown
from evals.retrieval import given, suites
from evals.runs import results
from evals.runs.evaluating import EVALUATED
from evals.runs.experiment import Watcher
from evals.runs.results import CaseResult, Header
from evals.runs.running import Wanted, run_suite
from evals.runs.suites import ADDED, GIVEN, RETRIEVAL, SUITES
from local.servers import attached
from serve.context import open_app_context
from tools.core.errors import InvalidRequestError
from tools.core.program import program, typed
from tools.core.settings import Settings
from tools.core.terminal import Terminal, echo

METRICS: Mapping[str, Metric] = {
    **OF_ANSWERS,
    "evaluated": EVALUATED,
    # No model's calibration is on record, so that the judge guards nothing.
    **judge_metrics(None),
    **suites.METRICS,
    **given.METRICS,
}
"""Every metric of every suite."""
STDOUT = Path("-")
DEFAULT_SUITE = "quick"


def show_suites() -> None:
    """Lists the suites."""
    table = Table("suite", "what", box=None, pad_edge=False)
    for one in SUITES.values():
        table.add_row(one.name, one.what)
    table.add_row(RETRIEVAL, "what the search finds for queries whose relevant postings are known")
    table.add_row(GIVEN, "the same for postings and profiles of your own (--postings, --profiles)")
    Terminal().print(table)


def run(wanted: Wanted) -> None:
    """Runs a suite, with a bar on standard error, and shows its figures, where they are and what next.

    Raises:
        CheckerboardError: as `run_suite`.
        KeyboardInterrupt: it was broken off; what was done by then is in the file.
    """
    with attached(Settings()) as settings, _Bar() as bar:
        try:
            path = asyncio.run(run_suite(settings, wanted, bar))
        except KeyboardInterrupt:
            bar.broke_off()
            raise
    show([str(path)], None, wanted=(), markdown=False)
    console = Terminal()
    if bar.url:
        console.print(f"in LangSmith: {bar.url}", soft_wrap=True)
    console.print("next:", style="bold")
    for words, what in (
        (f"compare OTHER {path.stem}", "what differs from another run; --html and --markdown write reports"),
        (f"gate {path.stem}", "whether a guarded metric fell below the baseline"),
        (f"baseline {path.stem}", "keep it as the run that later ones are held against"),
    ):
        where = f" --folder {wanted.folder}" if wanted.folder else ""
        console.print(f"  {program()} eval {words}{where}", soft_wrap=True)
        console.print(f"    {what}", style="dim")


def show(names: Sequence[str], folder: Path | None, *, wanted: Sequence[str], markdown: bool) -> None:
    """Prints the figures of runs; `wanted` names the metrics, none means all.

    Raises:
        InvalidRequestError: there is no such result file, or no such metric in it.
    """
    found = [results.read(results.find(name, folder or results.RESULTS)) for name in names]
    measured = {score.key for run in found for case in run.cases for score in case.scores}
    if unknown := [key for key in wanted if key not in measured]:
        raise InvalidRequestError(f"No metric {', '.join(unknown)} was measured in {', '.join(names)}.")
    console = Terminal()
    if markdown:
        echo(terminal.figures_as_markdown(found, METRICS, wanted))
        return
    console.print(terminal.figures(found, METRICS, wanted))
    for run in found:
        header = run.header
        about = f"{run.path}: {header.variant}, {header.dataset.cases} cases, corpus {header.corpus.version}"
        console.print(about, soft_wrap=True)
        if header.offline and header.suite in SUITES:
            console.print("answered by the offline model, by rule: read docs/evaluations.md", style="yellow")
        for part, why in header.skipped.items():
            console.print(f"not measured: {part} ({why})", style="yellow")
        if (lacks := run.incomplete()) is not None:
            console.print(lacks, style="yellow")


def show_comparison(a: str, b: str, folder: Path | None, *, html: Path | None, markdown: Path | None) -> None:
    """Prints what differs from run `a` to run `b`, and writes the reports that are asked for; Markdown to `-`
    is printed, and nothing else is.

    Raises:
        InvalidRequestError: there is no such result file, or a report cannot be written.
    """
    kept = folder or results.RESULTS
    found = compare(results.find(a, kept), results.find(b, kept), METRICS)
    if html is not None:
        _write(html, as_html(found))
    if markdown == STDOUT:
        echo(as_markdown(found))
        return
    if markdown is not None:
        _write(markdown, as_markdown(found))
    console = Terminal()
    for part in terminal.comparison(found):
        console.print(part)
    for path in (html, markdown):
        if path is not None:
            console.print(f"written: {path}", soft_wrap=True)


def hold_against(name: str | None, baseline: str | None, of: str | None, folder: Path | None) -> int:
    """Prints the gate's verdict on a run, or the newest of a suite, and returns its exit code. What is no
    result file cannot be compared: nothing fell."""
    kept = folder or results.RESULTS
    console = Terminal()
    try:
        new = results.find(name, kept) if name else results.latest(of or DEFAULT_SUITE, kept)
        of = of or results.read(new).header.suite
        old = results.find(baseline, kept) if baseline else _baseline(of, kept)
        console.print(f"{new} against {old}", soft_wrap=True)
        verdict = gate(old, new, METRICS)
    except InvalidRequestError as error:
        console.print(f"gate refused: {error.message}", soft_wrap=True)
        return REFUSED
    console.print(verdict.text(), soft_wrap=True)
    return verdict.exit_code


def _baseline(of: str, folder: Path) -> Path:
    """The baseline of a suite in `folder`, or else the one that the repository keeps."""
    name = f"{results.BASELINE}-{of}.jsonl"
    for own in (folder / name, results.RESULTS / name):
        if own.exists():
            return own
    raise InvalidRequestError(
        f"The suite {of} has no baseline yet: `checkerboard eval baseline RUN` keeps a run as one."
    )


def keep(name: str, folder: Path | None) -> None:
    """Keeps a run as the baseline of its suite.

    Raises:
        InvalidRequestError: there is no such result file, or it is incomplete.
    """
    kept = folder or results.RESULTS
    found = results.read(results.find(name, kept))
    path = kept / f"{results.BASELINE}-{found.header.suite}.jsonl"
    results.keep_as_baseline(found, path)
    Terminal().print(
        f"{path} is what `eval gate --suite {found.header.suite}` compares with now",
        soft_wrap=True,
    )


def add(run_id: str, label: str, families: Sequence[str], owner: str) -> None:
    """Appends a case made of a session or a trace to the data set of the suite `added`.

    Raises:
        InvalidRequestError: there is no such run or family, or the file cannot be written.
        CheckerboardError: a store, or LangSmith, does not answer.
    """
    known: dict[str, Family] = {family: family for family in get_args(Family)}
    if unknown := [family for family in families if family not in known]:
        raise InvalidRequestError(
            f"There is no job family {', '.join(unknown)}; there are {', '.join(known)}."
        )
    with attached(Settings()) as settings:
        case = asyncio.run(_made(settings, run_id, label, [known[one] for one in families], owner))
    write_case(ADDED, case)
    console = Terminal()
    console.print(
        f"{case.id} is in {ADDED} now. Read it before you commit it: rules took out what looks like a name, "
        "a school, a company, an address or a day, and rules miss some.",
        style="yellow",
    )
    console.print_json(case.model_dump_json(exclude_defaults=True))
    if case.expect.family is None:
        console.print("no --family: it counts as no IT job, so that no posting fits", style="yellow")
    console.print(f"next: {program()} eval run --suite added")


async def _made(settings: Settings, run_id: str, label: str, families: Sequence[Family], owner: str) -> Case:
    async with open_app_context(settings) as app_context:
        source = await source_of(run_id, owner, app_context.sessions, settings)
    return await asyncio.to_thread(case_of, source, label, families)


class _Bar(Watcher):
    """Shows how a run goes on."""

    def __init__(self) -> None:
        self.url = ""
        self._path: Path | None = None
        self._console = Terminal(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        words = TextColumn("{task.description}", markup=False)
        self._progress = Progress(words, *columns, console=self._console)
        self._task = self._progress.add_task("opening the corpus", total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def began(self, header: Header, path: Path) -> None:
        """As `Watcher.began`."""
        self._path = path
        total = header.dataset.cases * header.repeats
        self._progress.update(self._task, description=header.name, total=total)

    def done(self, result: CaseResult) -> None:
        """As `Watcher.done`."""
        self._progress.advance(self._task)

    def appears(self, url: str) -> None:
        """As `Watcher.appears`."""
        self.url = url

    def broke_off(self) -> None:
        """Says where the results are that were made by then."""
        if self._path is not None:
            self._progress.stop()
            said = f"broken off; what was done is in {self._path} (`checkerboard eval show {self._path}`)"
            self._console.print(typed(said), soft_wrap=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error}", file=str(path)) from error
