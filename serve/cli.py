"""The command `checkerboard`: its own commands here, those of the other rooms by entry point."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from ingest.load import load_samples_where_empty
from serve.app import create_app
from serve.demo import OFFLINE_NOTICE, run_demo
from serve.parts import probe_stores
from serve.server import BACKLOG, Server, bound
from serve.supervisor import Supervisor
from tools import doctor as checks
from tools import logs
from tools.embedded import attached
from tools.errors import CheckerboardError, SetupError
from tools.services import open_services
from tools.settings import Settings

app = typer.Typer(
    help="Recommends the portfolio project that employers ask for now.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _room in entry_points(group="checkerboard.commands"):
    app.add_typer(_room.load(), name=_room.name)


def main() -> None:
    """Runs the command; an error of ours is one line on standard error and exit code 1."""
    # Terminated, a command still leaves the embedded servers in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except ValidationError as error:
        for item in error.errors():
            where = ".".join(map(str, item["loc"]))
            Console(stderr=True).print(f"setting {where}: {item['msg']}", style="red", markup=False)
        sys.exit(1)
    except SettingsError as error:
        Console(stderr=True).print(f"{error}: {error.__cause__}", style="red", markup=False)
        sys.exit(1)
    except CheckerboardError as error:
        Console(stderr=True).print(f"{error.code}: {error.message}", style="red", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
) -> None:
    """Serve the API. Without any setting: embedded servers, offline model, sample postings."""
    logs.configure()
    given = Settings()
    try:
        app = create_app(given)
    except ValueError as error:  # the settings fit one by one, but not the app
        raise SetupError(str(error)) from error
    sockets = bound(host, port)
    with attached(given) as settings:
        asyncio.run(_checked_start(settings))
        for listener in sockets:
            listener.listen(BACKLOG)
        _say_where(host, port, offline=settings.offline)
        if workers == 1:
            Server(app, given.drain_seconds).run(sockets)
        else:
            asyncio.run(Supervisor(sockets, workers, given.drain_seconds).run())


@app.command()
def demo(
    profile: Annotated[str | None, typer.Option(help="id of a sample profile; the first by default")] = None,
) -> None:
    """Run one generation and one regeneration for a sample profile, and print the project."""
    logs.configure(logging.ERROR)
    with attached(Settings()) as settings:
        asyncio.run(_first_start(settings))
        asyncio.run(run_demo(settings, profile, Console()))


@app.command()
def doctor() -> None:
    """Check every dependency and say what to do about what is missing."""
    logs.configure(logging.ERROR)
    findings = asyncio.run(checks.checkup(Settings()))
    Console().print(checks.render(findings))
    if not checks.healthy(findings):
        raise typer.Exit(1)


async def _checked_start(settings: Settings) -> None:
    """Asks both stores for what the service needs, before anything is said to be served."""
    await probe_stores(settings)
    await _first_start(settings)


async def _first_start(settings: Settings) -> None:
    """Takes the newest prompts, and loads the sample postings into an empty embedded database, but
    never into one of yours."""
    async with open_services(settings, newest_prompts=True) as services:
        if Settings().database_url is None:
            await load_samples_where_empty(services)


def _say_where(host: str, port: int, *, offline: bool) -> None:
    at = f"http://{host}:{port}"
    console = Console(stderr=True)
    console.print(f"Checkerboard on [bold]{at}[/bold]  (Ctrl-C stops it)")
    console.print(f"  try it      {at}/generate/playground/")
    console.print(f"  API         {at}/docs")
    console.print(f"  readiness   {at}/readyz")
    if offline:
        console.print(f"  {OFFLINE_NOTICE}")
