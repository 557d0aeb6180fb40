"""The state of every document, in PostgreSQL: how far it has come, what it cost, why it was set aside."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import psycopg
from psycopg.types.json import Jsonb

from ingest.documents import Collected, Cost, Hints, Listed, Parsed, Tagged
from ingest.raw import RawFiles
from tools.core.database import Pool, unhurried
from tools.core.errors import StoreUnavailableError
from tools.core.logs import cause
from tools.core.postgres import Connection, connected
from tools.core.sql import queries
from tools.core.text import cleaned
from tools.postings.writer import withdraw

_SQL = queries("documents.sql")
logger = logging.getLogger(__name__)
_GUARD_SECONDS = 5.0
_RUN_LOCK = 0x1_6E57
"""First key of the advisory lock of a run; the second is the run's number."""

Stage = Literal["collected", "parsed", "tagged", "embedded", "loaded"]
STAGES: tuple[Stage, ...] = ("collected", "parsed", "tagged", "embedded", "loaded")
"""The stages a document has reached, in order."""


@dataclass(slots=True)
class Document:
    """A document that a run works on."""

    id: int
    source: str
    source_id: str
    content_hash: str
    files: list[dict[str, Any]]
    hints: Hints
    stage: Stage
    attempts: int
    """Of the stage that comes next; those before it had as many as they needed."""
    parsed: Parsed | None
    tagged: Tagged | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents a run is for: those at `stages`, of `ids` where any are given."""

    stages: tuple[Stage, ...]
    ids: tuple[int, ...] = ()
    in_batches: bool = False
    """Those too whose tags were asked for in a batch; else they wait for that."""

    def parameters(self) -> dict[str, Any]:
        """As parameters of a statement."""
        return {"stages": list(self.stages), "ids": list(self.ids), "in_batches": self.in_batches}


class DocumentStore:
    """What one run sees of the documents.

    A document is claimed by the run that works on it. The run holds an advisory lock on a connection
    of its own, and a claim counts as long as that lock is held: when a run is killed, its connection
    ends, and with it its claims, at once.
    """

    def __init__(self, pool: Pool, raw: RawFiles, run: int, held: Connection) -> None:
        self._pool = pool
        self._raw = raw
        self._held = held
        self.run = run

    async def guard(self) -> None:
        """Looks every few seconds whether the connection that holds the run's lock is there; does not
        return.

        Raises:
            StoreUnavailableError: it is not, so the run's claims are nobody's any more.
        """
        while True:
            await asyncio.sleep(_GUARD_SECONDS)
            try:
                await self._held.execute("select 1")
            except psycopg.Error as error:
                raise StoreUnavailableError(
                    "The connection to PostgreSQL that holds this run's claims is gone. Run it again: it "
                    "goes on where it was."
                ) from error

    async def collect(self, collected: Collected) -> Literal["new", "changed", "unchanged"]:
        """Keeps a document and its files. One that is known and has not changed is left as it is."""
        files = await self._raw.keep(collected.files)
        hints = collected.hints.model_dump(mode="json")
        given = {
            **cleaned(
                {"source": collected.source, "source_id": collected.source_id, "scope": collected.scope}
            ),
            "content_hash": _content_hash([file["hash"] for file in files], hints),
            "files": Jsonb(files),
            "hints": Jsonb(hints),
            "provenance": Jsonb(cleaned(dict(collected.provenance))),
        }
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["collect"], given)).fetchone()
        return "unchanged" if row is None else "new" if row["is_new"] else "changed"

    async def withdraw(self, listed: Listed) -> int:
        """Withdraws what a listing does not name any more, documents and postings together; returns the
        number of postings."""
        given = cleaned(
            {"source": listed.source, "scope": listed.scope, "source_ids": list(listed.source_ids)}
        )
        async with self._pool.connection() as connection, connection.transaction():
            rows = await (await connection.execute(_SQL["withdraw"], given)).fetchall()
            return (
                await withdraw(connection, given["source"], [row["source_id"] for row in rows]) if rows else 0
            )

    async def settle(self, document: Document) -> None:
        """Withdraws the postings of a document that was withdrawn while it was being loaded."""
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(_SQL["is_withdrawn"], {"id": document.id})).fetchone()
            if row is not None and row["withdrawn"]:
                await withdraw(connection, document.source, [document.source_id])

    async def settle_all(self) -> None:
        """As `settle`, for what a run left behind that was killed in that moment."""
        async with unhurried(self._pool) as connection:
            await connection.execute(_SQL["withdraw_leftovers"])

    async def claim(self, wanted: Wanted, count: int) -> list[Document]:
        """Takes up to `count` of the wanted documents that are due."""
        given = {"run": self.run, "key": _RUN_LOCK, "count": count, **wanted.parameters()}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["claim"], given)).fetchall()
        return [_document(row) for row in rows]

    async def next_due(self, wanted: Wanted) -> float | None:
        """Returns the seconds until the first of the wanted documents that are in no run's hands may be
        tried; not positive: now; None: there is none."""
        given = {"key": _RUN_LOCK, **wanted.parameters()}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["next_due"], given)).fetchone()
        return None if row is None else float(row["due_in"].total_seconds())

    async def advance(
        self, document: Document, stage: Stage, cost: Cost, flags: list[str] | None, *, last: bool
    ) -> bool:
        """Keeps what a stage has made, and what it cost; after the `last` stage of this run the document
        is given back. False: it has changed at its source meanwhile, and begins anew."""
        given = {
            "id": document.id,
            "content_hash": document.content_hash,
            "run": self.run,
            "stage": stage,
            "parsed": _jsonb(document.parsed) if stage == "parsed" else None,
            "tagged": _jsonb(document.tagged) if stage == "tagged" else None,
            "flags": flags,
            "last": last,
            **cost.model_dump(),
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL["advance"], given)
        document.stage, document.attempts = stage, 0
        return cursor.rowcount == 1

    async def fail(
        self, document: Document, error: dict[str, Any], cost: Cost, *, final: bool, retry_in_seconds: float
    ) -> None:
        """Counts an attempt and what it cost; sets the document aside when it was the last."""
        given = {
            "id": document.id,
            "content_hash": document.content_hash,
            "run": self.run,
            "error": Jsonb(cleaned(error)),
            "final": final,
            "seconds": retry_in_seconds,
            **cost.model_dump(),
        }
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["fail"], given)

    async def keep_batch(self, ids: Sequence[int], batch_id: str) -> None:
        """Keeps the batch in which documents were sent to be tagged, and gives them back."""
        given = {"ids": list(ids), "batch_id": batch_id, "run": self.run}
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["keep_batch"], given)

    async def give_back(self, ids: Sequence[int]) -> None:
        """Lets go of documents that this run has claimed."""
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["give_back"], {"ids": list(ids), "run": self.run})

    async def structured(self) -> list[int]:
        """Returns the ids of documents to be tagged that are structured already."""
        return await self._ids("structured")

    async def unsent(self) -> list[int]:
        """Returns the ids of documents to be tagged that are in no batch."""
        return await self._ids("unsent")

    async def sent(self) -> list[tuple[str, list[int]]]:
        """Returns the batches that documents wait for, with the ids of these."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["sent"])).fetchall()
        return [(row["batch_id"], row["ids"]) for row in rows]

    async def forget_batch(self, batch_id: str) -> None:
        """Forgets a batch that has failed: its documents are in none again."""
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["forget_batch"], {"batch_id": batch_id})

    async def unfinished(self) -> list[int]:
        """Returns the ids of all documents that are neither loaded nor set aside."""
        return await self._ids("unfinished")

    async def count_set_aside(self, ids: Sequence[int]) -> int:
        """Returns how many of these documents are set aside."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["count_set_aside"], {"ids": list(ids)})).fetchone()
        return int(row["documents"]) if row else 0

    async def _ids(self, query: str) -> list[int]:
        async with self._pool.connection() as connection:
            return [row["id"] for row in await (await connection.execute(_SQL[query])).fetchall()]

    async def revive(self) -> int:
        """Makes due again what was set aside for a reason that passes, such as a provider's outage."""
        async with unhurried(self._pool) as connection:
            return (await connection.execute(_SQL["revive"])).rowcount


