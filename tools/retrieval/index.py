"""The terms and families of postings in the store, made by the analyser: when they are loaded, and, for
those that an earlier version wrote or read by other rules, in the background of a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from tools.core.database import Pool, long_connection
from tools.core.sql import queries
from tools.postings.contracts import Posting
from tools.postings.repository import raise_revision, text_hash
from tools.retrieval.analyser import BATCH, Analyser, AnalyserError
from tools.retrieval.terms import rules_version

logger = logging.getLogger(__name__)

_SQL = queries("posting_terms.sql", fields=", ".join(Posting.model_fields))
_PAUSE_SECONDS = 0.05
"""Between two batches in the background, so that a search's text need not wait for many."""


class TermIndex:
    """Fills the terms and families of postings."""

    def __init__(self, pool: Pool, analyser: Analyser) -> None:
        self._pool = pool
        self._analyser = analyser
        self._version = rules_version()

    async def add(self, postings: Sequence[Posting]) -> None:
        """Reads those of `postings` that were not read by these rules yet, one of each text. Where the
        analyser does not answer they are found by their vectors alone, until `fill` has read them."""
        by_hash = {text_hash(posting): posting for posting in postings}
        async with self._pool.connection() as connection:
            parameters = {"version": self._version, "hashes": list(by_hash)}
            rows = await (await connection.execute(_SQL["known"], parameters)).fetchall()
        known = {row["text_hash"] for row in rows}
        try:
            await self._read({key: posting for key, posting in by_hash.items() if key not in known})
        except AnalyserError:
            logger.exception("the analyser does not answer: postings are loaded without their terms")

    async def unread(self) -> int:
        """Returns the number of stored postings that were not read by these rules."""
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(_SQL["count_unread"], {"version": self._version})
            ).fetchone()
        return int(row["postings"]) if row else 0

    async def fill(self) -> int:
        """Reads all stored postings that were not read by these rules, a few at a time; several processes
        that do so at once do no harm. Returns their number.

        Raises:
            AnalyserError: the analyser does not answer.
        """
        after = read = 0
        while True:
            async with self._pool.connection() as connection:
                parameters = {"version": self._version, "after": after, "count": BATCH}
                rows = await (await connection.execute(_SQL["unread"], parameters)).fetchall()
            if not rows:
                break
            postings = [Posting.model_construct(**row) for row in rows]
            await self._read({text_hash(posting): posting for posting in postings})
            after = rows[-1]["id"]
            read += len(rows)
            await asyncio.sleep(_PAUSE_SECONDS)
        if read:
            # A search finds something else from now on.
            async with self._pool.connection() as connection:
                await raise_revision(connection)
            logger.info("postings read for their terms", extra={"postings": read})
        return read

    async def _read(self, postings: dict[str, Posting]) -> None:
        if not postings:
            return
        read = await self._analyser.read([posting.search_text() for posting in postings.values()])
        rows: list[dict[str, Any]] = [
            {"text_hash": key, "version": self._version, **one}
            for key, one in zip(postings, read, strict=True)
        ]
        async with long_connection(self._pool) as connection, connection.transaction():
            await connection.cursor().executemany(_SQL["save"], rows)
