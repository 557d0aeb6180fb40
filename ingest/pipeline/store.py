"""What a run keeps: the state of every document, its raw files, the response journal, and the log of fetches.

All of it is in PostgreSQL but the raw files, which are in a folder by the hash of their content.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import orjson
import psycopg
from psycopg.types.json import Jsonb

from ingest.documents import Collected, Cost, Hints, Listed, Parsed, RawFile, Tagged
from ingest.errors import DocumentUnreadableError
from ingest.sources.web import Fetch
from tools.core.database import Connection, Pool, connect, delete_in_steps, long_connection
from tools.core.errors import InvalidRequestError, StoreUnavailableError
from tools.core.logs import cause
from tools.core.settings import Settings
from tools.core.sql import queries
from tools.core.text import clean_values
from tools.postings.repository import (
    count_outdated,
    posting_sources,
    remove_postings,
    withdraw_postings,
)

_SQL = queries("documents.sql")
logger = logging.getLogger(__name__)
_GUARD_SECONDS = 5.0
_RUN_LOCK = 0x1_6E57
"""First key of the advisory lock of a run; the second is the run's number."""
_DAY_SECONDS = 24 * 60 * 60
_JOURNAL_DAYS = 7
"""A document that is tried again within this time is not paid for again, even by another run."""

Stage = Literal["collected", "parsed", "tagged", "embedded", "loaded"]
STAGES: tuple[Stage, ...] = ("collected", "parsed", "tagged", "embedded", "loaded")
"""The stages a document has reached, in order."""
ROW = "application/json"
"""Media type of a row of a JSONL or CSV file. It is small, so it is kept in its document's row of the
database."""


@dataclass(slots=True)
class Document:
    """A document that a run works on. `attempts` are those of the stage that comes next."""

    id: int
    source: str
    source_id: str
    content_hash: str
    files: list[dict[str, Any]]
    hints: Hints
    stage: Stage
    attempts: int
    parsed: Parsed | None
    tagged: Tagged | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which documents a run takes: those at `stages`, of `ids` where any are given. With `in_batches`, also
    those that wait for the answer of a batch."""

    stages: tuple[Stage, ...]
    ids: tuple[int, ...] = ()
    in_batches: bool = False

    def parameters(self) -> dict[str, Any]:
        """Returns the selection as parameters of a statement."""
        return {"stages": list(self.stages), "ids": list(self.ids), "in_batches": self.in_batches}


class RawFiles:
    """The folder of raw files: `ab/abcdef…`, never changed. The same poster twice is one file, as old as the
    last time it was saved."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the folder that the settings name."""
        return cls(settings.raw or Path(settings.home) / "raw")

    async def save(self, files: tuple[RawFile, ...]) -> list[dict[str, Any]]:
        """Saves the files of a document; returns what its row in the database records of them."""
        return await asyncio.to_thread(lambda: [self._save(file) for file in files])

    async def read(self, saved: list[dict[str, Any]]) -> list[RawFile]:
        """Returns the files that were saved.

        Raises:
            DocumentUnreadableError: a file is gone or was changed.
        """
        return await asyncio.to_thread(lambda: [self._read(row) for row in saved])

    def _save(self, file: RawFile) -> dict[str, Any]:
        row = {"name": file.name, "media_type": file.media_type, "hash": file.content_hash}
        if file.media_type == ROW:
            return {**row, "text": file.content.decode(errors="replace").replace("\x00", " ")}
        path = self._path(file.content_hash)
        if not path.exists() or path.stat().st_size != len(file.content):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
                draft.write(file.content)
            # Whole or not at all, also when another run saves the same file now.
            Path(draft.name).replace(path)
        else:
            path.touch()
        return {**row, "bytes": len(file.content)}

    def delete_old(self, days: int, keep: Set[str], *, dry_run: bool) -> int:
        """Deletes the files that were last saved more than `days` days ago, drafts of a killed run among
        them, but not those whose hashes are in `keep`. Returns how many there are. Blocks."""
        before = time.time() - days * _DAY_SECONDS
        deleted = 0
        for folder in self._folder.glob("[0-9a-f][0-9a-f]"):
            for path in folder.iterdir():
                with suppress(FileNotFoundError):  # another clean-up was here
                    # Looked at one by one, right before: what is saved again meanwhile is young.
                    if path.name not in keep and path.stat().st_mtime < before:
                        if not dry_run:
                            path.unlink()
                        deleted += 1
        return deleted

    def _read(self, row: dict[str, Any]) -> RawFile:
        if "text" in row:
            return RawFile(row["name"], row["media_type"], row["text"].encode())
        try:
            file = RawFile(row["name"], row["media_type"], self._path(row["hash"]).read_bytes())
        except OSError as error:
            raise DocumentUnreadableError(
                f"The raw file of {row['name']} cannot be read ({os.strerror(error.errno or 0)}). "
                "Collect its source again."
            ) from error
        if file.content_hash != row["hash"]:
            # Out of the way, so that collecting it again saves it.
            self._path(row["hash"]).unlink(missing_ok=True)
            raise DocumentUnreadableError(f"The raw file of {row['name']} was changed. Collect it again.")
        return file

    def _path(self, content_hash: str) -> Path:
        return self._folder / content_hash[:2] / content_hash


