"""Connections to PostgreSQL: every wait for it has a limit, and nothing is kept in a session of it.

A pooler such as PgBouncer in transaction mode gives each transaction another connection of the
server's. So there is nothing here that outlives a transaction: no prepared statements, no advisory
locks or settings of a session, no temporary tables, no LISTEN, no options at the start of a
connection (`docs/decisions/0021-stores-that-fail.md`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import DictRow, dict_row

from tools.core.errors import SetupError
from tools.core.store_failures import one_line

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
