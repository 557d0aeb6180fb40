"""Postings and their vectors in PostgreSQL with pgvector: what searches them, and what writes them.

Vectors are stored by the text they are of, in one set for each embedding (a model in some dimensions). A text
is embedded once, whichever postings have it. While one set serves, another can be filled beside it
(`checkerboard ingest reembed`); it serves from when it is ready.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import orjson
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tools.core.database import Pool, Vector, delete_in_steps, long_connection
from tools.core.errors import EmbeddingMismatchError, NoPostingsError
from tools.core.sql import queries
from tools.core.text import clean, clean_values, web_address
from tools.postings.contracts import TEXT_FIELDS, FoundPosting, Position, Posting, StoredPosting
from tools.postings.near_duplicates import Comparable, bands, same_posting
from tools.postings.normalization import normal_company, normal_skills, normal_title
from tools.postings.question import NEAREST, Question

_FIELDS = tuple(Posting.model_fields)
"""The fields of a posting, each a column of its own name."""
_PLAIN = tuple(name for name in _FIELDS if name not in ("skills", "normalized_skills"))
"""Those that are no lists."""
_COMPARED = ("company", "job_title", *TEXT_FIELDS)
"""The fields by which near-duplicates are told."""
_SQL = queries(
    "postings.sql",
    fields=", ".join(_FIELDS),
    updates=", ".join(f"{name} = excluded.{name}" for name in Position.model_fields),
    one=", ".join(f"p.{name}" for name in _COMPARED),
    other=", ".join(f"o.{name} as other_{name}" for name in _COMPARED),
)
STATEMENT = hashlib.blake2b(_SQL["nearest"].encode(), digest_size=8).hexdigest()
"""Tells searches of one version of the service from those of another."""
_REMEMBERED = 2_048
"""Postings whose cleaned form a process remembers: some 8 MB."""
_UNUSED_AT_ONCE = 10_000
"""Vectors that one statement deletes. Nobody waits for them, and each statement looks through all others."""
LEADERS = 8
"""First hits whose mean vector the others are held against (pseudo relevance feedback)."""
POOL, POOL_FACTOR = 200, 5
"""How many of the first are held against it: so many, and as often as many as are asked for."""
COPIES_FACTOR = 4
"""As often as many as are asked for are looked at for copies of one another."""
SAME_BANDS = 10
"""Of 16, from which two texts are copies: of texts that overlap by .9 (Jaccard) 10.5 are the same, by .8 6.6
(`tools/postings/near_duplicates.py`)."""
_ID = re.compile(r"p-([1-9][0-9]{0,17})")
Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is loaded. `revision` rises with every load, so that an answer can name what it read. `version` is
    another whenever a search might find something else: after every write, and on another day."""

    postings: int
    revision: int
    version: str


@dataclass(frozen=True, slots=True)
class OpenPostings:
    """How many postings one can still apply to, and when the newest of them came in; None where there are
    none."""

    postings: int
    newest: datetime | None


