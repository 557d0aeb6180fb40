"""`checkerboard eval …`"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from tools.core import logs
from tools.core.errors import InvalidRequestError, SetupError
from tools.core.extras import require_extra
from tools.core.settings import Settings

# What a command needs is imported when it runs: numpy, LangSmith and the graph would slow down every start of
# `checkerboard`.
# ruff: noqa: PLC0415

app = typer.Typer(help="Measure whether a change made it better.", no_args_is_help=True)

ResultName = Annotated[str, typer.Argument(help="a result file, or the name of one in evals/results")]
Folder = Annotated[Path | None, typer.Option(help="where results are kept; evals/results by default")]


Variant = Literal["split", "baseline"]
Prompts = Literal["in-force", "bundled", "hub"]


@app.callback()
def evaluate() -> None:
    """Measure whether a change made it better."""
    logs.configure(logging.ERROR)
    require_extra("eval", "apted", "rapidfuzz", purpose="`checkerboard eval`")


@app.command("suites")
def suites_command() -> None:
    """List the suites."""
    from rich.table import Table

    from evals.retrieval.search_suites import CROSSLINGUAL, GIVEN, RETRIEVAL
    from evals.runs.suites import SUITES
    from tools.core.terminal import Terminal

    table = Table("suite", "what", box=None, pad_edge=False)
    for suite in SUITES.values():
        table.add_row(suite.name, suite.description)
    table.add_row(RETRIEVAL, "what the search finds for queries whose relevant postings are known")
    table.add_row(CROSSLINGUAL, "what queries find of the postings that are not in their own language")
    table.add_row(GIVEN, "the same for postings and profiles of your own (--postings, --profiles)")
    Terminal().print(table)


@app.command("run")
def run_command(
    *,
    suite: Annotated[str, typer.Option(help="as `eval suites` lists them")] = "quick",
    variant: Annotated[
        Variant, typer.Option(help="the service, or the one prompt with everything in it that it has to beat")
    ] = "split",
    prompts: Annotated[
        Prompts, typer.Option(help="the active ones, the files of this checkout, or the hub's newest")
    ] = "in-force",
    case: Annotated[list[str] | None, typer.Option(help="only this case; may be given again")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, max=20, help="times each case is run")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=200, help="cases under way at the same time")] = 4,
    postings: Annotated[
        list[Path] | None, typer.Option(help="for `given`: JSONL of postings with a category")
    ] = None,
    profiles: Annotated[
        list[Path] | None, typer.Option(help="for `given`: JSONL of profiles with wanted categories")
    ] = None,
    name: Annotated[str | None, typer.Option(help="of the result file; else suite, variant and time")] = None,
    folder: Folder = None,
    upload: Annotated[
        bool, typer.Option("--upload", help="the data set and the experiment go to LangSmith as well")
    ] = False,
) -> None:
    """Run a suite and write its results. Without a model's key, --upload and --prompts hub, nothing leaves
    the machine."""
    from evals.report.terminal import ProgressBar
    from evals.runs.suites import RunOptions, run_suite
    from local.servers import embedded_servers
    from tools.core.processes import command_name
    from tools.core.terminal import Terminal

    options = RunOptions(
        suite=suite,
        variant=variant,
        prompts=prompts,
        cases=tuple(case or ()),
        repeats=repeats,
        concurrency=concurrency,
        postings=tuple(postings or ()),
        profiles=tuple(profiles or ()),
        name=name,
        folder=folder,
        upload=upload,
    )
    with embedded_servers(Settings()) as settings, ProgressBar() as bar:
        try:
            path = asyncio.run(run_suite(settings, options, bar))
        except KeyboardInterrupt:
            bar.interrupted()
            raise
    show_command([str(path)])
    console = Terminal()
    if bar.url:
        console.print(f"in LangSmith: {bar.url}", soft_wrap=True)
    console.print("next:", style="bold")
    for words, what in (
        (f"compare OTHER {path.stem}", "what differs from another run; --html and --markdown write reports"),
        (f"gate {path.stem}", "whether a guarded metric fell below the baseline"),
        (f"baseline {path.stem}", "keep it as the run that later ones are held against"),
    ):
        where = f" --folder {folder}" if folder else ""
        console.print(f"  {command_name()} eval {words}{where}", soft_wrap=True)
        console.print(f"    {what}", style="dim")


@app.command("show")
def show_command(
    results: Annotated[list[str], typer.Argument(help="result files, or names of some in evals/results")],
    metric: Annotated[list[str] | None, typer.Option(help="only this one; may be given again")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="as a Markdown table")] = False,
    folder: Folder = None,
) -> None:
    """Show the figures of a run, or of several side by side."""
    from evals.report import terminal
    from evals.runs.results import RESULTS, find, read
    from evals.runs.suites import METRICS
    from tools.core.terminal import echo

    runs = [read(find(name, folder or RESULTS)) for name in results]
    measured = {score.key for run in runs for case in run.cases for score in case.scores}
    wanted = metric or []
    if unknown := [key for key in wanted if key not in measured]:
        raise InvalidRequestError(f"No metric {', '.join(unknown)} was measured in {', '.join(results)}.")
    if markdown:
        echo(terminal.figures_as_markdown(runs, METRICS, wanted))
    else:
        terminal.print_figures(runs, METRICS, wanted)


@app.command("compare")
def compare_command(
    a: ResultName,
    b: ResultName,
    html: Annotated[Path | None, typer.Option(help="write the report here; it opens from disk")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="write the text for a pull request here; `-` prints it")
    ] = None,
    folder: Folder = None,
) -> None:
    """Compare run B with run A: per metric, per job family, and the ten cases that changed most."""
    from evals.report.compare import compare
    from evals.report.html_report import html as as_html
    from evals.report.markdown_report import markdown as as_markdown
    from evals.report.terminal import print_comparison
    from evals.runs.results import RESULTS, find
    from evals.runs.suites import METRICS
    from tools.core.terminal import Terminal, echo

    comparison = compare(find(a, folder or RESULTS), find(b, folder or RESULTS), METRICS)
    if html is not None:
        _write(html, as_html(comparison))
    if markdown == Path("-"):
        echo(as_markdown(comparison))
        return
    if markdown is not None:
        _write(markdown, as_markdown(comparison))
    print_comparison(comparison)
    for path in (html, markdown):
        if path is not None:
            Terminal().print(f"written: {path}", soft_wrap=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error}", file=str(path)) from error


@app.command("gate")
def gate_command(
    results: Annotated[str | None, typer.Argument(help="the run; the newest one of the suite")] = None,
    baseline: Annotated[str | None, typer.Option(help="what it is held against; else baseline-SUITE")] = None,
    suite: Annotated[
        str | None, typer.Option(help="whose newest run, and whose baseline; quick, or that of the run")
    ] = None,
    folder: Folder = None,
) -> None:
    """Exit 1 when a guarded metric fell beyond its noise, 2 when the runs cannot be compared."""
    from evals.report.gate import REFUSED, gate
    from evals.runs.results import RESULTS, find, find_baseline, latest, read
    from evals.runs.suites import METRICS
    from tools.core.terminal import Terminal

    where = folder or RESULTS
    console = Terminal()
    try:
        new = find(results, where) if results else latest(suite or "quick", where)
        suite = suite or read(new).header.suite
        old = find(baseline, where) if baseline else find_baseline(suite, where)
        console.print(f"{new} against {old}", soft_wrap=True)
        verdict = gate(old, new, METRICS)
    except InvalidRequestError as error:
        # Without two result files there is nothing that could have fallen.
        console.print(f"gate refused: {error.message}", soft_wrap=True)
        raise typer.Exit(REFUSED) from error
    console.print(verdict.text(), soft_wrap=True)
    raise typer.Exit(verdict.exit_code)


@app.command("baseline")
def baseline_command(results: ResultName, folder: Folder = None) -> None:
    """Keep a run as the one that `eval gate` holds later ones of its suite against."""
    from evals.runs.results import BASELINE, RESULTS, find, keep_as_baseline, read
    from tools.core.terminal import Terminal

    result = read(find(results, folder or RESULTS))
    path = (folder or RESULTS) / f"{BASELINE}-{result.header.suite}.jsonl"
    keep_as_baseline(result, path)
    message = f"{path} is what `eval gate --suite {result.header.suite}` compares with now"
    Terminal().print(message, soft_wrap=True)


@app.command("add")
def add_command(
    from_run: Annotated[str, typer.Option(help="id of a session, or of a run's trace in LangSmith")],
    label: Annotated[str, typer.Option(help="what went wrong, in a word or two")],
    family: Annotated[
        list[str] | None, typer.Option(help="job family whose postings fit; the desired job's own first")
    ] = None,
    owner: Annotated[str, typer.Option(help="name of the API key whose session it is")] = "",
) -> None:
    """Make a case of a session or a trace, without its personal data, for the suite `added`."""
    from evals.datasets.add_case import case_of, source_of
    from evals.datasets.cases import Case, Family, write_case
    from evals.runs.suites import ADDED
    from local.servers import embedded_servers
    from serve.context import open_app_context
    from tools.core.processes import command_name
    from tools.core.terminal import Terminal

    known: dict[str, Family] = {name: name for name in get_args(Family)}
    if unknown := [name for name in family or [] if name not in known]:
        raise InvalidRequestError(
            f"There is no job family {', '.join(unknown)}; there are {', '.join(known)}."
        )

    async def make(settings: Settings) -> Case:
        async with open_app_context(settings) as app_context:
            source = await source_of(from_run, owner, app_context.sessions, settings)
        return await asyncio.to_thread(case_of, source, label, [known[name] for name in family or []])

    with embedded_servers(Settings()) as settings:
        case = asyncio.run(make(settings))
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
    console.print(f"next: {command_name()} eval run --suite added")


@app.command("prefer")
def prefer_command(a: ResultName, b: ResultName, folder: Folder = None) -> None:
    """Have the judge say, case by case, whether the project of run A or of run B is better."""
    from evals.judge.judge import Judge, open_chat
    from evals.judge.pairwise import Preferences, prefer
    from evals.report.terminal import print_preferences
    from evals.runs.results import RESULTS, find, read

    settings = _settings_with_model()
    runs = [read(find(name, folder or RESULTS)) for name in (a, b)]

    async def ask() -> Preferences:
        async with open_chat(settings) as chat:
            return await prefer(Judge(chat), *runs)

    print_preferences(asyncio.run(ask()), a, b)


@app.command("calibrate")
def calibrate_command() -> None:
    """Ask the judge about the labelled pairs: how far it agrees with people, and whether it may guard."""
    from evals.judge.judge import Judge, open_chat
    from evals.judge.pairwise import Calibration, calibrate, read_pairs
    from evals.report.terminal import print_calibration

    settings = _settings_with_model()

    async def ask() -> tuple[Calibration, str]:
        async with open_chat(settings) as chat:
            return await calibrate(Judge(chat), read_pairs()), chat.model_name

    print_calibration(*asyncio.run(ask()))


@app.command("borderline")
def borderline_command() -> None:
    """Ask the model about labelled borderline postings: how far its filter keeps to the prompt's rules."""
    from evals.report.terminal import print_agreement
    from evals.runs.borderline import Agreement, judge, read_postings
    from tools.llm.chat import ChatModel
    from tools.llm.openai_client import open_http_client
    from tools.prompts.registry import PromptRegistry

    settings = _settings_with_model()

    async def ask() -> tuple[Agreement, str]:
        async with open_http_client(settings) as http_client:
            chat = ChatModel(settings, http_client)
            prompts = PromptRegistry.bundled("nodes").current
            return await judge(chat, prompts, read_postings()), chat.model_name

    print_agreement(*asyncio.run(ask()))


def _settings_with_model() -> Settings:
    from evals.judge.judge import skip_reason

    settings = Settings()
    if reason := skip_reason(settings):
        raise SetupError(f"There is no judge: {reason}.")
    return settings
