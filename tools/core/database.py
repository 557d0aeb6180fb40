"""PostgreSQL: connections, whether a server can be used, migrations, and the pool of a process.

A pooler such as PgBouncer in transaction mode gives each transaction another connection of the server's. So
nothing here outlives a transaction: no prepared statements, no advisory locks or settings of a session, no
temporary tables, no LISTEN, no options at the start of a connection
(`docs/decisions/0021-stores-that-fail.md`).
"""

from __future__ import annotations

import asyncio
import logging
import select
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tools.core.cancellation import cancellations
from tools.core.errors import SetupError, StoreUnavailableError
from tools.core.settings import Settings
from tools.core.sql import migrations, number, oldest_code, queries
from tools.core.store_failures import PROBE_SECONDS, StoreInfo, one_line, store_failure, without_credentials

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5
WORK_SECONDS = 600.0
"""Limit of a statement for which nobody waits: the load of many postings, a clean-up of a large table."""
POOL_WAIT_SECONDS = 5.0
"""How long a request waits for a connection. None is held during a model call, so a full pool empties within
the time of a few queries."""
OPEN_SECONDS = 30.0
MIGRATION_WAIT_SECONDS = 60.0
"""How long a process waits for another one that migrates."""
OLDEST_POSTGRESQL = 13
OLDEST_PGVECTOR = (0, 7)
"""Before it there was no `sparsevec`, in which the terms of postings are kept."""
DELETED_AT_ONCE = 500
"""Rows of one step of a clean-up: a tenth of a second's work, for which whoever wants the same rows waits."""
_ALIVE_SECONDS = 2.0
"""Limit of the check of a pooled connection before it is used."""
_FRESH_SECONDS = 1.0
"""A connection that answered within this, and whose server has said nothing since, is used without a check:
a check is a question of its own, as dear to this process as a search."""
_CANCEL_SECONDS = 1.0
_POLL_SECONDS = 0.1
_LOCK_POLL_SECONDS = 0.2
_MIGRATION_LOCK = 0x_C4EC_4E12
"""Key of the advisory lock under which one process at a time migrates."""
_CHECKS = queries("fitness.sql")
_MIGRATE = queries("migrate.sql")
_REMEDY = "Nothing was written. Mend that, name another in DATABASE_URL, or unset it to run the embedded one."
_NO_URL = "DATABASE_URL is no URL that PostgreSQL knows: postgresql://user@host/db."
_T = TypeVar("_T")