class PostingStore:
    """Searches postings with the vectors of one embedding (`model` in `dimensions`). Every method takes a
    connection for one statement only, so none is held during a model call."""

    def __init__(self, pool: Pool, *, model: str, dimensions: int) -> None:
        self._pool = pool
        self._embedding: dict[str, Any] = {"model": model, "dimensions": dimensions}
        self._found: dict[str, StoredPosting] | None = None

    def for_run(self) -> Self:
        """Returns this store for one run: what it has found in a search is not read again by its id."""
        own = copy.copy(self)
        own._found = {}
        return own

    async def corpus(self) -> Corpus:
        """Returns what is loaded. Call it before a query is embedded, which costs.

        Raises:
            NoPostingsError: nothing is loaded.
            EmbeddingMismatchError: the postings were embedded by another model or in other dimensions.
        """
        async with self._pool.connection() as connection:
            row = await _row(connection, "corpus", self._embedding)
        if row["postings"] == 0:
            raise NoPostingsError
        if not row["ready"]:
            raise _mismatch(row["ready_sets"], **self._embedding)
        return Corpus(row["postings"], row["revision"], row["version"])

    async def open_postings(self) -> OpenPostings:
        """Returns how many open postings there are, and how new the newest is. Counts them all."""
        async with self._pool.connection() as connection:
            row = await _row(connection, "count_open")
        return OpenPostings(postings=row["postings"], newest=row["newest"])

    async def read_only(self) -> bool:
        """Whether nothing can be written: on a replica, or where it is set so."""
        async with self._pool.connection() as connection:
            return bool((await _row(connection, "read_only"))["read_only"])

    async def sources(self) -> dict[str, int]:
        """Returns the number of loaded postings by source."""
        async with self._pool.connection() as connection:
            return await posting_sources(connection)

    async def nearest(self, vector: Vector, *, k: int, question: Question = NEAREST) -> list[FoundPosting]:
        """Returns the `k` postings that come first, by `question`: without one, by cosine, open ones, and one
        of near-duplicates. With fewer than `k` of different companies and texts, more of the same fill up.
        The scan is exact, so its recall is 1."""
        weights, filters = question.weights, question.filters
        parameters = {
            "vector": np.asarray(vector),
            "k": k,
            "terms": question.terms,
            "families": list(question.families),
            "near": list(question.near),
            "inside": None if question.inside is None else list(question.inside),
            "dense": weights.dense,
            "lexical": weights.lexical,
            "family": weights.family,
            "feedback": weights.feedback,
            "only_open": filters.only_open,
            "places": _texts(filters.places),
            "employment": _texts(filters.employment),
            "years": filters.years,
            "leaders": LEADERS,
            "pool": max(POOL, POOL_FACTOR * k),
            "looked_at": COPIES_FACTOR * k,
            "same_bands": SAME_BANDS,
            "most_of_a_company": question.most_of_a_company,
            "explained": question.named_places is not None,
            **self._embedding,
        }
        async with self._pool.connection() as connection:
            rows = await _rows(connection, "nearest", parameters)
        found = [_found(row, question.named_places or {}) for row in rows]
        if self._found is not None:
            self._found.update((posting.posting_id, posting) for posting in found)
        return found

    async def by_ids(self, posting_ids: Sequence[str]) -> dict[str, StoredPosting]:
        """Returns the postings that exist among `posting_ids` (`p-17`), by id, in the order of
        `posting_ids`."""
        postings = dict(self._found or {})
        unread = (posting_id for posting_id in posting_ids if posting_id not in postings)
        numbers = [int(match[1]) for match in map(_ID.fullmatch, unread) if match]
        if numbers:
            async with self._pool.connection() as connection:
                rows = await _rows(connection, "by_ids", {"ids": numbers})
            postings.update((row["posting_id"], _posting(row)) for row in rows)
            if self._found is not None:
                self._found = postings
        return {posting_id: postings[posting_id] for posting_id in posting_ids if posting_id in postings}


