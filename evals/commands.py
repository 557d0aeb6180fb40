"""`checkerboard eval …`"""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tools.core import logs
from tools.core.settings import Settings

# What a command does is imported when it runs: numpy, LangSmith and the graph would slow down every start
# of `checkerboard`.
# ruff: noqa: PLC0415

app = typer.Typer(help="Measure whether a change made it better.", no_args_is_help=True)

Results = Annotated[str, typer.Argument(help="a result file, or the name of one in evals/results")]
Folder = Annotated[Path | None, typer.Option(help="where results are kept; evals/results by default")]


class Variant(StrEnum):
    """What answers."""

    SPLIT = "split"
    BASELINE = "baseline"


class Prompts(StrEnum):
    """Which prompts are measured."""

    IN_FORCE = "in-force"
    BUNDLED = "bundled"
    HUB = "hub"


@app.callback()
def evaluate() -> None:
    """Measure whether a change made it better."""
    logs.configure(logging.ERROR)


@app.command("suites")
def suites_command() -> None:
    """List the suites."""
    from evals.console import show_suites

    show_suites()


@app.command("run")
def run_command(
    *,
    suite: Annotated[str, typer.Option(help="as `eval suites` lists them")] = "quick",
    variant: Annotated[
        Variant, typer.Option(help="the service, or the one prompt with everything in it that it has to beat")
    ] = Variant.SPLIT,
    prompts: Annotated[
        Prompts, typer.Option(help="those in force, the files of this checkout, or the hub's newest")
    ] = Prompts.IN_FORCE,
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
    from evals.console import run
    from evals.runs.running import Wanted

    wanted = Wanted(
        suite=suite,
        variant=variant.value,
        prompts=prompts.value,
        cases=tuple(case or ()),
        repeats=repeats,
        concurrency=concurrency,
        postings=tuple(postings or ()),
        profiles=tuple(profiles or ()),
        name=name,
        folder=folder,
        upload=upload,
    )
    run(wanted)


@app.command("show")
def show_command(
    results: Annotated[list[str], typer.Argument(help="result files, or names of some in evals/results")],
    metric: Annotated[list[str] | None, typer.Option(help="only this one; may be given again")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="as a Markdown table")] = False,
    folder: Folder = None,
) -> None:
    """Show the figures of a run, or of several side by side."""
    from evals.console import show

    show(results, folder, wanted=metric or [], markdown=markdown)


@app.command("compare")
def compare_command(
    a: Results,
    b: Results,
    html: Annotated[Path | None, typer.Option(help="write the report here; it opens from disk")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="write the text for a pull request here; `-` prints it")
    ] = None,
    folder: Folder = None,
) -> None:
    """Compare run B with run A: per metric, per job family, and the ten cases that changed most."""
    from evals.console import show_comparison

    show_comparison(a, b, folder, html=html, markdown=markdown)


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
    from evals.console import hold_against

    raise typer.Exit(hold_against(results, baseline, suite, folder))


@app.command("baseline")
def baseline_command(results: Results, folder: Folder = None) -> None:
    """Keep a run as the one that `eval gate` holds later ones of its suite against."""
    from evals.console import keep

    keep(results, folder)


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
    from evals.console import add

    add(from_run, label, family or [], owner)


@app.command("prefer")
def prefer_command(a: Results, b: Results, folder: Folder = None) -> None:
    """Have the judge say, case by case, whether the project of run A or of run B is better."""
    from evals.judge.judging import show_preferences

    asyncio.run(show_preferences(Settings(), a, b, folder))


@app.command("calibrate")
def calibrate_command() -> None:
    """Ask the judge about the labelled pairs: how far it agrees with people, and whether it may guard."""
    from evals.judge.judging import show_calibration

    asyncio.run(show_calibration(Settings()))
