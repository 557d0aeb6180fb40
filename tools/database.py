"""The PostgreSQL pool and the schema's migrations."""

from __future__ import annotations

import logging

import psycopg
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tools.errors import SetupError
from tools.settings import Settings
from tools.sql import migrations, queries

logger = logging.getLogger(__name__)
_SQL = queries("migrate.sql")

POOL_WAIT_SECONDS = 10.0
"""How long a request waits for a connection. None is held during a model call, so a full pool
empties within the time of a few queries."""
OPEN_SECONDS = 30.0
_MIGRATION_LOCK = 0x_C4EC_4E12
"""Key of the advisory lock under which one process at a time migrates."""

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


async def open_pool(settings: Settings) -> Pool:
    """Migrates the schema and opens the pool of this process.

    Raises:
        SetupError: PostgreSQL does not answer.
    """
    assert settings.database_url is not None  # noqa: S101 - `attached` has filled it
    await migrate(settings.database_url)
    pool: Pool = AsyncConnectionPool(
        settings.database_url,
        min_size=1,
        max_size=settings.database_pool,
        timeout=POOL_WAIT_SECONDS,
        open=False,
        configure=_prepare,
        check=AsyncConnectionPool.check_connection,
        kwargs={"row_factory": dict_row, "autocommit": True, "connect_timeout": 10},
        name="postings",
    )
    try:
        await pool.open(wait=True, timeout=OPEN_SECONDS)
    except PoolTimeout as error:
        raise SetupError("PostgreSQL gives no connection. Check its connection limit.") from error
    return pool


async def migrate(database_url: str) -> None:
    """Applies the migrations that are not applied yet, each in a transaction, one process at a time.

    Raises:
        SetupError: PostgreSQL does not answer.
    """
    try:
        connection = await AsyncConnection.connect(database_url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise SetupError(f"PostgreSQL does not answer: {error}. Check DATABASE_URL.") from error
    except psycopg.ProgrammingError:
        # Its message may hold the URL, and that a password.
        raise SetupError("DATABASE_URL is no URL that PostgreSQL knows: postgresql://user@host/db.") from None
    async with connection:
        await connection.execute(_SQL["lock_migrations"], [_MIGRATION_LOCK])
        await connection.execute(_SQL["keep_migrations"])
        cursor = await connection.execute(_SQL["applied_migrations"])
        applied = {row[0] for row in await cursor.fetchall()}
        for name, text in migrations():
            if name in applied:
                continue
            async with connection.transaction():
                await connection.execute(text)
                await connection.execute(_SQL["migration_applied"], [name])
            logger.info("migration applied", extra={"migration": name})


async def _prepare(connection: AsyncConnection[DictRow]) -> None:
    await register_vector_async(connection)