class EmbeddingSet:
    """The vectors of one embedding. The first set of a database is ready from its beginning."""

    def __init__(self, pool: Pool, *, model: str, dimensions: int) -> None:
        self._pool = pool
        self._embedding: dict[str, Any] = {"model": model, "dimensions": dimensions}

    async def require_ready(self) -> None:
        """Refuses to load beside postings of another embedding. Call it before anything is paid for.

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
            parameters = {"set_id": await self._ready(connection), "hashes": list(by_hash)}
            embedded = {row["text_hash"] for row in await _rows(connection, "embedded", parameters)}
        return [posting for key, posting in by_hash.items() if key not in embedded]

    async def ready(self) -> bool:
        """Whether the set can serve: it is ready, or would be the first of its database. Only reads."""
        async with self._pool.connection() as connection:
            corpus = await _row(connection, "corpus", self._embedding)
        return bool(corpus["ready"] or not corpus["ready_sets"])

    async def is_ready(self) -> bool:
        """Whether the set serves."""
        async with self._pool.connection() as connection:
            return bool((await self._own(connection))["ready"])

    async def save(self, postings: Sequence[Posting], vectors: Sequence[Vector]) -> None:
        """Stores the vectors of the texts of `postings`.

        Raises:
            ValueError: a vector has other dimensions, or there are not as many as postings.
        """
        if any(len(vector) != self._embedding["dimensions"] for vector in vectors):
            raise ValueError(f"a vector has other than {self._embedding['dimensions']} dimensions")
        async with long_connection(self._pool) as connection, connection.transaction():
            set_id = (await self._own(connection))["id"]
            rows = [
                {"set_id": set_id, "text_hash": text_hash(posting), "vector": np.asarray(vector)}
                for posting, vector in zip(postings, vectors, strict=True)
            ]
            await connection.cursor().executemany(_SQL["save_vector"], rows)

    async def lacking_of_all(self, *, after: int, count: int) -> list[tuple[int, Posting]]:
        """Returns up to `count` stored postings with a number above `after` that have no vector yet, with
        their numbers, in the order of these."""
        async with long_connection(self._pool) as connection:
            parameters = {"set_id": (await self._own(connection))["id"], "after": after, "count": count}
            rows = await _rows(connection, "not_embedded", parameters)
        return [(row["id"], Posting.model_construct(**row)) for row in rows]

    async def finish(self) -> int:
        """Makes the set ready when every posting has a vector; returns the number of those that have none."""
        async with long_connection(self._pool) as connection, connection.transaction():
            own = {"set_id": (await self._own(connection))["id"]}
            # Its row lock keeps writers out, so that none adds a posting between count and readiness.
            await connection.execute(_SQL["raise_revision"])
            lacking = int((await _row(connection, "count_not_embedded", own))["postings"])
            if not lacking:
                await connection.execute(_SQL["set_ready"], own)
        return lacking

    async def drop_others(self) -> list[str]:
        """Deletes the vectors of every other embedding and returns the names of these. Workers that are
        configured for one of them can search no more."""
        async with long_connection(self._pool) as connection:
            own = {"set_id": (await self._own(connection))["id"]}
            rows = await _rows(connection, "drop_other_sets", own)
        return [f"{row['model']} in {row['dimensions']} dimensions" for row in rows]

    async def _ready(self, connection: Connection) -> int:
        """Returns the set's id. Raises as `require_ready`."""
        own = await self._own(connection)
        if not own["ready"]:
            corpus = await _row(connection, "corpus", self._embedding)
            raise _mismatch(corpus["ready_sets"], **self._embedding)
        return int(own["id"])

    async def _own(self, connection: Connection) -> DictRow:
        return await _row(connection, "own_set", self._embedding)