@asynccontextmanager
async def open_store(database_url: str, pool: Pool, raw: RawFiles) -> AsyncIterator[DocumentStore]:
    """Yields the store of a new run; gives its claims back at the end.

    Raises:
        SetupError: PostgreSQL gives no connection.
    """
    async with pool.connection() as connection:
        row = await (await connection.execute(_SQL["next_run"])).fetchone()
    assert row is not None  # noqa: S101 - a sequence has a next value
    run = int(row["run"])
    async with await connected(database_url) as held:
        # Held by a transaction, which a pooler leaves on one connection. It has read nothing and written
        # nothing, so that it keeps no row from being vacuumed.
        await held.execute("begin")
        await held.execute(_SQL["stay"])
        await held.execute(_SQL["hold_run"], {"key": _RUN_LOCK, "run": run})
        try:
            yield DocumentStore(pool, raw, run, held)
        finally:
            try:
                async with pool.connection() as connection:
                    await connection.execute(_SQL["release"], {"run": run})
                await held.execute("commit")
            except psycopg.Error as error:
                # Its claims end with the connection all the same.
                logger.warning("the run's connection is gone", extra={"cause": cause(error)})


def _content_hash(files: list[str], hints: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps([files, hints])).hexdigest()


def _document(row: dict[str, Any]) -> Document:
    given = {
        **row,
        "hints": Hints.model_validate(row["hints"]),
        "parsed": row["parsed"] and Parsed.model_validate(row["parsed"]),
        "tagged": row["tagged"] and Tagged.model_validate(row["tagged"]),
    }
    return Document(**given)


def _jsonb(value: Parsed | Tagged | None) -> Jsonb | None:
    return None if value is None else Jsonb(value.model_dump(mode="json"))
