"""What was paid for and fetched, kept in PostgreSQL: the response journal, the log of fetches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ingest.sources.web import Fetch
from tools.core.database import Pool, unhurried
from tools.core.sql import queries

_SQL = queries("documents.sql")
KEPT_DAYS = 7
"""A document that is tried again within this time is not paid again, whatever has become of the run."""


class PostgresJournal:
    """Answers of models and parsers by what was asked, over all runs: a `ResponseJournal`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, question: str) -> bytes | None:
        """As `ResponseJournal.find`."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["find_answer"], {"question": question})).fetchone()
        return None if row is None else bytes(row["answer"])

    async def record(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.record`."""
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["keep_answer"], {"question": question, "answer": answer})

    async def forget(self, questions: Sequence[str]) -> None:
        """As `ResponseJournal.forget`."""
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["forget_answers"], {"questions": list(questions)})

    async def forget_old(self) -> None:
        """Forgets answers older than KEPT_DAYS."""
        async with unhurried(self._pool) as connection:
            await connection.execute(_SQL["forget_old_answers"], {"days": KEPT_DAYS})


class FetchLog:
    """What each URL answered last (`ingest.sources.web.FetchLog`)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def last(self, url: str) -> Fetch | None:
        """Returns the last fetch of `url`; None where there was none."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["last_fetch"], {"url": url})).fetchone()
        return None if row is None else Fetch(**row)

    async def keep(self, fetch: Fetch) -> None:
        """Keeps a fetch in place of the one before."""
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["keep_fetch"], asdict(fetch))