class PostingWriter:
    """Writes postings. Their vectors are stored by `EmbeddingSet`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def upsert(self, postings: Sequence[Posting]) -> int:
        """Writes postings in one transaction, by (source, source_id, position); of two with one key the last
        counts. What has not changed is not touched, and positions that a document has no more are withdrawn.
        Near-duplicates are linked.

        Returns the corpus's new revision.
        """
        last = {(posting.source, posting.source_id, posting.position): posting for posting in postings}
        rows = await asyncio.to_thread(lambda: [_stored(posting) for posting in last.values()])
        async with long_connection(self._pool) as connection, connection.transaction():
            # First, because its row lock lets one writer at a time go on.
            revision = await _row(connection, "raise_revision")
            await connection.execute(_SQL["stage_table"])
            async with connection.cursor().copy(_SQL["stage"]) as copy:
                for ordinal, row in enumerate(rows):
                    await copy.write_row([ordinal, *row])
            written = await _rows(connection, "upsert_staged")
            await connection.execute(_SQL["withdraw_other_positions"])
            await link_duplicates(connection, [row["id"] for row in written])
        return int(revision["revision"])

    async def outdated(self, count: int) -> dict[int, Posting]:
        """Returns up to `count` postings that an earlier version wrote without normalizing them, by number:
        as they are to be, for `renew`."""
        async with long_connection(self._pool) as connection:
            rows = await _rows(connection, "outdated", {"count": count})
        return {row["id"]: _posting(row) for row in rows}

    async def renew(self, outdated: Mapping[int, Posting]) -> None:
        """Writes what was normalized, and the hash of the text that is searched; its vector has to be there.
        A posting that was loaded anew meanwhile is as it was loaded."""
        changes = [
            {
                "id": number,
                "normalized_title": posting.normalized_title,
                "normalized_company": posting.normalized_company,
                "normalized_skills": posting.normalized_skills,
                "content_hash": _content_hash(posting),
                "text_hash": text_hash(posting),
            }
            for number, posting in outdated.items()
        ]
        async with long_connection(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["raise_revision"])
            await connection.cursor().executemany(_SQL["renew"], changes)


async def raise_revision(connection: Connection) -> None:
    """Says that a search may find something else from now on."""
    await connection.execute(_SQL["raise_revision"])


async def posting_sources(connection: Connection) -> dict[str, int]:
    """Returns the number of loaded postings by source."""
    return {row["source"]: row["postings"] for row in await _rows(connection, "sources")}


async def count_outdated(connection: Connection) -> int:
    """Returns the number of postings that `PostingWriter.outdated` would return."""
    return int((await _row(connection, "count_outdated"))["postings"])


async def withdraw_postings(connection: Connection, source: str, source_ids: Sequence[str]) -> int:
    """Takes the postings of documents out of retrieval; they stay stored. Returns how many there were. Part
    of the caller's transaction, which marks the documents."""
    # First, as in `upsert`: two that lock in one order do not wait for each other.
    await connection.execute(_SQL["raise_revision"])
    parameters = {"source": source, "source_ids": list(source_ids)}
    return (await connection.execute(_SQL["withdraw"], parameters)).rowcount


async def remove_postings(connection: Connection, source: str) -> int:
    """Deletes the postings of a source. What was linked to them as a duplicate is linked anew. Returns how
    many there were. Part of the caller's transaction, which deletes the documents."""
    await connection.execute(_SQL["raise_revision"])
    orphans = await _rows(connection, "orphans", {"source": source})
    count = (await connection.execute(_SQL["remove"], {"source": source})).rowcount
    await link_duplicates(connection, [row["id"] for row in orphans])
    return count


async def forget_unused_vectors(pool: Pool) -> int:
    """Deletes vectors, and terms, older than a day, of texts that no posting has any more. Returns how many
    vectors there were."""
    async with long_connection(pool) as connection:
        vectors = await delete_in_steps(connection, _SQL["forget_unused_vectors"], at_once=_UNUSED_AT_ONCE)
        await delete_in_steps(connection, _SQL["forget_unused_terms"], at_once=_UNUSED_AT_ONCE)
    return vectors


def text_hash(posting: Posting) -> str:
    """Returns a hash of the text that is embedded."""
    # It tells texts apart, it protects nothing. The column's migration computed it in the same way.
    return hashlib.md5(posting.search_text().encode(), usedforsecurity=False).hexdigest()


async def _rows(
    connection: Connection, query: str, parameters: dict[str, Any] | None = None
) -> list[DictRow]:
    return await (await connection.execute(_SQL[query], parameters)).fetchall()


async def _row(connection: Connection, query: str, parameters: dict[str, Any] | None = None) -> DictRow:
    """Returns the row of a statement that returns one always."""
    [row] = await _rows(connection, query, parameters)
    return row


def _posting(row: DictRow) -> StoredPosting:
    """Returns a posting's row as it may be shown."""
    normalized = row["normalized_skills"]
    lists = (tuple(row["skills"]), None if normalized is None else tuple(normalized))
    return _shown(row["posting_id"], tuple(map(row.__getitem__, _PLAIN)), lists)


