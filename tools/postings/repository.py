"""The store of postings: PostgreSQL with pgvector. What reads it; `posting_writes` is what fills it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.core.database import Pool, Vector
from tools.core.errors import NoPostingsError
from tools.core.sql import queries
from tools.core.text import clean_values, web_address
from tools.postings.contracts import FoundPosting, StoredPosting
from tools.postings.embedding_sets import mismatch

_SQL = queries("postings.sql")
_ID = re.compile(r"p-([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is loaded. `revision` rises with every load, so that an answer can name what it read."""

    postings: int
    revision: int


class PostingStore:
    """Searches postings with the vectors of one embedding (`model` in `dimensions`). Every method takes
    a connection for one statement only, so none is held during a model call."""

    def __init__(self, pool: Pool, *, model: str, dimensions: int) -> None:
        self._pool = pool
        self._embedding: dict[str, Any] = {"model": model, "dimensions": dimensions}

    async def corpus(self) -> Corpus:
        """Returns what is loaded. To be asked before a query is embedded, which costs.

        Raises:
            NoPostingsError: nothing is.
            EmbeddingMismatchError: the postings were embedded by another model or in other dimensions,
                and distances to those would mean nothing.
        """
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["corpus"], self._embedding)).fetchone()
        assert row is not None  # noqa: S101 - the statement returns one row always
        if row["postings"] == 0:
            raise NoPostingsError
        if not row["ready"]:
            raise mismatch(row["ready_sets"], **self._embedding)
        return Corpus(postings=row["postings"], revision=row["revision"])

    async def read_only(self) -> bool:
        """Whether nothing can be written: on a replica, or where it is set so."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["read_only"])).fetchone()
        return bool(row and row["read_only"])

    async def sources(self) -> dict[str, int]:
        """Returns how many postings are loaded of each source."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["sources"])).fetchall()
        return {row["source"]: row["postings"] for row in rows}

    async def nearest(self, vector: Vector, *, k: int) -> list[FoundPosting]:
        """Returns the `k` open postings nearest to `vector` by cosine, nearest first; of
        near-duplicates one.

        The scan is exact, so its recall is 1.
        """
        given = {"vector": np.asarray(vector), "k": k, **self._embedding}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["nearest"], given)).fetchall()
        return [FoundPosting.model_construct(**_shown(row)) for row in rows]

    async def by_ids(self, posting_ids: Sequence[str]) -> dict[str, StoredPosting]:
        """Returns the postings that exist among `posting_ids` (`p-17`), by id, in the order given."""
        numbers = [int(match[1]) for match in map(_ID.fullmatch, posting_ids) if match]
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["by_ids"], {"ids": numbers})).fetchall()
        found = {row["posting_id"]: StoredPosting.model_construct(**_shown(row)) for row in rows}
        return {posting_id: found[posting_id] for posting_id in posting_ids if posting_id in found}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a posting's row as it may be shown. It was validated when it was written, but perhaps by a
    version that cleaned less."""
    return {**clean_values(row), "url": web_address(row["url"])}
