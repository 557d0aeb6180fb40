"""`checkerboard ingest …`"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from local.servers import embedded_servers
from local.servers.files import temporary_home
from tools.core import logs
from tools.core.processes import with_command_name
from tools.core.settings import Settings
from tools.core.terminal import Terminal, echo_json
from tools.core.text import clean

if TYPE_CHECKING:
    from tools.core.database import Pool

# What a command needs is imported when it runs: the libraries behind it (images, PDF, HTML) would slow down
# every start of `checkerboard`.
# ruff: noqa: PLC0415

T = TypeVar("T")
app = typer.Typer(help="Bring postings in.", no_args_is_help=True)

_SHOWN = 10
"""Refused rows that are listed one by one."""


@app.callback()
def ingest(context: typer.Context) -> None:
    """Bring postings in."""
    # These log each document. A terminal shows them as bars, which a line of the log for each would tear.
    logged = context.invoked_subcommand in ("run", "watch") and not sys.stderr.isatty()
    logs.configure(logging.INFO if logged else logging.WARNING)


@app.command("load")
def load_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE…", help="JSONL, CSV or TSV files of structured postings"),
    ] = None,
    samples: Annotated[bool, typer.Option("--samples", help="load the sample postings too")] = False,
) -> None:
    """Embed structured postings and write them to the store; again is harmless."""
    from ingest import console as work
    from ingest.load import SAMPLES

    console = Terminal()
    chosen = [*(paths or []), *([SAMPLES] if samples else [])]
    if not chosen:
        raise typer.BadParameter("name files to load, or use --samples")
    with embedded_servers(Settings()) as settings:
        loaded = asyncio.run(work.load_files(settings, chosen, console))
    unread = f", {len(loaded.unread)} fields could not be read" if loaded.unread else ""
    console.print(f"{loaded.postings} postings loaded, {len(loaded.refused)} rows refused{unread}.")
    rows = [f"{row.file}, line {row.line}: {row.problem}" for row in loaded.refused]
    fields = [f"{f.file}, line {f.line}, {f.field}: {f.problem}: {f.value!r}" for f in loaded.unread]
    for lines, what in ((rows, ""), (fields, " fields")):
        for line in lines[:_SHOWN]:
            console.print(f"  {line}", style="yellow")
        if len(lines) > _SHOWN:
            console.print(f"  … and {len(lines) - _SHOWN} more{what}")
    if loaded.refused and not loaded.postings:
        raise typer.Exit(1)


@app.command("run")
def run_command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE…", help="such as folder:posters or greenhouse:acme; see `ingest sources`"
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="where the stages run: here, or on a Ray cluster")
    ] = "local",
    batch: Annotated[
        bool, typer.Option("--batch", help="tag by the Batch API: at half the price, within a day")
    ] = False,
) -> None:
    """Collect sources, and take every document that is not done to its end: parse, tag, embed, load.

    Without a source, those of CHECKERBOARD_SOURCES. Stopped or killed, the next run goes on there.
    """
    from ingest import console as work

    if batch and engine == "ray":
        raise typer.BadParameter("--batch goes with the local engine: one batch serves all machines")
    with embedded_servers(Settings()) as settings:
        chosen = sources or list(settings.sources)
        if engine == "ray":
            whole = asyncio.run(work.run_on_ray(settings, chosen))
        else:
            whole = asyncio.run(work.run(settings, chosen, batch=batch))
    if not whole:
        raise typer.Exit(1)


@app.command("watch")
def watch_command(
    folder: Annotated[Path, typer.Argument(help="the folder into which postings are put")],
) -> None:
    """Take every posting that arrives in a folder into retrieval within seconds, until Ctrl-C."""
    from ingest import console as work

    with embedded_servers(Settings()) as settings:
        asyncio.run(work.watch(settings, folder))


@app.command("status")
def status_command(
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, for programs")] = False,
) -> None:
    """Show how far the documents are, what was set aside and why, and what it all cost."""
    from ingest.console import status_tables
    from ingest.pipeline.store import status

    state = _with_pool(status)
    if as_json:
        echo_json(state)
    else:
        Terminal().print(status_tables(state))


@app.command("retry")
def retry_command(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…", help="documents; without: all")] = None,
    source: Annotated[str | None, typer.Option(help="only of this source")] = None,
    again_from: Annotated[
        Literal["parse", "tag", "embed"] | None,
        typer.Option("--from", help="do this stage and those after it again, done or not"),
    ] = None,
) -> None:
    """Make documents that were set aside due again; the next run takes them."""
    from ingest.pipeline.store import retry

    named = source and clean(source)
    due = _with_pool(lambda pool: retry(pool, ids=ids or [], source=named, again_from=again_from))
    Terminal().print(
        with_command_name(f"{due} documents are due again: `checkerboard ingest run` takes them.")
    )


@app.command("remove")
def remove_command(
    source: Annotated[str, typer.Option(help="whose; `samples` are the sample postings")],
) -> None:
    """Delete the postings that came from a source, and forget its documents."""
    from ingest.pipeline.store import remove

    removed = _with_pool(lambda pool: remove(pool, clean(source)))
    Terminal().print("{} postings and {} documents removed.".format(*removed))


def _with_pool(work: Callable[[Pool], Awaitable[T]]) -> T:
    from tools.core.database import open_pool

    async def opened(settings: Settings) -> T:
        async with await open_pool(settings) as pool:
            return await work(pool)

    with embedded_servers(Settings()) as settings:
        return asyncio.run(opened(settings))


@app.command("sources")
def sources_command() -> None:
    """List what postings can be collected from and what reads their images, and whether each is on."""
    from ingest import console as work

    Terminal().print(asyncio.run(work.sources(Settings())))


@app.command("reembed")
def reembed_command(
    drop_others: Annotated[
        bool,
        typer.Option(
            "--drop-others", help="then forget other models' vectors; no worker may use them any more"
        ),
    ] = False,
) -> None:
    """Embed every posting by the configured model, while the service goes on with the former one."""
    from ingest import console as work

    with embedded_servers(Settings()) as settings:
        asyncio.run(work.embed_again(settings, drop_others=drop_others))


@app.command("demo")
def demo_command(
    posters: Annotated[int | None, typer.Option(min=1, help="only the first so many; all by default")] = None,
) -> None:
    """Read the sample posters, load them into a database of their own, and search."""
    from ingest import console as work
    from ingest.parsers.tessdata import find_tessdata

    settings = Settings()
    tessdata = settings.tessdata
    if "local" in settings.parsers and settings.upstage_api_key is None:
        tessdata = find_tessdata(settings)
    with temporary_home() as home:
        # A home of its own: what the demo loads does not get among your postings.
        own = {"home": home, "database_url": None, "redis_url": None, "raw": None, "tessdata": tessdata}
        with embedded_servers(settings.model_copy(update=own)) as demo_settings:
            whole = asyncio.run(work.demo(demo_settings, Terminal(), posters))
    if not whole:
        raise typer.Exit(1)
