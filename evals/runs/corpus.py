"""The postings that are searched in an evaluation: a database of their own, made once for each content.

It lies beside the configured database and is kept for the next time. The day of its last use is its
comment; those that nobody has used for `KEPT_DAYS` are dropped by whoever opens another.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import conninfo, sql

from evals.datasets.cases import HOSTILE_POSTINGS
from ingest.load import SAMPLES, load
from ingest.rows import rows
from tools.core.errors import InvalidRequestError, SetupError
from tools.core.logs import cause
from tools.core.postgres import Connection, connected
from tools.core.settings import Settings
from tools.llm.openai_client import embedding_model_name
from tools.postings import near_duplicates
from tools.services import open_services

logger = logging.getLogger(__name__)

CORPUS = (SAMPLES, HOSTILE_POSTINGS)
"""What the suites search: the sample postings, and some that carry instructions to the model."""
KEPT_DAYS = 30
"""Days after which a corpus that nobody has used is dropped."""
_NAME = "checkerboard_eval_"
_LOCK = 7_260_113
"""Advisory lock in the corpus's database: two evaluations that begin at once fill it one after the other."""
_LOCK_SECONDS = 600
"""How long one of them waits for the other: a key's embeddings of thousands of postings take minutes."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """An evaluation's postings: the settings whose database has them, and a version that names their content
    and embedding."""

    settings: Settings
    version: str
    files: tuple[str, ...]
    postings: int


@asynccontextmanager
async def open_corpus(settings: Settings, paths: Sequence[Path]) -> AsyncIterator[Corpus]:
    """Yields a corpus of the postings of `paths`, in a database beside the configured one that is kept for
    the next time; what is loaded in the service stays as it is.

    Raises:
        InvalidRequestError: a file cannot be read. Rows that are no postings are passed over and logged.
        SetupError: PostgreSQL does not answer, or lets nobody make a database.
        ModelUnavailableError: the postings could not be embedded.
    """
    version = await asyncio.to_thread(_version, settings, paths)
    name = f"{_NAME}{version}"
    assert settings.database_url is not None  # noqa: S101 - `attached` has filled it
    own = settings.model_copy(
        update={"database_url": conninfo.make_conninfo(settings.database_url, dbname=name)}
    )
    try:
        async with await connected(settings.database_url) as connection:
            await _make(connection, name)
            await _forget_unused(connection, name)
        async with await connected(str(own.database_url)) as connection, connection.transaction():
            # Until the transaction ends: a pooler's connection would keep a session's lock for ever.
            await connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
            with connection.limited(2 * _LOCK_SECONDS):
                await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            # Loading again goes over what is there, ends what was broken off, and embeds anew what the code
            # would embed otherwise by now.
            async with open_services(own) as services:
                loaded = await load(services, paths)
                postings = (await services.postings.corpus()).postings
    except psycopg.errors.LockNotAvailable as error:
        raise SetupError(
            f"Another evaluation has been filling the database {name} for {_LOCK_SECONDS} seconds. Run again "
            "when it is done."
        ) from error
    except psycopg.OperationalError as error:
        raise SetupError(f"PostgreSQL does not answer: {error}. Check DATABASE_URL.") from error
    for row in loaded.refused:
        logger.warning("row is no posting", extra={"file": row.file, "line": row.line})
    yield Corpus(own, version, tuple(path.name for path in paths), postings)


@functools.cache
def truth() -> Mapping[tuple[str, str], dict[str, Any]]:
    """Returns what is known of the postings of `CORPUS`, by source and source id: the job `family`, and the
    `canary` of a hostile one."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
    text = (files("samples") / "truth.jsonl").read_text(encoding="utf-8")
    for row in map(orjson.loads, text.splitlines()):
        known["samples", row["source_id"]] = {"family": row["family"], "hostile": row["hostile"]}
    for hostile in rows(HOSTILE_POSTINGS):
        value = hostile.value
        known[value["source"], value["source_id"]] = {
            "family": value["family"],
            "hostile": True,
            "canary": value["canary"],
        }
    return known


async def _make(connection: Connection, name: str) -> None:
    """Makes the database where there is none, and notes that it is used today."""
    quoted = sql.Identifier(name)
    found = await connection.execute("select from pg_database where datname = %s", [name])
    if await found.fetchone() is None:
        try:
            await connection.execute(sql.SQL("create database {}").format(quoted))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            logger.info("another evaluation has just made the database", extra={"database": name})
        except psycopg.errors.InsufficientPrivilege as error:
            raise SetupError(
                "Evaluations need a database of their own, and this user of PostgreSQL may not create "
                "one. Leave DATABASE_URL unset for the embedded server, or name a user who may."
            ) from error
    today = sql.Literal(_today().isoformat())
    await _if_ours(connection, sql.SQL("comment on database {} is {}").format(quoted, today))


async def _forget_unused(connection: Connection, but: str) -> None:
    """Drops corpora whose last use is long ago; one that somebody is connected to stays."""
    found = await connection.execute(
        "select datname as name, shobj_description(oid, 'pg_database') as used from pg_database"
        " where starts_with(datname, %s) and datname <> %s",
        [_NAME, but],
    )
    oldest = (_today() - timedelta(days=KEPT_DAYS)).isoformat()
    for row in await found.fetchall():
        if row["used"] is not None and row["used"] < oldest:
            unused = sql.Identifier(row["name"])
            await _if_ours(connection, sql.SQL("drop database if exists {}").format(unused))


async def _if_ours(connection: Connection, statement: sql.Composed) -> None:
    """Executes what only a database's owner may, and not while somebody else uses it or does the same."""
    try:
        await connection.execute(statement)
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ObjectInUse,
        psycopg.errors.InternalError_,
        psycopg.errors.InvalidCatalogName,
    ) as error:
        logger.info("left undone", extra={"statement": statement.as_string(), "cause": cause(error)})


def _today() -> date:
    return datetime.now(UTC).date()


def _version(settings: Settings, paths: Sequence[Path]) -> str:
    digest = hashlib.sha256(f"{embedding_model_name(settings)}/{settings.embedding_dimensions}".encode())
    # What is linked as one posting is decided when it is loaded: by another rule it is another corpus.
    digest.update(inspect.getsource(near_duplicates).encode())
    for path in paths:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise InvalidRequestError(f"{path} cannot be read: {error}", file=str(path)) from error
    return digest.hexdigest()[:16]
