"""The command `checkerboard`: its own commands here, those of the other rooms by entry point."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from rich.text import Text

from ingest.load import load_samples_where_empty
from serve.demo import OFFLINE_NOTICE, run_demo
from serve.parts import probe_stores
from tools import doctor as checks
from tools import logs
from tools.embedded import attached
from tools.errors import SetupError
from tools.refusals import refusals
from tools.services import open_services
from tools.settings import CHECKOUT, Settings
from tools.signals import not_inherited
from tools.terminal import Terminal

WORKER_SECONDS = 180
"""How long a worker may give no sign of life before another takes its place. It imports for seconds
before it can give one: with uvicorn's 5 seconds, a slow machine kills its workers for ever."""

app = typer.Typer(
    help="Recommends the portfolio project that employers ask for now.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _room in entry_points(group="checkerboard.commands"):
    app.add_typer(_room.load(), name=_room.name)


def main() -> None:
    """Runs the command; an error of ours is one line on standard error and exit code 1."""
    not_inherited()
    # Terminated, a command still leaves the embedded servers in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with refusals():
        app()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
) -> None:
    """Serve the API. Without any setting: embedded servers, offline model, sample postings."""
    logs.configure()
    _require_free(host, port)
    with attached(Settings()) as settings:
        asyncio.run(_checked_start(settings))
        _say_where(host, port, offline=settings.offline)
        uvicorn.run(
            "serve.app:create_app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            timeout_worker_healthcheck=WORKER_SECONDS,
        )


@app.command()
def demo(
    profile: Annotated[str | None, typer.Option(help="id of a sample profile; the first by default")] = None,
) -> None:
    """Run one generation and one regeneration for a sample profile, and print the project."""
    logs.configure(logging.ERROR)
    with attached(Settings()) as settings:
        asyncio.run(_first_start(settings))
        asyncio.run(run_demo(settings, profile, Terminal()))


@app.command()
def studio(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 2024,
) -> None:
    """Serve the graph for LangGraph Studio, with the sample postings where the embedded database is empty."""
    logs.configure(logging.WARNING)
    langgraph = Path(sys.executable).with_name("langgraph")
    if not langgraph.exists():
        raise SetupError("LangGraph's command line is not installed. `make studio` installs it.")
    _require_free("127.0.0.1", port)
    with attached(Settings()) as settings:
        asyncio.run(_first_start(settings))
    os.chdir(CHECKOUT)  # langgraph.json is there
    os.execv(langgraph, [str(langgraph), "dev", "--port", str(port)])  # noqa: S606 - it is ours


@app.command()
def doctor() -> None:
    """Check every dependency and say what to do about what is missing."""
    logs.configure(logging.ERROR)
    findings = asyncio.run(checks.checkup(Settings()))
    Terminal().print(checks.render(findings))
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


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"Cannot listen on {host}:{port} ({error.strerror}). Choose another with --port, or "
                "`make run PORT=8001`."
            ) from error


def _say_where(host: str, port: int, *, offline: bool) -> None:
    at = f"http://{host}:{port}"
    console = Terminal(stderr=True)
    console.print(Text.assemble("Checkerboard on ", (at, "bold"), "  (Ctrl-C stops it)"))
    console.print(f"  try it      {at}/playground/")
    console.print(f"  API         {at}/docs")
    console.print(f"  readiness   {at}/readyz")
    if offline:
        console.print(f"  {OFFLINE_NOTICE}", style="yellow")