CONNECTION_OPTIONS: dict[str, Any] = {
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


class NoAnswerError(psycopg.OperationalError):
    """PostgreSQL did not answer a statement within its limit."""


class Connection(AsyncConnection[DictRow]):
    """A connection that gives up on a server that does not answer.

    The client keeps the limit: a server that hangs keeps none, and a pooler may refuse the `options` by which
    the server would be told one.
    """

    limit_seconds = 10.0
    """How long the server may take to answer one statement."""
    answered_at = 0.0
    """When it last did, by `time.monotonic`."""

    async def wait(
        self,
        gen: PQGen[_T],
        interval: float = _POLL_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's signature
    ) -> _T:
        """As psycopg's, within the limit. Every statement passes here.

        Raises:
            psycopg.OperationalError: no answer in time. The connection is closed.
        """
        limit = timeout or self.limit_seconds
        before = cancellations()
        try:
            answer = await super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout as error:
            # Stops a statement that is merely slow; a server that hangs does not receive it.
            with suppress(psycopg.Error):
                await self.cancel_safe(timeout=_CANCEL_SECONDS)
            await self.close()
            raise NoAnswerError(f"no answer within {limit:g} seconds") from error
        self.answered_at = time.monotonic()
        if cancellations() > before:
            raise asyncio.CancelledError
        return answer

    @contextmanager
    def statement_limit(self, seconds: float = WORK_SECONDS) -> Iterator[None]:
        """Sets another limit within the block."""
        usual, self.limit_seconds = self.limit_seconds, seconds
        try:
            yield
        finally:
            self.limit_seconds = usual


async def connect(database_url: str) -> Connection:
    """Returns a connection of the caller's own.

    Raises:
        SetupError: PostgreSQL does not answer, or refuses; the message holds no password.
    """
    try:
        return await Connection.connect(database_url, **CONNECTION_OPTIONS)
    except psycopg.OperationalError as error:
        raise SetupError(f"PostgreSQL does not answer: {one_line(error)}. Check DATABASE_URL.") from error
    except psycopg.ProgrammingError:
        # Its message may hold the URL, and that a password.
        raise SetupError(_NO_URL) from None


class Pool(AsyncConnectionPool[Connection]):
    """A pool that loses neither connections nor cancellations."""

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - psycopg's signature
        """As psycopg's."""
        before = cancellations()
        connection = await super().getconn(timeout)
        if cancellations() > before:
            await self.putconn(connection)
            raise asyncio.CancelledError
        return connection


Vector = Sequence[float] | NDArray[np.float32]
"""An embedding: as many floats as its model gives."""


async def open_pool(settings: Settings) -> Pool:
    """Migrates the schema and opens the pool of this process.

    Raises:
        SetupError: PostgreSQL does not answer, or cannot be used.
    """
    assert settings.database_url is not None  # noqa: S101 - `embedded_servers` has filled it
    await migrate(settings.database_url)

    async def prepare(connection: Connection) -> None:
        connection.limit_seconds = settings.database_timeout_seconds
        await register_vector_async(connection)

    pool = Pool(
        settings.database_url,
        connection_class=Connection,
        min_size=1,
        max_size=settings.database_pool,
        timeout=POOL_WAIT_SECONDS,
        open=False,
        configure=prepare,
        check=_check_alive,
        reset=_leave_as_is,
        kwargs=CONNECTION_OPTIONS,
        name="postings",
    )
    try:
        await pool.open(wait=True, timeout=OPEN_SECONDS)
    except PoolTimeout as error:
        raise SetupError("PostgreSQL gives no connection. Check its connection limit.") from error
    return pool


@asynccontextmanager
async def long_connection(pool: Pool) -> AsyncIterator[Connection]:
    """As `pool.connection()`, for statements that may take long: a load, a clean-up."""
    async with pool.connection() as connection:
        with connection.statement_limit():
            yield connection


async def delete_in_steps(
    connection: Connection, statement: str, *, at_once: int = DELETED_AT_ONCE, **parameters: object
) -> int:
    """Runs a statement that deletes up to `%(count)s` rows until it finds no more, each time in a transaction
    of its own: none holds its locks for long, and what is stopped goes on there. Returns how many rows there
    were."""
    deleted = 0
    while True:
        step = await connection.execute(statement, {**parameters, "count": at_once})
        deleted += step.rowcount
        if step.rowcount < at_once:
            return deleted


async def _leave_as_is(_: Connection) -> None:
    """Resets nothing. With a reset, the pool takes connections back in tasks of its own; without one it does
    so in the task of the caller, and a connection is lost where that is cancelled once more meanwhile."""


async def _check_alive(connection: Connection) -> None:
    if time.monotonic() - connection.answered_at < _FRESH_SECONDS and not _has_news(connection):
        return
    with connection.statement_limit(_ALIVE_SECONDS):
        await Pool.check_connection(connection)


def _has_news(connection: Connection) -> bool:
    """Whether a server has said something unasked: that it ends the connection, mostly."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLPRI)
    return bool(poll.poll(0))


async def migrate(database_url: str) -> None:
    """Applies the migrations that are not applied yet, each in one transaction, one process at a time. Where
    there are none, nothing is locked.

    Raises:
        SetupError: PostgreSQL does not answer, cannot be used, or a migration failed. What is applied is
            whole, and the next try goes on there.
    """
    async with await connect(database_url) as connection:
        try:
            state = await require_usable(connection, without_credentials(database_url))
        except psycopg.Error as error:
            raise SetupError(
                f"PostgreSQL does not answer as it should: {_reason(error)} Check DATABASE_URL."
            ) from error
        for name, text in state.pending:
            try:
                await _apply(connection, name, text)
            except psycopg.Error as error:
                raise SetupError(
                    f"The migration {name} failed, and nothing of it is kept: {_reason(error)}"
                ) from error


def _reason(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        advice = (
            "let a superuser do `create extension vector` in this database"
            if "extension" in str(error)
            else "grant that to the user of DATABASE_URL, or name the tables' owner there"
        )
        return f"{one_line(error)}: {advice}."
    failure = store_failure(error)
    return failure.message if failure and failure.reason else f"{one_line(error)}."


async def _apply(connection: Connection, name: str, text: str) -> None:
    async with connection.transaction():
        await connection.execute(_MIGRATE["limits"])
        await _take_migration_lock(connection)
        await connection.execute(_MIGRATE["keep_migrations"])
        if await (await connection.execute(_MIGRATE["is_applied"], {"name": name})).fetchone():
            return  # by another process, while this one waited
        with connection.statement_limit():
            await connection.execute(text)
        record = {"name": name, "oldest_code": oldest_code(name, text)}
        await connection.execute(_MIGRATE["migration_applied"], record)
    logger.info("migration applied", extra={"migration": name})


async def _take_migration_lock(connection: Connection) -> None:
    """Takes the lock until the transaction ends; waits for the process that has it, and logs that once."""
    deadline = time.monotonic() + MIGRATION_WAIT_SECONDS
    logged = False
    while True:
        row = await (await connection.execute(_MIGRATE["try_lock"], {"key": _MIGRATION_LOCK})).fetchone()
        if row and row["locked"]:
            return
        holding = await connection.execute(_MIGRATE["lock_holder"], {"key": _MIGRATION_LOCK})
        holder = await holding.fetchone()
        if holder is not None and not logged:
            logger.warning("waiting for another process that migrates the database", extra=dict(holder))
            logged = True
        if holder is not None and time.monotonic() > deadline:
            raise SetupError(
                f"Process {holder['pid']} of PostgreSQL has held the lock of the migrations for "
                f"{MIGRATION_WAIT_SECONDS:.0f} seconds (it is {holder['state'] or 'not to be seen'}, since "
                f"{holder['since'] or 'an unknown time'}). Try again when it has migrated; if nothing "
                f"migrates, a pooler's connection has kept the lock: `select "
                f"pg_terminate_backend({holder['pid']})` frees it."
            )
        await asyncio.sleep(_LOCK_POLL_SECONDS)


async def probe_postgres(url: str, *, seconds: float = PROBE_SECONDS) -> StoreInfo:
    """Checks that the service can use the PostgreSQL at `url`; writes nothing.

    Raises:
        SetupError: it cannot, or the server refuses the URL's user.
        StoreUnavailableError: it does not answer within `seconds`.
    """
    place = without_credentials(url)
    try:
        async with (
            asyncio.timeout(seconds),
            await Connection.connect(url, **CONNECTION_OPTIONS) as connection,
        ):
            state = await require_usable(connection, place)
    except psycopg.errors.InvalidAuthorizationSpecification as error:
        raise SetupError(f"The PostgreSQL at {place} refuses the user of DATABASE_URL: {error}") from error
    except psycopg.ProgrammingError:
        # Its message may hold the URL, and that a password.
        raise SetupError(_NO_URL) from None
    except (psycopg.Error, OSError) as error:
        raise StoreUnavailableError(
            f"The PostgreSQL at {place} does not answer: {one_line(error)}. Start it, or check DATABASE_URL."
        ) from error
    return StoreInfo("postgresql", state.server, {"vector": str(state.vector)})


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a PostgreSQL is, and which migrations it has not."""

    server: str
    """Its version."""
    vector: str | None
    """Version of pgvector that is installed, or would be."""
    pending: list[tuple[str, str]]
    """Migrations that are to be applied, by name and text."""


async def require_usable(connection: Connection, place: str) -> DatabaseState:
    """Checks that the service can use a PostgreSQL. Writes nothing.

    Args:
        connection: to the database.
        place: its URL without credentials, for messages.

    Raises:
        SetupError: it cannot; the message has every reason, `lacking` the extensions it has not.
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
            facts: dict[str, Any] = await (await connection.execute(_CHECKS["facts"])).fetchone() or {}
            applied: dict[str, int | None] = {}
            if facts["migrated"] and facts["may_see_migrations"]:
                rows = await (await connection.execute(_CHECKS["applied"])).fetchall()
                applied = {row["name"]: row["oldest_code"] for row in rows}
    except psycopg.errors.ProtocolViolation as error:
        # A pooler that ends a transaction after each statement says so here.
        raise SetupError(f"The PostgreSQL at {place} cannot be used: {one_line(error)}. {_REMEDY}") from error
    known = migrations()
    pending = [(name, text) for name, text in known if name not in applied]
    problems = [
        *_encoding_problems(facts),
        *_pgvector_problems(facts),
        *_schema_problems(facts, applied, {name for name, _ in known}),
        *(_migration_problems(facts) if pending else []),
    ]
    if problems:
        raise SetupError(
            f"The PostgreSQL {server} at {place} {'; it '.join(problems)}. {_REMEDY}",
            lacking=() if facts["vector_offered"] else ["vector"],
        )
    return DatabaseState(server, facts["vector_version"] or facts["vector_offered"], pending)


def _encoding_problems(facts: dict[str, Any]) -> list[str]:
    if facts["encoding"] == "UTF8":
        return []
    return [
        f"keeps the database {facts['database']!r} in {facts['encoding']}, which has no place for Korean "
        f"beside all else: make one with `create database … encoding 'UTF8' template template0`"
    ]


def _pgvector_problems(facts: dict[str, Any]) -> list[str]:
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


def _schema_problems(facts: dict[str, Any], applied: dict[str, int | None], known: set[str]) -> list[str]:
    """`applied` has each migration with the oldest code that works with it, if that was recorded."""
    if facts["migrated"] and not facts["may_see_migrations"]:
        return [
            f"does not let {facts['role']!r} read the service's tables: "
            f"`grant all on all tables in schema … to {facts['role']}`"
        ]
    level = max(map(number, known))
    if newer := [
        name for name, oldest in applied.items() if name not in known and (oldest is None or oldest > level)
    ]:
        return [
            f"was migrated by a newer version of the service ({', '.join(newer)}), for which this one is too "
            "old: run that version, or bring back the database from before"
        ]
    if applied and (hidden := facts["unreadable"]):
        return [
            f"does not let {facts['role']!r} read {', '.join(hidden)}: "
            f"`grant all on all tables in schema … to {facts['role']}`"
        ]
    return []


def _migration_problems(facts: dict[str, Any]) -> list[str]:
    """Returns why this role cannot migrate."""
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
