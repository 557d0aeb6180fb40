"""Connections to PostgreSQL: every wait for it has a limit, and nothing is kept in a session of it.

A pooler such as PgBouncer in transaction mode gives each transaction another connection of the
server's. So there is nothing here that outlives a transaction: no prepared statements, no advisory
locks or settings of a session, no temporary tables, no LISTEN, no options at the start of a
connection (`docs/decisions/0021-stores-that-fail.md`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tools.core.errors import SetupError, StoreUnavailableError
from tools.core.settings import Settings
from tools.core.sql import migrations, queries
from tools.core.store_failures import PROBE_SECONDS, StoreInfo, one_line, store_failure, where

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5
WORK_SECONDS = 600.0
"""Limit of a statement for which nobody waits: the load of many postings, a clean-up of a large table."""
_CANCEL_SECONDS = 1.0
_POLL_SECONDS = 0.1
_T = TypeVar("_T")

CONNECTING: dict[str, Any] = {
    "row_factory": dict_row,
    "autocommit": True,
    "prepare_threshold": None,
    "connect_timeout": CONNECT_SECONDS,
    # Whatever PGCLIENTENCODING says: Korean has to pass.
    "client_encoding": "utf8",
    # A network that is gone is noticed also where nothing is being asked.
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""How every connection is opened."""


class Connection(AsyncConnection[DictRow]):
    """A connection that gives up on a server that does not answer.

    The limit is kept on this side, because a server that hangs keeps none, and because a pooler may
    refuse the `options` by which the server would be told one.
    """

    limit_seconds = 10.0
    """How long the server may take to answer one statement."""

    async def wait(
        self,
        gen: PQGen[_T],
        interval: float = _POLL_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's signature
    ) -> _T:
        """As psycopg's, within the limit; all that is asked of the server goes through here.

        Raises:
            psycopg.OperationalError: no answer in time. The connection is closed.
        """
        limit = timeout or self.limit_seconds
        try:
            return await super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout as error:
            # What is merely slow is to stop; what hangs does not hear of it.
            with suppress(psycopg.Error):
                await self.cancel_safe(timeout=_CANCEL_SECONDS)
            await self.close()
            raise NoAnswerError(f"no answer within {limit:g} seconds") from error

    @contextmanager
    def limited(self, seconds: float = WORK_SECONDS) -> Iterator[None]:
        """Sets another limit within the block: by default that of work for which nobody waits."""
        usual, self.limit_seconds = self.limit_seconds, seconds
        try:
            yield
        finally:
            self.limit_seconds = usual


class NoAnswerError(psycopg.OperationalError):
    """PostgreSQL did not answer a statement within its limit."""


async def connected(database_url: str) -> Connection:
    """Returns a connection of the caller's own.

    Raises:
        SetupError: PostgreSQL does not answer, or refuses; the message holds no password.
    """
    try:
        return await Connection.connect(database_url, **CONNECTING)
    except psycopg.OperationalError as error:
        raise SetupError(f"PostgreSQL does not answer: {one_line(error)}. Check DATABASE_URL.") from error
    except psycopg.ProgrammingError:
        # Its message may hold the URL, and that a password.
        raise SetupError("DATABASE_URL is no URL that PostgreSQL knows: postgresql://user@host/db.") from None


_CHECKS = queries("fitness.sql")
OLDEST_POSTGRESQL = 13
OLDEST_PGVECTOR = (0, 4)
"""Before it, a vector had at most 1,024 dimensions."""
_REMEDY = "Nothing was written. Mend that, name another in DATABASE_URL, or unset it to run the embedded one."


@dataclass(frozen=True, slots=True)
class Fitness:
    """What a PostgreSQL is, and what of the service it holds already."""

    server: str
    """Its version."""
    vector: str | None
    """Version of pgvector that is installed, or would be."""
    pending: list[tuple[str, str]]
    """Migrations that are to be applied, by name and text."""


