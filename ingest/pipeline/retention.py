"""How long what ingest has gathered is kept: withdrawn postings and their documents, vectors that no posting
has, answers of models, raw files. `checkerboard prune` is the command.

Everything goes in steps, each a short transaction: loads, runs and searches go on meanwhile, two clean-ups do
each other no harm, and one that is stopped goes on where it was. Postings are deleted before their documents,
and both before the files, so that nothing names what is gone already.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ingest.pipeline.store import PostgresJournal, RawFiles
from tools.core.database import DELETED_AT_ONCE, Pool, delete_in_steps, long_connection
from tools.core.sql import queries
from tools.postings.repository import forget_unused_vectors, link_duplicates, raise_revision

_SQL = queries("retention.sql")


@dataclass(frozen=True, slots=True)
class Ages:
    """How old something has to be to be deleted, in days."""

    withdrawn: int
    """Postings and documents, since they were withdrawn."""
    answers: int
    """Answers of models and parsers, since they came."""
    raw: int
    """Raw files that no stage has to read any more, since they were last saved."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """How much of each kind was deleted, or would be."""

    postings: int
    documents: int
    vectors: int
    answers: int
    raw_files: int


async def prune(pool: Pool, raw: RawFiles, ages: Ages) -> Gathered:
    """Deletes what is older than `ages`. psycopg's errors are raised as they are: what was deleted until then
    is gone, and the next clean-up goes on there.

    Raises:
        OSError: a raw file cannot be deleted.
    """
    postings = await _delete_postings(pool, ages.withdrawn)
    async with long_connection(pool) as connection:
        documents = await delete_in_steps(connection, _SQL["delete_documents"], days=ages.withdrawn)
    return Gathered(
        postings=postings,
        documents=documents,
        vectors=await forget_unused_vectors(pool),
        answers=await PostgresJournal(pool).forget_old(ages.answers),
        raw_files=await _raw_files(pool, raw, ages.raw, dry_run=False),
    )


async def count(pool: Pool, raw: RawFiles, ages: Ages) -> Gathered:
    """Returns what `prune` would delete now."""
    parameters = {"withdrawn_days": ages.withdrawn, "answers_days": ages.answers}
    async with long_connection(pool) as connection:
        [row] = await (await connection.execute(_SQL["to_delete"], parameters)).fetchall()
    return Gathered(**row, raw_files=await _raw_files(pool, raw, ages.raw, dry_run=True))


async def _delete_postings(pool: Pool, days: int) -> int:
    """What was linked to them as a duplicate is linked anew."""
    deleted = after = 0
    while True:
        limits = {"after": after, "days": days, "count": DELETED_AT_ONCE}
        async with long_connection(pool) as connection, connection.transaction():
            found = await (await connection.execute(_SQL["withdrawn_postings"], limits)).fetchall()
            if not found:
                return deleted
            ids = [row["id"] for row in found]
            # Its row lock lets one writer at a time go on: those that load wait for this step.
            await raise_revision(connection)
            linked = await (await connection.execute(_SQL["linked_to"], {"ids": ids})).fetchall()
            gone = await connection.execute(_SQL["delete_postings"], {"ids": ids, "days": days})
            await link_duplicates(connection, [row["id"] for row in linked])
        deleted += gone.rowcount
        after = ids[-1]


async def _raw_files(pool: Pool, raw: RawFiles, days: int, *, dry_run: bool) -> int:
    async with long_connection(pool) as connection:
        rows = await (await connection.execute(_SQL["unread_files"])).fetchall()
    unread = {row["hash"] for row in rows}
    return await asyncio.to_thread(raw.delete_old, days, unread, dry_run=dry_run)
