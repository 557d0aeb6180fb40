"""Vectors by the text they are of, a set for each embedding (a model in some dimensions).

A text is embedded once, whichever postings have it. While one set serves, another can be filled
beside it (`checkerboard ingest reembed`); it serves from when it is ready.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tools.core.database import Pool, Vector, long_connection
from tools.core.errors import EmbeddingMismatchError
from tools.core.sql import queries
from tools.postings.contracts import Posting

_SQL = queries("embedding_sets.sql")
_CORPUS = queries("postings.sql")


def text_hash(posting: Posting) -> str:
    """Returns a hash of the text that is embedded."""
    # As the migration reckons it. It tells texts apart, it protects nothing.
    return hashlib.md5(posting.text().encode(), usedforsecurity=False).hexdigest()


class EmbeddingSet:
    """The vectors of one embedding. The first set of a database is ready from its beginning."""

    def __init__(self, pool: Pool, *, model: str, dimensions: int) -> None:
        self._pool = pool
        self._embedding: dict[str, Any] = {"model": model, "dimensions": dimensions}

    async def require_ready(self) -> None:
        """Refuses to load beside postings of another embedding; asked before anything is paid.

        Raises:
            EmbeddingMismatchError: the loaded postings have vectors of another model or dimensions only.
        """
        async with self._pool.connection() as connection:
            await self._ready(connection)

    async def lacking(self, postings: Sequence[Posting]) -> list[Posting]:
        """Returns those of `postings` whose text has no vector yet, one for each text.

        Raises:
            EmbeddingMismatchError: as `require_ready`.
        """
        by_hash = {text_hash(posting): posting for posting in postings}
        async with self._pool.connection() as connection:
            given = {"set_id": await self._ready(connection), "hashes": list(by_hash)}
            rows = await (await connection.execute(_SQL["embedded"], given)).fetchall()
        found = {row["text_hash"] for row in rows}
        return [posting for key, posting in by_hash.items() if key not in found]

    async def keep(self, postings: Sequence[Posting], vectors: Sequence[Vector]) -> None:
        """Keeps the vectors of the texts of `postings`.

        Raises:
            ValueError: a vector has other dimensions, or there are not as many as postings.
        """
        if any(len(vector) != self._embedding["dimensions"] for vector in vectors):
            raise ValueError(f"a vector has other than {self._embedding['dimensions']} dimensions")
        async with long_connection(self._pool) as connection, connection.transaction():
            own = (await self._own(connection))["id"]
            rows = [
                {"set_id": own, "text_hash": text_hash(posting), "vector": np.asarray(vector)}
                for posting, vector in zip(postings, vectors, strict=True)
            ]
            await connection.cursor().executemany(_SQL["keep_vector"], rows)

    async def lacking_of_all(self, *, after: int, count: int) -> list[tuple[int, Posting]]:
        """Returns up to `count` stored postings with a number above `after` that have no vector yet,
        with their numbers, in their order."""
        async with long_connection(self._pool) as connection:
            given = {"set_id": (await self._own(connection))["id"], "after": after, "count": count}
            rows = await (await connection.execute(_SQL["not_embedded"], given)).fetchall()
        return [(row["id"], Posting.model_construct(**row)) for row in rows]

    async def finish(self) -> int:
        """Makes the set ready when no posting lacks a vector; returns how many lack one."""
        async with long_connection(self._pool) as connection, connection.transaction():
            own = {"set_id": (await self._own(connection))["id"]}
            # Its row lock keeps writers out, so that none adds a posting between count and readiness.
            await connection.execute(_CORPUS["raise_revision"])
            row = await (await connection.execute(_SQL["count_not_embedded"], own)).fetchone()
            assert row is not None  # noqa: S101 - a count has a row
            if not row["postings"]:
                await connection.execute(_SQL["set_ready"], own)
        return int(row["postings"])

    async def drop_others(self) -> list[str]:
        """Forgets the vectors of every other embedding; returns what they were of. Workers that are
        configured for one of those can search no more."""
        async with long_connection(self._pool) as connection:
            own = {"set_id": (await self._own(connection))["id"]}
            rows = await (await connection.execute(_SQL["drop_other_sets"], own)).fetchall()
        return [f"{row['model']} in {row['dimensions']} dimensions" for row in rows]

    async def forget_unused(self) -> None:
        """Forgets vectors, older than a day, of texts that no posting has any more."""
        async with long_connection(self._pool) as connection:
            await connection.execute(_SQL["forget_unused_vectors"])

    async def _ready(self, connection: AsyncConnection[DictRow]) -> int:
        """Returns the set's id, or raises as `require_ready`."""
        own = await self._own(connection)
        if not own["ready"]:
            row = await (await connection.execute(_CORPUS["corpus"], self._embedding)).fetchone()
            raise mismatch(row["ready_sets"] if row else None, **self._embedding)
        return int(own["id"])

    async def _own(self, connection: AsyncConnection[DictRow]) -> DictRow:
        row = await (await connection.execute(_SQL["own_set"], self._embedding)).fetchone()
        assert row is not None  # noqa: S101 - the statement returns the row it wrote
        return row


def mismatch(stored: list[str] | None, *, model: str, dimensions: int) -> EmbeddingMismatchError:
    """The error for postings that another embedding than the configured one was made of."""
    named = " and ".join(stored or [])
    return EmbeddingMismatchError(
        f"The loaded postings were embedded by {named}, but {model} in {dimensions} dimensions is "
        "configured. Set the former again, or run `checkerboard ingest reembed`: the service goes on "
        "with the former until that is done.",
        stored=stored or [],
        configured=[model, dimensions],
    )
