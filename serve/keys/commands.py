"""`checkerboard keys …`"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import typer
from rich.table import Table

from local.servers import embedded_servers
from serve.keys import store
from tools.core import database, logs
from tools.core.database import Connection
from tools.core.settings import Settings
from tools.core.terminal import Terminal, echo

T = TypeVar("T")
app = typer.Typer(help="Make, list, revoke and rotate API keys.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="whose key it is: sessions and runs belong to the name")]


@app.callback()
def keys() -> None:
    """Make, list, revoke and rotate API keys. A running service follows within two seconds."""
    logs.configure(logging.WARNING)


@app.command()
def create(
    name: Name,
    *,
    role: Annotated[
        Literal["client", "admin"], typer.Option(help="an admin may change prompts and models, too")
    ] = "client",
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="limit of requests")] = None,
    runs_at_once: Annotated[int | None, typer.Option(min=1, help="limit of runs in flight")] = None,
    tokens_per_day: Annotated[int | None, typer.Option(min=1, help="limit of the model's tokens")] = None,
    usd_per_month: Annotated[
        float | None, typer.Option(min=0.01, help="limit of what the model costs, in USD")
    ] = None,
) -> None:
    """Make a key, and print it this once: its hash alone is stored. A limit that is left out is the service's
    default (CHECKERBOARD_KEY_…)."""
    usd = None if usd_per_month is None else Decimal(f"{usd_per_month:.2f}")
    limits = store.Limits(requests_per_minute, runs_at_once, tokens_per_day, usd)
    _print_key(_with_database(lambda connection: store.create_key(connection, name, role, limits)))


@app.command("list")
def list_keys() -> None:
    """List all keys, those that have ended too; never the keys themselves."""
    Terminal().print(_table(_with_database(store.all_keys)))


@app.command()
def revoke(name: Name) -> None:
    """End all keys of a name now. The last one closes the service, and does not open it."""
    count = _with_database(lambda connection: store.revoke_keys(connection, name))
    echo(f"{name}: {count} revoked")


@app.command()
def rotate(
    name: Name,
    keep: Annotated[
        float, typer.Option(min=0, max=525_600, help="minutes for which the old key counts as well")
    ] = 0,
) -> None:
    """Give a name another key in the place of what it has, and print it this once. What was made with the old
    one stays the name's."""
    _print_key(_with_database(lambda connection: store.rotate_key(connection, name, keep)))


def _with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Returns what becomes of `work` on a connection to a database that is migrated."""

    async def connected(database_url: str) -> T:
        await database.migrate(database_url)
        async with await database.connect(database_url) as connection:
            return await work(connection)

    with embedded_servers(Settings(), servers=("postgres",)) as settings:
        assert settings.database_url is not None  # noqa: S101 - it has just been filled
        return asyncio.run(connected(settings.database_url))


def _print_key(key: str) -> None:
    """Prints a key on standard output, alone, to be piped into a secret's file."""
    Terminal(stderr=True).print(
        "Keep this key now: it is stored nowhere, and cannot be shown again.", style="yellow"
    )
    echo(key)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(show_lines=False, pad_edge=False)
    titles = (
        "name",
        "role",
        "state",
        "created",
        "last used",
        "requests/min",
        "runs",
        "tokens/day",
        "USD/month",
    )
    for title in titles:
        table.add_column(title, no_wrap=title == "name")
    for row in rows:
        limits = (
            row[name] for name in ("requests_per_minute", "runs_at_once", "tokens_per_day", "usd_per_month")
        )
        table.add_row(
            row["name"],
            row["role"],
            _state(row),
            _when(row["created_at"]),
            _when(row["last_used_at"]) if row["last_used_at"] else "never",
            *("default" if limit is None else f"{limit:,}" for limit in limits),
        )
    return table


def _state(row: dict[str, Any]) -> str:
    if row["revoked_at"]:
        return f"revoked {_when(row['revoked_at'])}"
    if row["expires_at"]:
        return f"{'ended' if row['expired'] else 'until'} {_when(row['expires_at'])}"
    return "in force"


def _when(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
