"""`checkerboard prompts …`"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from tools.core import logs
from tools.core.settings import Settings
from tools.core.terminal import echo

# The work of a command is imported when it runs: LangSmith's client would slow every start of `checkerboard`.
# ruff: noqa: PLC0415

app = typer.Typer(help="Keep prompts in files, in LangSmith's prompt hub, or in both.", no_args_is_help=True)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME…", help="such as filter_jobs.ko; without: all")
]
Folder = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="where the files are; without: in this checkout"),
]


@app.callback()
def prompts() -> None:
    """Keep prompts in files, in LangSmith's prompt hub, or in both."""
    logs.configure(logging.WARNING)


@app.command("check")
def check_command(
    names: Names = None,
    folder: Folder = None,
    hub: Annotated[bool, typer.Option("--hub", help="check the hub's prompts too")] = False,
) -> None:
    """Hold prompts against what the service supplies and asks for; list all that is wrong."""
    from tools.prompts import sync

    _print(asyncio.run(sync.check(Settings(), names or [], folder, hub=hub)))


@app.command("pull")
def pull_command(names: Names = None, folder: Folder = None) -> None:
    """Write the hub's prompts into the files, all or none."""
    from tools.prompts import sync

    _print(asyncio.run(sync.pull(Settings(), names or [], folder)))


@app.command("push")
def push_command(
    names: Names = None,
    folder: Folder = None,
    tag: Annotated[list[str] | None, typer.Option(help="a tag to put on the newest commit")] = None,
) -> None:
    """Commit to the hub what differs in the files, and make the prompts that it has not."""
    from tools.prompts import sync

    _print(asyncio.run(sync.push(Settings(), names or [], folder, tags=tag or [])))


@app.command("diff")
def diff_command(names: Names = None, folder: Folder = None) -> None:
    """Show how the hub's prompts differ from the files; exit code 1 when they do."""
    from tools.prompts import sync

    _print(asyncio.run(sync.diff(Settings(), names or [], folder)))


def _print(report: tuple[list[str], bool]) -> None:
    lines, good = report
    for line in lines:
        echo(line)
    if not good:
        raise typer.Exit(1)
