"""The postings that an evaluation searches: a database of their own, made once for each content.

It lies beside the configured database and is kept for later runs. Its comment is the day of its last use;
whoever opens a corpus drops those that nobody has used for `KEPT_DAYS`.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import conninfo, sql

from evals.datasets.cases import HOSTILE_POSTINGS
from evals.runs import results
from ingest.load import SAMPLES, load
from ingest.structured.files import read_rows
from tools.core.database import Connection, connect
from tools.core.errors import InvalidRequestError, SetupError
from tools.core.logs import cause
from tools.core.settings import Settings
from tools.llm.embedding_models import embedding_models, width
from tools.services import open_services

logger = logging.getLogger(__name__)

CORPUS = (SAMPLES, HOSTILE_POSTINGS)
"""What the suites search: the sample postings, and some that carry instructions to the model."""
SAMPLE_SOURCE = "samples"
KEPT_DAYS = 30
_LINKING_RULE = 1
"""Part of a corpus's version, as loading decides which postings are one that was published twice. To be
raised when the rule (`tools/postings/near_duplicates.py`) comes to decide otherwise."""
_NAME = "checkerboard_eval_"
_LOCK = 7_260_113
"""Advisory lock in the corpus's database: only one evaluation at a time fills it."""
_LOCK_SECONDS = 600
"""How long another one waits: an API's embeddings of thousands of postings take minutes."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """An evaluation's postings: the settings whose database has them, and a version that names their content
    and embedding."""

    settings: Settings
    version: str
    files: tuple[str, ...]
    postings: int

    @property
    def line(self) -> results.Corpus:
        """The corpus as a result file's header names it."""
        return results.Corpus(version=self.version, postings=self.postings, files=list(self.files))


@asynccontextmanager
async def open_corpus(settings: Settings, paths: Sequence[Path]) -> AsyncIterator[Corpus]:
    """Yields a corpus of the postings in `paths`. The service's own postings stay as they are.

    Raises:
        InvalidRequestError: a file cannot be read. Rows that are no postings are skipped and logged.
        SetupError: PostgreSQL does not answer, or does not let this user create a database.
        ModelUnavailableError: the postings could not be embedded.
    """
    version = await asyncio.to_thread(_version, settings, paths)
    name = f"{_NAME}{version}"
    assert settings.database_url is not None  # noqa: S101 - `embedded_servers` has filled it
    own = settings.model_copy(
        update={"database_url": conninfo.make_conninfo(settings.database_url, dbname=name)}
    )
    try:
        async with await connect(settings.database_url) as connection:
            await _create(connection, name)
            await _drop_unused(connection, name)
        async with await connect(str(own.database_url)) as connection, connection.transaction():
            # Until the transaction ends: a pooler's connection would keep a session's lock for ever.
            await connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
            with connection.statement_limit(2 * _LOCK_SECONDS):
                await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            # Loading again completes an interrupted load, and embeds anew where the embedding has changed.
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
    """Returns the truth of the postings in `CORPUS`, by source and source id: the job `family`, whether it is
    `hostile`, and then its `canary`."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for row in map(orjson.loads, SAMPLES.with_name("truth.jsonl").read_bytes().splitlines()):
        known[SAMPLE_SOURCE, row["source_id"]] = {"family": row["family"], "hostile": row["hostile"]}
    for row in (hostile.value for hostile in read_rows(HOSTILE_POSTINGS)):
        known[row["source"], row["source_id"]] = {
            "family": row["family"],
            "hostile": True,
            "canary": row["canary"],
        }
    return known


async def _create(connection: Connection, name: str) -> None:
    """Creates the database where there is none, and notes that it is used today."""
    found = await connection.execute("select from pg_database where datname = %s", [name])
    if await found.fetchone() is None:
        try:
            await connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            logger.info("another evaluation has just made the database", extra={"database": name})
        except psycopg.errors.InsufficientPrivilege as error:
            raise SetupError(
                "Evaluations need a database of their own, and this user of PostgreSQL may not create "
                "one. Leave DATABASE_URL unset for the embedded server, or name a user who may."
            ) from error
    comment = sql.SQL("comment on database {} is {}")
    await _try(connection, comment.format(sql.Identifier(name), sql.Literal(_today().isoformat())))


async def _drop_unused(connection: Connection, but: str) -> None:
    """Drops corpora whose last use is long ago, unless somebody is connected to them."""
    databases = await connection.execute(
        "select datname as name, shobj_description(oid, 'pg_database') as used from pg_database"
        " where starts_with(datname, %s) and datname <> %s",
        [_NAME, but],
    )
    oldest = (_today() - timedelta(days=KEPT_DAYS)).isoformat()
    for row in await databases.fetchall():
        if row["used"] is not None and row["used"] < oldest:
            drop = sql.SQL("drop database if exists {}")
            await _try(connection, drop.format(sql.Identifier(row["name"])))


async def _try(connection: Connection, statement: sql.Composed) -> None:
    """Executes what fails for others than the database's owner, and while somebody else uses it."""
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
    model = embedding_models(settings)[0]
    embedding = f"{model.name}/{width(model, settings)}"
    digest = hashlib.sha256(f"{embedding}/{_LINKING_RULE}".encode())
    for path in paths:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise InvalidRequestError(f"{path} cannot be read: {error}", file=str(path)) from error
    return digest.hexdigest()[:16]
