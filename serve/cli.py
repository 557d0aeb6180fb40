"""The command `checkerboard`: its own commands here, those of the other rooms by entry point."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.text import Text

from ingest.load import load_samples_where_empty
from local.servers import embedded_servers
from serve import doctor as checks
from serve import open_files
from serve.app import create_app
from serve.context import probe_stores
from serve.demo import run_demo
from serve.keys.commands import app as keys
from serve.keys.store import are_stored
from serve.metrics import shared_by_workers, shown_on
from serve.origins import ANY, is_loopback
from serve.runs.process import work
from serve.server import BACKLOG, Server, bound
from serve.supervisor import Supervisor
from tools.core import database, logs
from tools.core.errors import SetupError
from tools.core.processes import stop_ignoring_signals
from tools.core.proxies import exempt_loopback
from tools.core.settings import CHECKOUT, Settings, offline_notice
from tools.core.terminal import Terminal, echo, exit_on_errors
from tools.services import open_services

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="Recommends the portfolio project that employers ask for now.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(keys, name="keys")
for _room in entry_points(group="checkerboard.commands"):
    app.add_typer(_room.load(), name=_room.name)


def main() -> None:
    """Runs the command; an error of ours is one line on standard error and exit code 1."""
    stop_ignoring_signals()
    exempt_loopback()
    # Terminated, a command still leaves the embedded servers in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with exit_on_errors():
        app()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    insecure_public: Annotated[
        bool,
        typer.Option("--insecure-public", help="without keys: let whoever reaches the address call"),
    ] = False,
) -> None:
    """Serve the API. Without any setting: embedded servers, offline model, sample postings."""
    logs.configure()
    sockets = bound(host, port)
    with embedded_servers(Settings()) as settings:
        keys_needed = asyncio.run(_keys_needed(settings))
        configured = _settings_for(
            Settings(), sockets, keys_needed=keys_needed, insecure_public=insecure_public
        )
        app = create_app(configured, keys_needed=keys_needed)
        asyncio.run(_prepare(settings))
        for listener in sockets:
            listener.listen(BACKLOG)
        _print_addresses(host, port, settings)
        if workers == 1:
            Server(app, configured.drain_seconds).run(sockets)
        else:
            with shared_by_workers():
                supervisor = Supervisor(sockets, workers, configured.drain_seconds, keys_needed=keys_needed)
                asyncio.run(supervisor.run())


@app.command()
def worker(
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="port on which Prometheus finds its figures, without a key"),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="address of that port")] = "127.0.0.1",
) -> None:
    """Do the runs that POST /runs queues, and serve nothing. A signal ends it in order."""
    logs.configure()
    shown = nullcontext() if metrics_port is None else shown_on(metrics_host, metrics_port)
    with embedded_servers(Settings()) as settings, shown:
        open_files.raise_limit()
        uvloop.run(work(settings))


@app.command()
def demo(
    profile: Annotated[str | None, typer.Option(help="id of a sample profile; the first by default")] = None,
) -> None:
    """Run one generation and one regeneration for a sample profile, and print the project."""
    logs.configure(logging.ERROR)
    with embedded_servers(Settings()) as settings:
        asyncio.run(_load_samples(settings))
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
    for listener in bound("127.0.0.1", port):  # only to see that it is free
        listener.close()
    with embedded_servers(Settings()) as settings:
        asyncio.run(_load_samples(settings))
    os.chdir(CHECKOUT)  # langgraph.json is there
    os.execv(langgraph, [str(langgraph), "dev", "--port", str(port)])  # noqa: S606 - it is ours


@app.command()
def migrate() -> None:
    """Bring the schema of DATABASE_URL up to date, and end. `serve` does so too at its start."""
    logs.configure()
    database_url = Settings().database_url
    if database_url is None:
        raise SetupError("Name the database in DATABASE_URL. The embedded one is migrated when it starts.")
    asyncio.run(database.migrate(database_url))


@app.command()
def prune(
    *,
    withdrawn_days: Annotated[
        int, typer.Option(min=0, help="age of withdrawn postings and documents, since they were withdrawn")
    ] = 90,
    answers_days: Annotated[int, typer.Option(min=0, help="age of models' answers to ingest")] = 7,
    raw_days: Annotated[
        int, typer.Option(min=0, help="age of raw files that no stage has to read any more")
    ] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be deleted")] = False,
) -> None:
    """Delete what is old: withdrawn postings, answers of models, raw files, kept projects that have expired.
    The service goes on meanwhile; again is harmless."""
    from ingest.pipeline.retention import Ages  # noqa: PLC0415 - ingest would slow down every start
    from serve import retention  # noqa: PLC0415

    logs.configure(logging.WARNING)
    ages = Ages(withdrawn=withdrawn_days, answers=answers_days, raw=raw_days)
    with embedded_servers(Settings(), servers=("postgres",)) as settings:
        found = asyncio.run(retention.prune(settings, ages, dry_run=dry_run))
    counted = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in found.items())
    echo(f"{'would delete' if dry_run else 'deleted'}: {counted}")


@app.command()
def doctor() -> None:
    """Check every dependency and say what to do about what is missing."""
    logs.configure(logging.ERROR)
    findings = asyncio.run(checks.checkup(Settings()))
    Terminal().print(checks.render(findings))
    if not checks.healthy(findings):
        raise typer.Exit(1)


async def _keys_needed(settings: Settings) -> bool:
    """Returns whether callers need a key: where the environment has one, or any was ever stored. One that was
    revoked closes the service as well, so that nobody opens it by revoking the last."""
    assert settings.database_url is not None  # noqa: S101 - `embedded_servers` has filled it
    if settings.api_keys:
        return True
    await database.migrate(settings.database_url)
    async with await database.connect(settings.database_url) as connection:
        return await are_stored(connection)


def _settings_for(
    configured: Settings, sockets: Sequence[socket.socket], *, keys_needed: bool, insecure_public: bool
) -> Settings:
    """Returns the settings to serve with at these addresses.

    Raises:
        SetupError: other machines reach them without a key, and `--insecure-public` is not set.
    """
    if keys_needed or all(is_loopback(listener.getsockname()[0]) for listener in sockets):
        return configured
    if not insecure_public:
        raise SetupError(
            "There is no API key, so whoever reaches this address could call, and spend the model's credit. "
            "Make one (`checkerboard keys create NAME`) or set CHECKERBOARD_API_KEYS, serve on 127.0.0.1, or "
            "say that this is meant: --insecure-public."
        )
    if configured.hosts:
        return configured
    os.environ["CHECKERBOARD_HOSTS"] = ANY  # workers are processes of their own
    return Settings()


async def _prepare(settings: Settings) -> None:
    """Checks both stores before the service starts."""
    await probe_stores(settings)
    await _load_samples(settings)


async def _load_samples(settings: Settings) -> None:
    """Takes the newest prompts, and loads the sample postings into an empty embedded database, but
    never into one of yours."""
    async with open_services(settings, newest_prompts=True) as services:
        if Settings().database_url is None:
            await load_samples_where_empty(services)


def _print_addresses(host: str, port: int, settings: Settings) -> None:
    """Tells people where to look; a log for programs has a line of it."""
    if settings.log_format == "json":
        logger.info("serving", extra={"host": host, "port": port})
        return
    at = f"http://{host}:{port}"
    console = Terminal(stderr=True)
    console.print(Text.assemble("Checkerboard on ", (at, "bold"), "  (Ctrl-C stops it)"))
    console.print(f"  the page    {at}/")
    console.print(f"  playground  {at}/playground/")
    console.print(f"  API         {at}/docs")
    console.print(f"  readiness   {at}/readyz")
    if (notice := offline_notice(settings)) is not None:
        console.print(f"  {notice}", style="yellow")
