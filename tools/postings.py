"""The store of postings: PostgreSQL with pgvector."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.contracts import FoundPosting, Posting, StoredPosting
from tools.database import Pool
from tools.embeddings import Vector
from tools.errors import EmbeddingMismatchError, NoPostingsError
from tools.sql import queries

_SQL = queries("postings.sql")
_ID = re.compile(r"p-([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is loaded. `revision` rises with every load, so that an answer can name what it read."""

    postings: int
    embedding_model: str
    embedding_dimensions: int
    revision: int

    def require(self, model: str, dimensions: int) -> None:
        """Refuses another embedding than the corpus's own: distances to it would mean nothing.

        Raises:
            EmbeddingMismatchError: `model` or `dimensions` differ.
        """
        if (self.embedding_model, self.embedding_dimensions) != (model, dimensions):
            raise EmbeddingMismatchError(
                f"The loaded postings were embedded by {self.embedding_model} in "
                f"{self.embedding_dimensions} dimensions, but {model} in {dimensions} is configured. "
                "Set the former again, or load the postings into an empty database.",
                stored=[self.embedding_model, self.embedding_dimensions],
                configured=[model, dimensions],
            )


class PostingStore:
    """Searches and keeps postings. Every method takes a connection for one statement or one
    transaction only, so none is held during a model call."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def corpus(self) -> Corpus:
        """Returns what is loaded.

        Raises:
            NoPostingsError: nothing is.
        """
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["corpus"])).fetchone()
        if row is None or row["postings"] == 0:
            raise NoPostingsError
        return Corpus(**row)

    async def sources(self) -> dict[str, int]:
        """Returns how many postings are loaded of each source."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["sources"])).fetchall()
        return {row["source"]: row["postings"] for row in rows}

    async def nearest(self, vector: Vector, *, k: int) -> list[FoundPosting]:
        """Returns the `k` open postings nearest to `vector` by cosine, nearest first.

        The scan is exact, so its recall is 1. Whether `vector` is of the corpus's kind is asked
        before it is made: `Corpus.require`.
        """
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL["nearest"], {"vector": np.asarray(vector), "k": k})
            rows = await cursor.fetchall()
        return [FoundPosting.model_construct(**row) for row in rows]

    async def by_ids(self, posting_ids: Sequence[str]) -> dict[str, StoredPosting]:
        """Returns the postings that exist among `posting_ids` (`p-17`), by id, in the order given."""
        numbers = [int(match[1]) for match in map(_ID.fullmatch, posting_ids) if match]
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["by_ids"], {"ids": numbers})).fetchall()
        # Rows were validated when they were written.
        found = {row["posting_id"]: StoredPosting.model_construct(**row) for row in rows}
        return {posting_id: found[posting_id] for posting_id in posting_ids if posting_id in found}

    async def upsert(self, postings: Sequence[Posting], vectors: Sequence[Vector], *, model: str) -> int:
        """Writes postings with their embeddings in one transaction, by (source, source_id).

        Returns the corpus's new revision.

        Raises:
            EmbeddingMismatchError: the corpus was embedded by another model or in other dimensions.
            ValueError: the vectors are not all of one length, or not as many as the postings.
        """
        if len({len(vector) for vector in vectors}) != 1:
            raise ValueError("the vectors of one batch have one length")
        rows = [
            {**posting.model_dump(), "embedding": np.asarray(vector)}
            for posting, vector in zip(postings, vectors, strict=True)
        ]
        dimensions = len(vectors[0])
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                _SQL["raise_revision"], {"model": model, "dimensions": dimensions}
            )
            row = await cursor.fetchone()
            assert row is not None  # noqa: S101 - the statement returns the row it wrote
            corpus = Corpus(postings=len(rows), **row)
            corpus.require(model, dimensions)
            await connection.cursor().executemany(_SQL["upsert_posting"], rows)
        return corpus.revision