@functools.lru_cache(maxsize=_REMEMBERED)
def _shown(
    posting_id: str, plain: tuple[Any, ...], lists: tuple[tuple[str, ...], tuple[str, ...] | None]
) -> StoredPosting:
    """Returns a posting of its `_PLAIN` fields and its skills, literal and normalized. They were validated
    when they were written, but perhaps by an earlier version that cleaned less, and normalized nothing.
    Searches return the same postings again and again, and to look through their texts costs more than to find
    them: so it is remembered by what they say."""
    skills, normalized = lists
    fields = {**dict(zip(_PLAIN, plain, strict=True)), "skills": skills, "normalized_skills": normalized}
    cleaned = {**clean_values(fields), "url": web_address(fields["url"])}
    if cleaned["normalized_title"] is None:
        text = "\n".join(cleaned[name] for name in ("job_title", *TEXT_FIELDS))
        cleaned |= {
            "normalized_title": normal_title(cleaned["job_title"], cleaned["company"]),
            "normalized_company": normal_company(cleaned["company"]),
            "normalized_skills": normal_skills(cleaned["skills"], text),
        }
    return StoredPosting.model_construct(posting_id=posting_id, **cleaned)


def _found(row: DictRow, named_places: Mapping[int, str]) -> FoundPosting:
    listed = row["terms"] or ""
    places = {int(pair.partition(":")[0]) for pair in listed[1 : listed.find("}")].split(",") if pair}
    return FoundPosting.model_construct(
        **_posting(row).__dict__,
        score=row["score"],
        fused=row["fused"],
        families=row["families"],
        dense_rank=row["dense_rank"],
        lexical_rank=row["lexical_rank"],
        terms=[term for place, term in named_places.items() if place in places],
        capped=row["capped"],
    )


def _texts(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _mismatch(stored: list[str] | None, *, model: str, dimensions: int) -> EmbeddingMismatchError:
    return EmbeddingMismatchError(
        f"The loaded postings were embedded by {' and '.join(stored or [])}, but {model} in {dimensions} "
        "dimensions is configured. Set the former again, or run `checkerboard ingest reembed`: the service "
        "goes on with the former until that is done.",
        stored=stored or [],
        configured=[model, dimensions],
    )


async def link_duplicates(connection: Connection, written: list[int]) -> None:
    """Links postings that were written, and what was linked to them, to those that they are duplicates of.
    Part of the caller's transaction, which has raised the revision."""
    unlinked = [row["id"] for row in await _rows(connection, "unlink", {"ids": written})]
    await connection.execute(_SQL["by_index"])
    candidates = await _rows(connection, "alike", {"ids": unlinked})
    links = await asyncio.to_thread(_links, candidates, set(unlinked))
    for root in set(links.values()):
        members = [member for member, own in links.items() if own == root]
        await connection.execute(_SQL["link"], {"root": root, "ids": members})


def _links(candidates: Sequence[DictRow], unlinked: set[int]) -> dict[int, int]:
    """Returns for each duplicate its root: the first posting that it is the same as and that is no duplicate
    itself. `candidates` are the pairs to compare, by number; the postings `unlinked` have no link now."""
    links: dict[int, int] = {}
    for row in candidates:
        one, other = row["id"], row["other_id"]
        same = one not in links and other not in links and not row["other_root"]
        if same and same_posting(_comparable(row, ""), _comparable(row, "other_")):
            if other < one:
                links[one] = other
            elif other not in unlinked:
                links[other] = one
    return links


def _comparable(row: DictRow, prefix: str) -> Comparable:
    # Cleaned, because an earlier version may have written one of the two.
    company, job_title, *texts = (clean(row[f"{prefix}{name}"]) for name in _COMPARED)
    return Comparable(company, job_title, "\n".join(texts))


def _stored(posting: Posting) -> list[Any]:
    fields = [getattr(posting, name) for name in _FIELDS]
    texts = "\n".join(getattr(posting, name) for name in TEXT_FIELDS)
    return [*fields, _content_hash(posting), text_hash(posting), bands(texts)]


def _content_hash(posting: Posting) -> str:
    fields = [getattr(posting, name) for name in _FIELDS]
    return hashlib.blake2b(orjson.dumps(fields), digest_size=16).hexdigest()
