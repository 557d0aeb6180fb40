"""The schema's migrations: each in one transaction, one process at a time."""

from __future__ import annotations

import asyncio
import logging
import time

import psycopg

from tools.core.errors import SetupError
from tools.core.fitness import require_fit
from tools.core.postgres import Connection, connected
from tools.core.sql import queries
from tools.core.store_failures import one_line, store_failure
from tools.core.store_urls import where

logger = logging.getLogger(__name__)
_SQL = queries("migrate.sql")

WAIT_SECONDS = 60.0
"""How long a process waits for another one that migrates."""
_LOOK_SECONDS = 0.2
_LOCK = 0x_C4EC_4E12
"""Key of the advisory lock under which one process at a time migrates."""


async def migrate(database_url: str) -> None:
    """Applies the migrations that are not applied yet. Where there are none, nothing is locked.

    Raises:
        SetupError: PostgreSQL does not answer, is not fit for the service, or a migration failed. What
            is applied is whole, and the next try goes on there.
    """
    async with await connected(database_url) as connection:
        try:
            fitness = await require_fit(connection, where(database_url))
        except psycopg.Error as error:
            raise SetupError(
                f"PostgreSQL does not answer as it should: {_why(error)} Check DATABASE_URL."
            ) from error
        for name, text in fitness.pending:
            try:
                await _apply(connection, name, text)
            except psycopg.Error as error:
                raise SetupError(
                    f"The migration {name} failed, and nothing of it is kept: {_why(error)}"
                ) from error


def _why(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        advice = (
            "let a superuser do `create extension vector` in this database"
            if "extension" in str(error)
            else "grant that to the user of DATABASE_URL, or name the tables' owner there"
        )
        return f"{one_line(error)}: {advice}."
    told = store_failure(error)
    return told.message if told and told.reason else f"{one_line(error)}."


async def _apply(connection: Connection, name: str, text: str) -> None:
    async with connection.transaction():
        await connection.execute(_SQL["limits"])
        await _locked(connection)
        await connection.execute(_SQL["keep_migrations"])
        if await (await connection.execute(_SQL["is_applied"], {"name": name})).fetchone():
            return  # by whoever held the lock before
        with connection.limited():
            await connection.execute(text)
        await connection.execute(_SQL["migration_applied"], {"name": name})
    logger.info("migration applied", extra={"migration": name})


async def _locked(connection: Connection) -> None:
    """Takes the lock until the transaction ends; waits for whoever has it, and says so."""
    deadline = time.monotonic() + WAIT_SECONDS
    told = False
    while True:
        row = await (await connection.execute(_SQL["try_lock"], {"key": _LOCK})).fetchone()
        if row and row["locked"]:
            return
        holder = await (await connection.execute(_SQL["lock_holder"], {"key": _LOCK})).fetchone()
        if holder is not None and not told:
            logger.warning("waiting for another process that migrates the database", extra=dict(holder))
            told = True
        if holder is not None and time.monotonic() > deadline:
            raise SetupError(
                f"Process {holder['pid']} of PostgreSQL has held the lock of the migrations for "
                f"{WAIT_SECONDS:.0f} seconds (it is {holder['state'] or 'not to be seen'}, since "
                f"{holder['since'] or 'an unknown time'}). Try again when it has migrated; if nothing "
                f"migrates, a pooler's connection has kept the lock: `select "
                f"pg_terminate_backend({holder['pid']})` frees it."
            )
        await asyncio.sleep(_LOOK_SECONDS)