class _Statements:
    """Runs named statements, each on a connection of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(_SQL[query], parameters)).fetchall()

    async def _execute(self, query: str, **parameters: Any) -> int:
        """Returns the number of rows that the statement changed."""
        async with self._pool.connection() as connection:
            return (await connection.execute(_SQL[query], parameters)).rowcount

    async def _clean_up(self, query: str, **parameters: Any) -> None:
        """As `_execute`, for a statement that may take long."""
        async with long_connection(self._pool) as connection:
            await connection.execute(_SQL[query], parameters)


class DocumentStore(_Statements):
    """The documents as one run sees them.

    A document is claimed by the run that works on it. The run holds an advisory lock on a connection of its
    own, and a claim is valid as long as that lock is held: when a run is killed, its connection ends, and
    with it its claims, at once."""

    def __init__(self, pool: Pool, raw: RawFiles, run: int, lock: Connection) -> None:
        super().__init__(pool)
        self._raw = raw
        self._lock = lock
        self.run = run

    async def guard(self) -> None:
        """Checks every few seconds the connection that holds the run's lock; does not return.

        Raises:
            StoreUnavailableError: the connection is gone, so the run has lost its claims.
        """
        while True:
            await asyncio.sleep(_GUARD_SECONDS)
            try:
                await self._lock.execute("select 1")
            except psycopg.Error as error:
                raise StoreUnavailableError(
                    "The connection to PostgreSQL that holds this run's claims is gone. Run it again: it "
                    "goes on where it was."
                ) from error

    async def collect(self, collected: Collected) -> Literal["new", "changed", "unchanged"]:
        """Stores a document and its files. A known one that has not changed is left as it is."""
        files = await self._raw.save(collected.files)
        hints = collected.hints.model_dump(mode="json")
        names = {"source": collected.source, "source_id": collected.source_id, "scope": collected.scope}
        content = orjson.dumps([[file["hash"] for file in files], hints])
        rows = await self._rows(
            "collect",
            **clean_values(names),
            content_hash=hashlib.sha256(content).hexdigest(),
            files=Jsonb(files),
            hints=Jsonb(hints),
            provenance=Jsonb(clean_values(dict(collected.provenance))),
        )
        return "unchanged" if not rows else "new" if rows[0]["is_new"] else "changed"

    async def withdraw(self, listed: Listed) -> int:
        """Withdraws the documents that a listing does not name any more, and their postings; returns the
        number of postings."""
        names = clean_values(
            {"source": listed.source, "scope": listed.scope, "source_ids": list(listed.source_ids)}
        )
        async with self._pool.connection() as connection, connection.transaction():
            rows = await (await connection.execute(_SQL["withdraw"], names)).fetchall()
            ids = [row["source_id"] for row in rows]
            return await withdraw_postings(connection, names["source"], ids) if ids else 0

    async def withdraw_if_gone(self, document: Document) -> None:
        """Withdraws the postings of a document that was withdrawn while it was being loaded."""
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(_SQL["is_withdrawn"], {"id": document.id})).fetchone()
            if row is not None and row["withdrawn"]:
                await withdraw_postings(connection, document.source, [document.source_id])

    async def withdraw_leftovers(self) -> None:
        """As `withdraw_if_gone`, for all documents: a run may have been killed before it did so."""
        await self._clean_up("withdraw_leftovers")

    async def claim(self, selection: Selection, count: int) -> list[Document]:
        """Claims up to `count` of the selected documents that are due."""
        rows = await self._rows("claim", run=self.run, key=_RUN_LOCK, count=count, **selection.parameters())
        return [_document(row) for row in rows]

    async def next_due(self, selection: Selection) -> float | None:
        """Returns the seconds until the first of the selected, unclaimed documents is due; not positive: it
        is due now; None: there is none."""
        rows = await self._rows("next_due", key=_RUN_LOCK, **selection.parameters())
        return float(rows[0]["due_in"].total_seconds()) if rows else None

    async def advance(
        self, document: Document, stage: Stage, cost: Cost, flags: list[str] | None, *, last: bool
    ) -> bool:
        """Stores what a stage has made and what it cost; after the `last` stage of this run the claim ends.
        False: the document has changed at its source meanwhile and begins anew."""
        changed = await self._execute(
            "advance",
            id=document.id,
            content_hash=document.content_hash,
            run=self.run,
            stage=stage,
            parsed=_jsonb(document.parsed) if stage == "parsed" else None,
            tagged=_jsonb(document.tagged) if stage == "tagged" else None,
            flags=flags,
            last=last,
            **cost.model_dump(),
        )
        document.stage, document.attempts = stage, 0
        return changed == 1

    async def fail(
        self, document: Document, error: dict[str, Any], cost: Cost, *, final: bool, retry_in_seconds: float
    ) -> None:
        """Counts an attempt and what it cost; sets the document aside when it was the last."""
        await self._execute(
            "fail",
            id=document.id,
            content_hash=document.content_hash,
            run=self.run,
            error=Jsonb(clean_values(error)),
            final=final,
            seconds=retry_in_seconds,
            **cost.model_dump(),
        )

    async def release(self, ids: Sequence[int]) -> None:
        """Ends this run's claims on documents."""
        await self._execute("release", ids=list(ids), run=self.run)

    async def requeue_transient(self) -> None:
        """Makes documents due again that were set aside for a transient reason, such as a provider's
        outage."""
        await self._clean_up("requeue_transient")

    async def structured(self) -> list[int]:
        """Returns the ids of documents to be tagged that are structured already."""
        return await self._ids("structured")

    async def not_in_batch(self) -> list[int]:
        """Returns the ids of documents to be tagged that are in no batch."""
        return await self._ids("not_in_batch")

    async def unfinished(self) -> list[int]:
        """Returns the ids of all documents that are neither loaded nor set aside."""
        return await self._ids("unfinished")

    async def _ids(self, query: str) -> list[int]:
        return [row["id"] for row in await self._rows(query)]

    async def record_batch(self, ids: Sequence[int], batch_id: str) -> None:
        """Records the batch in which documents were sent to be tagged, and ends their claims."""
        await self._execute("record_batch", ids=list(ids), batch_id=batch_id, run=self.run)

    async def pending_batches(self) -> list[tuple[str, list[int]]]:
        """Returns the batches that documents wait for, each with the ids of its documents."""
        return [(row["batch_id"], row["ids"]) for row in await self._rows("batches")]

    async def forget_batch(self, batch_id: str) -> None:
        """Takes the documents out of a batch that has failed."""
        await self._execute("forget_batch", batch_id=batch_id)

    async def count_set_aside(self, ids: Sequence[int]) -> int:
        """Returns how many of these documents are set aside."""
        [row] = await self._rows("count_set_aside", ids=list(ids))
        return int(row["documents"])


