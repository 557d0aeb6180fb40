"""Removing what came from a source: its postings and the state of its documents."""

from __future__ import annotations

from tools.core.database import Pool
from tools.core.errors import InvalidRequestError
from tools.core.sql import queries
from tools.postings import writer

_SQL = queries("documents.sql")
_CORPUS = queries("postings.sql")


async def remove(pool: Pool, source: str) -> tuple[int, int]:
    """Deletes the postings and the documents of a source; how many of each. Raw files stay, and what models
    answered about them is not paid for again should they come back.

    Raises:
        InvalidRequestError: nothing came from a source of that name; the message has those there are.
    """
    async with pool.connection() as connection, connection.transaction():
        postings = await writer.remove(connection, source)
        documents = (await connection.execute(_SQL["remove"], {"source": source})).rowcount
        if not postings and not documents:
            rows = await (await connection.execute(_CORPUS["sources"])).fetchall()
            known = ", ".join(sorted(row["source"] for row in rows)) or "none"
            raise InvalidRequestError(f"Nothing came from a source {source!r}; there are: {known}.")
    return postings, documents