async def require_fit(connection: Connection, place: str) -> Fitness:
    """Returns what the PostgreSQL at `place` (a URL without its password) is. Writes nothing.

    Raises:
        SetupError: it cannot serve; the message has every reason, `lacking` the extensions it has not.
        psycopg.Error: it does not answer.
    """
    server = connection.info.parameter_status("server_version") or "unknown"
    if connection.info.server_version < OLDEST_POSTGRESQL * 10_000:
        raise SetupError(
            f"The PostgreSQL at {place} is version {server}, and at least {OLDEST_POSTGRESQL} is needed. "
            f"{_REMEDY}"
        )
    try:
        async with connection.transaction():
            facts = await _row(connection, "facts")
            known = (
                [row["name"] for row in await (await connection.execute(_CHECKS["applied"])).fetchall()]
                if facts["migrated"] and facts["may_see_migrations"]
                else []
            )
    except psycopg.errors.ProtocolViolation as error:
        # A pooler that ends a transaction after each statement says so here.
        raise SetupError(f"The PostgreSQL at {place} cannot be used: {one_line(error)}. {_REMEDY}") from error
    wanted = migrations()
    pending = [(name, text) for name, text in wanted if name not in known]
    problems = [
        *_of_the_database(facts),
        *_of_pgvector(facts),
        *_of_the_schema(facts, known, {name for name, _ in wanted}),
        *(_of_the_role(facts) if pending else []),
    ]
    if problems:
        raise SetupError(
            f"The PostgreSQL {server} at {place} {'; it '.join(problems)}. {_REMEDY}",
            lacking=() if facts["vector_offered"] else ["vector"],
        )
    return Fitness(server, facts["vector_version"] or facts["vector_offered"], pending)


async def _row(connection: Connection, query: str) -> dict[str, Any]:
    row = await (await connection.execute(_CHECKS[query])).fetchone()
    assert row is not None  # noqa: S101 - the statement returns one row always
    return row


def _of_the_database(facts: dict[str, Any]) -> list[str]:
    if facts["encoding"] == "UTF8":
        return []
    return [
        f"keeps the database {facts['database']!r} in {facts['encoding']}, which has no place for Korean "
        f"beside all else: make one with `create database … encoding 'UTF8' template template0`"
    ]


def _of_pgvector(facts: dict[str, Any]) -> list[str]:
    version = facts["vector_version"] or facts["vector_offered"]
    if version is None:
        return ["lacks the extension pgvector, which has to be installed on that server"]
    if _numbers(version) < OLDEST_PGVECTOR:
        oldest = ".".join(map(str, OLDEST_PGVECTOR))
        return [f"has pgvector {version}, and at least {oldest} is needed: `alter extension vector update`"]
    if facts["vector_version"] and not facts["vector_in_sight"]:
        return [
            f"has pgvector in the schema {facts['vector_schema']!r}, which is not on the search_path of "
            f"{facts['role']!r}: `alter role {facts['role']} set search_path = …, {facts['vector_schema']}`"
        ]
    return []


def _of_the_schema(facts: dict[str, Any], known: Sequence[str], wanted: set[str]) -> list[str]:
    if facts["migrated"] and not facts["may_see_migrations"]:
        return [
            f"does not let {facts['role']!r} read the service's tables: "
            f"`grant all on all tables in schema … to {facts['role']}`"
        ]
    if newer := [name for name in known if name not in wanted]:
        return [
            f"was migrated by a newer version of the service ({', '.join(newer)}): run that version, or "
            "bring back the database from before"
        ]
    if known and (hidden := facts["unreadable"]):
        return [
            f"does not let {facts['role']!r} read {', '.join(hidden)}: "
            f"`grant all on all tables in schema … to {facts['role']}`"
        ]
    return []


def _of_the_role(facts: dict[str, Any]) -> list[str]:
    """What keeps this role from migrating."""
    if facts["read_only"]:
        return [
            "is read-only, a replica or set so, and the service's tables are not all there: name the primary"
        ]
    if facts["schema"] is None:
        return [f"has no schema on the search_path of {facts['role']!r} in which tables could be made"]
    if not facts["may_create"]:
        return [
            f"does not let {facts['role']!r} make tables: "
            f"`grant create on schema {facts['schema']} to {facts['role']}`"
        ]
    return []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


_MIGRATE = queries("migrate.sql")

MIGRATION_WAIT_SECONDS = 60.0
"""How long a process waits for another one that migrates."""
_LOCK_POLL_SECONDS = 0.2
_MIGRATION_LOCK = 0x_C4EC_4E12
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
        await connection.execute(_MIGRATE["limits"])
        await _locked(connection)
        await connection.execute(_MIGRATE["keep_migrations"])
        if await (await connection.execute(_MIGRATE["is_applied"], {"name": name})).fetchone():
            return  # by whoever held the lock before
        with connection.limited():
            await connection.execute(text)
        await connection.execute(_MIGRATE["migration_applied"], {"name": name})
    logger.info("migration applied", extra={"migration": name})