class PostgresJournal(_Statements):
    """Answers of models and parsers by what was asked, over all runs: a `ResponseJournal`."""

    async def find(self, question: str) -> bytes | None:
        rows = await self._rows("find_answer", question=question)
        return bytes(rows[0]["answer"]) if rows else None

    async def record(self, question: str, answer: bytes) -> None:
        await self._execute("record_answer", question=question, answer=answer)

    async def forget(self, questions: Sequence[str]) -> None:
        await self._execute("forget_answers", questions=list(questions))

    async def forget_old(self, days: int = _JOURNAL_DAYS) -> int:
        """Deletes answers older than `days` days; returns how many there were."""
        async with long_connection(self._pool) as connection:
            return await delete_in_steps(connection, _SQL["forget_old_answers"], days=days)


class PostgresFetchLog(_Statements):
    """What each URL answered last: a `FetchLog` (`ingest.sources.web`)."""

    async def last(self, url: str) -> Fetch | None:
        rows = await self._rows("last_fetch", url=url)
        return Fetch(**rows[0]) if rows else None

    async def record(self, fetch: Fetch) -> None:
        await self._execute("record_fetch", **asdict(fetch))


@asynccontextmanager
async def open_store(database_url: str, pool: Pool, raw: RawFiles) -> AsyncIterator[DocumentStore]:
    """Yields the store of a new run; ends its claims when the block ends.

    Raises:
        SetupError: PostgreSQL gives no connection.
    """
    async with pool.connection() as connection:
        row = await (await connection.execute(_SQL["next_run"])).fetchone()
    assert row is not None  # noqa: S101 - a sequence has a next value
    run = int(row["run"])
    async with await connect(database_url) as lock:
        # Held by a transaction, which a pooler leaves on one connection. It has read nothing and written
        # nothing, so that it keeps no row from being vacuumed.
        await lock.execute("begin")
        await lock.execute(_SQL["no_idle_limit"])
        await lock.execute(_SQL["lock_run"], {"key": _RUN_LOCK, "run": run})
        try:
            yield DocumentStore(pool, raw, run, lock)
        finally:
            try:
                async with pool.connection() as connection:
                    await connection.execute(_SQL["release_all"], {"run": run})
                await lock.execute("commit")
            except psycopg.Error as error:
                # Its claims end with the connection all the same.
                logger.warning("the run's connection is gone", extra={"cause": cause(error)})


