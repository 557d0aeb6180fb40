"""What fills the store of postings: COPY, upsert, and links between near-duplicates."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tools.core.database import Pool, long_connection
from tools.core.sql import queries
from tools.core.text import clean
from tools.postings.contracts import Posting
from tools.postings.embedding_sets import text_hash
from tools.postings.near_duplicates import Face, bands, same_posting

_SQL = queries("posting_writes.sql")
_CORPUS = queries("postings.sql")
_FIELDS = (
    "source", "source_id", "position", "company", "job_title", "responsibilities", "requirements",
    "preferred", "url", "deadline", "location", "employment_type", "experience", "skills",
)  # fmt: skip
_COMPARED = ("company", "job_title", "responsibilities", "requirements", "preferred")


class PostingWriter:
    """Writes postings. Their vectors are found by their text (`tools.postings.embedding_sets`)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def upsert(self, postings: Sequence[Posting]) -> int:
        """Writes postings in one transaction, by (source, source_id, position); of two with one key the
        last counts. What has not changed is not touched, and positions that a document has no more are
        withdrawn. Near-duplicates are linked.

        Returns the corpus's new revision.
        """
        last = {(posting.source, posting.source_id, posting.position): posting for posting in postings}
        rows = await asyncio.to_thread(lambda: [_row(posting) for posting in last.values()])
        async with long_connection(self._pool) as connection, connection.transaction():
            # First, because its row lock lets one writer at a time go on.
            revision = await (await connection.execute(_CORPUS["raise_revision"])).fetchone()
            assert revision is not None  # noqa: S101 - the statement returns the row it wrote
            await connection.execute(_SQL["stage_table"])
            async with connection.cursor().copy(_SQL["stage"]) as copy:
                for ordinal, row in enumerate(rows):
                    await copy.write_row([ordinal, *row])
            written = await (await connection.execute(_SQL["upsert_staged"])).fetchall()
            await connection.execute(_SQL["withdraw_other_positions"])
            await _link(connection, [row["id"] for row in written])
        return int(revision["revision"])


async def withdraw(connection: AsyncConnection[DictRow], source: str, source_ids: Sequence[str]) -> int:
    """Takes the postings of documents out of retrieval; they are kept. Returns how many there were. Part
    of the caller's transaction, which marks the documents."""
    # First, as in `upsert`: two that lock in one order do not wait for each other.
    await connection.execute(_CORPUS["raise_revision"])
    given = {"source": source, "source_ids": list(source_ids)}
    return (await connection.execute(_SQL["withdraw"], given)).rowcount


async def remove(connection: AsyncConnection[DictRow], source: str) -> int:
    """Deletes the postings of a source; what were duplicates of them stand for themselves, or for each
    other. Returns how many there were. Part of the caller's transaction, which forgets the documents."""
    await connection.execute(_CORPUS["raise_revision"])
    orphans = await (await connection.execute(_SQL["orphans"], {"source": source})).fetchall()
    count = (await connection.execute(_SQL["remove"], {"source": source})).rowcount
    await _link(connection, [row["id"] for row in orphans])
    return count


async def _link(connection: AsyncConnection[DictRow], written: list[int]) -> None:
    """Links anew what was written and what was linked to it."""
    rows = await (await connection.execute(_SQL["unlink"], {"ids": written})).fetchall()
    ids = {"ids": [row["id"] for row in rows]}
    await connection.execute(_SQL["by_index"])
    candidates = await (await connection.execute(_SQL["alike"], ids)).fetchall()
    links = await asyncio.to_thread(_links, candidates, {row["id"] for row in rows})
    for root in set(links.values()):
        members = [member for member, own in links.items() if own == root]
        await connection.execute(_SQL["link"], {"root": root, "ids": members})


def _links(candidates: Sequence[DictRow], anew: set[int]) -> dict[int, int]:
    """Returns what each posting is a duplicate of: the first that it is itself the same as and that is no
    duplicate. `candidates` are the pairs to look at, by number; the postings `anew` have no link now."""
    links: dict[int, int] = {}
    for row in candidates:
        one, other = row["id"], row["other_id"]
        if one in links or other in links or row["other_root"] or not _same(row):
            continue
        if other < one:
            links[one] = other
        elif other not in anew:
            links[other] = one
    return links


def _same(row: DictRow) -> bool:
    return same_posting(_face(row, ""), _face(row, "other_"))


def _face(row: Mapping[str, Any], prefix: str) -> Face:
    # Cleaned, because an earlier version may have written one of the two.
    text = "\n".join(
        clean(row[f"{prefix}{name}"]) for name in ("responsibilities", "requirements", "preferred")
    )
    return Face(clean(row[f"{prefix}company"]), clean(row[f"{prefix}job_title"]), text)


def _row(posting: Posting) -> list[Any]:
    fields = [getattr(posting, name) for name in _FIELDS]
    content = hashlib.blake2b(orjson.dumps(fields), digest_size=16).hexdigest()
    text = "\n".join((posting.responsibilities, posting.requirements, posting.preferred))
    return [*fields, content, text_hash(posting), bands(text)]
