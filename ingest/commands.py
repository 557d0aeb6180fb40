"""`checkerboard ingest …`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ingest.load import SAMPLES, Loaded, load, read
from tools.embedded import attached
from tools.services import open_services
from tools.settings import Settings

app = typer.Typer(help="Bring postings in.", no_args_is_help=True)

_SHOWN = 10
"""Refused rows that are listed one by one."""


@app.callback()
def ingest() -> None:
    """Bring postings in."""


@app.command("load")
def load_command(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE…", help="JSONL or CSV files of structured postings")
    ] = None,
    samples: Annotated[bool, typer.Option("--samples", help="load the sample postings too")] = False,
) -> None:
    """Embed structured postings and write them to the store; again is harmless."""
    console = Console()
    chosen = [*(paths or []), *([SAMPLES] if samples else [])]
    if not chosen:
        raise typer.BadParameter("name files to load, or use --samples")
    with attached(Settings()) as settings:
        loaded = asyncio.run(_load(settings, chosen, console))
    console.print(f"{loaded.postings} postings loaded, {len(loaded.refused)} rows refused.")
    for row in loaded.refused[:_SHOWN]:
        console.print(f"  {row.file}, line {row.line}: {row.problem}", style="yellow", markup=False)
    if len(loaded.refused) > _SHOWN:
        console.print(f"  … and {len(loaded.refused) - _SHOWN} more")
    if loaded.refused and not loaded.postings:
        raise typer.Exit(1)


async def _load(settings: Settings, paths: list[Path], console: Console) -> Loaded:
    total = sum(1 for path in paths for _ in read(path))
    columns = (TextColumn("postings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("postings", total=total)
        async with open_services(settings) as services:
            return await load(services, paths, lambda count: bar.advance(task, count))
