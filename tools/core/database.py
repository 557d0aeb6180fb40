"""The PostgreSQL pool of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pgvector.psycopg import register_vector_async
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tools.core.errors import SetupError
from tools.core.migrations import migrate
from tools.core.postgres import CONNECTING, Connection
from tools.core.settings import Settings

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
