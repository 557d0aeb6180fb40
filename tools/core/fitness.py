"""Whether a PostgreSQL is fit for the service: asked before anything is written to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from tools.core.errors import SetupError
from tools.core.postgres import Connection
from tools.core.sql import migrations, queries
from tools.core.store_failures import one_line

_SQL = queries("fitness.sql")
OLDEST_POSTGRESQL = 13
OLDEST_PGVECTOR = (0, 4)
"""Before it, a vector had at most 1,024 dimensions."""
_REMEDY = "Nothing was written. Mend that, name another in DATABASE_URL, or unset it to run the embedded one."


@dataclass(frozen=True, slots=True)
class Fitness:
    """What a PostgreSQL is, and what of the service it holds already."""

    server: str
    """Its version."""
    vector: str | None
    """Version of pgvector that is installed, or would be."""
    pending: list[tuple[str, str]]
    """Migrations that are to be applied, by name and text."""


async def require_fit(connection: Connection, place: str) -> Fitness:
    """Returns what the PostgreSQL at `place` (a URL without its password) is. Writes nothing.

    Raises:
        SetupError: it cannot serve; the message has every reason, `lacking` the extensions it has not.
        psycopg.Error: it does not answer.
    """
    server = connection.info.parameter_status("server_version") or "unknown"
    if connection.info.server_version < OLDEST_POSTGRESQL * 10_000:
        raise SetupError(
            f"The PostgreSQL at {place} is version {server}, and at least {OLDEST_POSTGRESQL} is needed. "
            f"{_REMEDY}"
        )
    try:
        async with connection.transaction():
            facts = await _row(connection, "facts")
            known = (
                [row["name"] for row in await (await connection.execute(_SQL["applied"])).fetchall()]
                if facts["migrated"] and facts["may_see_migrations"]
                else []
            )
    except psycopg.errors.ProtocolViolation as error:
        # A pooler that ends a transaction after each statement says so here.
        raise SetupError(f"The PostgreSQL at {place} cannot be used: {one_line(error)}. {_REMEDY}") from error
    wanted = migrations()
    pending = [(name, text) for name, text in wanted if name not in known]
    problems = [
        *_of_the_database(facts),
        *_of_pgvector(facts),
        *_of_the_schema(facts, known, {name for name, _ in wanted}),
        *(_of_the_role(facts) if pending else []),
    ]
    if problems:
        raise SetupError(
            f"The PostgreSQL {server} at {place} {'; it '.join(problems)}. {_REMEDY}",
            lacking=() if facts["vector_offered"] else ["vector"],
        )
    return Fitness(server, facts["vector_version"] or facts["vector_offered"], pending)


async def _row(connection: Connection, query: str) -> dict[str, Any]:
    row = await (await connection.execute(_SQL[query])).fetchone()
    assert row is not None  # noqa: S101 - the statement returns one row always
    return row


def _of_the_database(facts: dict[str, Any]) -> list[str]:
    if facts["encoding"] == "UTF8":
        return []
    return [
        f"keeps the database {facts['database']!r} in {facts['encoding']}, which has no place for Korean "
        f"beside all else: make one with `create database … encoding 'UTF8' template template0`"
    ]


def _of_pgvector(facts: dict[str, Any]) -> list[str]:
    version = facts["vector_version"] or facts["vector_offered"]
    if version is None:
        return ["lacks the extension pgvector, which has to be installed on that server"]
    if _numbers(version) < OLDEST_PGVECTOR:
        oldest = ".".join(map(str, OLDEST_PGVECTOR))
        return [f"has pgvector {version}, and at least {oldest} is needed: `alter extension vector update`"]
    if facts["vector_version"] and not facts["vector_in_sight"]:
        return [
            f"has pgvector in the schema {facts['vector_schema']!r}, which is not on the search_path of "
            f"{facts['role']!r}: `alter role {facts['role']} set search_path = …, {facts['vector_schema']}`"
        ]
    return []


def _of_the_schema(facts: dict[str, Any], known: Sequence[str], wanted: set[str]) -> list[str]:
    if facts["migrated"] and not facts["may_see_migrations"]:
        return [
            f"does not let {facts['role']!r} read the service's tables: "
            f"`grant all on all tables in schema … to {facts['role']}`"
        ]
    if newer := [name for name in known if name not in wanted]:
        return [
            f"was migrated by a newer version of the service ({', '.join(newer)}): run that version, or "
            "bring back the database from before"
        ]
    if known and (hidden := facts["unreadable"]):
        return [
            f"does not let {facts['role']!r} read {', '.join(hidden)}: "
            f"`grant all on all tables in schema … to {facts['role']}`"
        ]
    return []


def _of_the_role(facts: dict[str, Any]) -> list[str]:
    """What keeps this role from migrating."""
    if facts["read_only"]:
        return [
            "is read-only, a replica or set so, and the service's tables are not all there: name the primary"
        ]
    if facts["schema"] is None:
        return [f"has no schema on the search_path of {facts['role']!r} in which tables could be made"]
    if not facts["may_create"]:
        return [
            f"does not let {facts['role']!r} make tables: "
            f"`grant create on schema {facts['schema']} to {facts['role']}`"
        ]
    return []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