async def _locked(connection: Connection) -> None:
    """Takes the lock until the transaction ends; waits for whoever has it, and says so."""
    deadline = time.monotonic() + MIGRATION_WAIT_SECONDS
    told = False
    while True:
        row = await (await connection.execute(_MIGRATE["try_lock"], {"key": _MIGRATION_LOCK})).fetchone()
        if row and row["locked"]:
            return
        holder = await (
            await connection.execute(_MIGRATE["lock_holder"], {"key": _MIGRATION_LOCK})
        ).fetchone()
        if holder is not None and not told:
            logger.warning("waiting for another process that migrates the database", extra=dict(holder))
            told = True
        if holder is not None and time.monotonic() > deadline:
            raise SetupError(
                f"Process {holder['pid']} of PostgreSQL has held the lock of the migrations for "
                f"{MIGRATION_WAIT_SECONDS:.0f} seconds (it is {holder['state'] or 'not to be seen'}, since "
                f"{holder['since'] or 'an unknown time'}). Try again when it has migrated; if nothing "
                f"migrates, a pooler's connection has kept the lock: `select "
                f"pg_terminate_backend({holder['pid']})` frees it."
            )
        await asyncio.sleep(_LOCK_POLL_SECONDS)


POOL_WAIT_SECONDS = 5.0
"""How long a request waits for a connection. None is held during a model call, so a full pool
empties within the time of a few queries."""
OPEN_SECONDS = 30.0
_ALIVE_SECONDS = 2.0
"""How long a connection that is about to be used may take to show that it is alive."""

Pool = AsyncConnectionPool[Connection]


async def open_pool(settings: Settings) -> Pool:
    """Migrates the schema and opens the pool of this process.

    Raises:
        SetupError: PostgreSQL does not answer, or is not fit for the service.
    """
    assert settings.database_url is not None  # noqa: S101 - `embedded_servers` has filled it
    await migrate(settings.database_url)

    async def prepare(connection: Connection) -> None:
        connection.limit_seconds = settings.database_timeout_seconds
        await register_vector_async(connection)

    pool = AsyncConnectionPool(
        settings.database_url,
        connection_class=Connection,
        min_size=1,
        max_size=settings.database_pool,
        timeout=POOL_WAIT_SECONDS,
        open=False,
        configure=prepare,
        check=_check,
        kwargs=CONNECTING,
        name="postings",
    )
    try:
        await pool.open(wait=True, timeout=OPEN_SECONDS)
    except PoolTimeout as error:
        raise SetupError("PostgreSQL gives no connection. Check its connection limit.") from error
    return pool


@asynccontextmanager
async def unhurried(pool: Pool) -> AsyncIterator[Connection]:
    """As `pool.connection()`, for statements that may take long: a load, a clean-up."""
    async with pool.connection() as connection:
        with connection.limited():
            yield connection


async def _check(connection: Connection) -> None:
    with connection.limited(_ALIVE_SECONDS):
        await AsyncConnectionPool.check_connection(connection)


async def probe_postgres(url: str, *, seconds: float = PROBE_SECONDS) -> StoreInfo:
    """Asks the PostgreSQL at `url` for what the service needs of one; writes nothing.

    Raises:
        SetupError: it lacks the extension or something else, or refuses the URL's user.
        StoreUnavailableError: it does not answer within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds), await Connection.connect(url, **CONNECTING) as connection:
            fitness = await require_fit(connection, where(url))
    except psycopg.errors.InvalidAuthorizationSpecification as error:
        raise SetupError(
            f"The PostgreSQL at {where(url)} refuses the user of DATABASE_URL: {error}"
        ) from error
    except psycopg.ProgrammingError:
        # Its message may hold the URL, and that a password.
        raise SetupError("DATABASE_URL is no URL that PostgreSQL knows: postgresql://user@host/db.") from None
    except (psycopg.Error, OSError) as error:
        raise StoreUnavailableError(
            f"The PostgreSQL at {where(url)} does not answer: {one_line(error)}. Start it, or check "
            "DATABASE_URL."
        ) from error
    return StoreInfo("postgresql", fitness.server, {"vector": str(fitness.vector)})