async def status(pool: Pool, newest: int = 20) -> dict[str, Any]:
    """Returns, JSON-ready, `sources` (rows by source and stage), `set_aside` (the `newest` documents) and
    `not_normalized` (how many postings wait for the next load to be)."""
    async with long_connection(pool) as connection:
        sources = await (await connection.execute(_SQL["by_stage"])).fetchall()
        set_aside = await (await connection.execute(_SQL["set_aside"], {"count": newest})).fetchall()
        not_normalized = await count_outdated(connection)
    for row in set_aside:
        row["set_aside_at"] = row["set_aside_at"].isoformat()
    return {"sources": sources, "set_aside": set_aside, "not_normalized": not_normalized}


async def retry(pool: Pool, *, ids: list[int], source: str | None, again_from: str | None) -> int:
    """Makes documents due again: those that were set aside, or, with `again_from` (`parse`, `tag`,
    `embed`), all from that stage on. Returns how many."""
    before = {"parse": "collected", "tag": "parsed", "embed": "tagged", None: None}[again_from]
    parameters = {"ids": ids, "source": source, "stage": before, "stages": list(STAGES)}
    async with long_connection(pool) as connection:
        return (await connection.execute(_SQL["retry"], parameters)).rowcount


async def remove(pool: Pool, source: str) -> tuple[int, int]:
    """Deletes the postings and the documents of a source; returns how many of each. Raw files stay, and
    answers of models about them are not paid for again should they come back.

    Raises:
        InvalidRequestError: nothing came from a source of that name; the message names those there are.
    """
    async with pool.connection() as connection, connection.transaction():
        postings = await remove_postings(connection, source)
        documents = (await connection.execute(_SQL["remove"], {"source": source})).rowcount
        if not postings and not documents:
            known = ", ".join(sorted(await posting_sources(connection))) or "none"
            raise InvalidRequestError(f"Nothing came from a source {source!r}; there are: {known}.")
    return postings, documents


def _document(row: dict[str, Any]) -> Document:
    values = {
        **row,
        "hints": Hints.model_validate(row["hints"]),
        "parsed": row["parsed"] and Parsed.model_validate(row["parsed"]),
        "tagged": row["tagged"] and Tagged.model_validate(row["tagged"]),
    }
    return Document(**values)


def _jsonb(value: Parsed | Tagged | None) -> Jsonb | None:
    return None if value is None else Jsonb(value.model_dump(mode="json"))
