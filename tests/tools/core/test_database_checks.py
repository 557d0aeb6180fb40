"""Databases that the service cannot live in: each is told, and nothing is written to it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest

from tools.core.database import migrate, probe_postgres
from tools.core.errors import SetupError
from tools.core.settings import Settings
from tools.core.sql import migrations


@pytest.fixture
async def owner(empty_settings: Settings) -> AsyncIterator[psycopg.AsyncConnection]:
    """The superuser's connection to an empty database."""
    async with await psycopg.AsyncConnection.connect(
        empty_settings.database_url or "", autocommit=True
    ) as connection:
        yield connection


@pytest.fixture
async def role(owner: psycopg.AsyncConnection, empty_settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """The name of a role without rights, and the URL by which it comes to that database."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    await owner.execute(f"create role {name} login")
    yield name, (empty_settings.database_url or "").replace("//postgres@", f"//{name}@")
    await owner.execute(f"drop owned by {name}")
    await owner.execute(f"drop role {name}")


async def tables(owner: psycopg.AsyncConnection) -> list[str]:
    found = await owner.execute("select tablename from pg_tables where schemaname = 'public' order by 1")
    return [row[0] for row in await found.fetchall()]


async def refused(url: str, why: str) -> None:
    """Both ways in refuse: the start's look, and the migration."""
    with pytest.raises(SetupError, match=why):
        await probe_postgres(url)
    with pytest.raises(SetupError, match=why):
        await migrate(url)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_KR"])
async def test_a_database_without_room_for_korean_and_all_else(embedded: Settings, encoding: str) -> None:
    name = f"encoded_{uuid.uuid4().hex}"
    url = embedded.database_url or ""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            f"create database {name} encoding '{encoding}' locale 'C' template template0"
        )
        try:
            await refused(url.replace("/postgres?", f"/{name}?"), f"{encoding}.*encoding 'UTF8'")
        finally:
            await connection.execute(f"drop database {name} with (force)")


async def test_a_role_that_may_not_install_pgvector(
    owner: psycopg.AsyncConnection, role: tuple[str, str]
) -> None:
    name, url = role
    await owner.execute(f"grant create on schema public to {name}")
    with pytest.raises(SetupError, match="let a superuser do `create extension vector`"):
        await migrate(url)
    assert await tables(owner) == []
    await owner.execute("create extension vector")
    await migrate(url)
    assert "postings" in await tables(owner)


async def test_a_role_that_may_not_make_tables(owner: psycopg.AsyncConnection, role: tuple[str, str]) -> None:
    name, url = role
    await refused(url, f"does not let '{name}' make tables: `grant create on schema public")
    assert await tables(owner) == []


async def test_a_role_that_may_only_read_serves_and_one_that_may_not_is_told(
    owner: psycopg.AsyncConnection, empty_settings: Settings, role: tuple[str, str]
) -> None:
    name, url = role
    await migrate(empty_settings.database_url or "")
    await refused(url, f"does not let '{name}' read")
    await owner.execute(f"grant select on all tables in schema public to {name}")
    await owner.execute(f"revoke select on postings from {name}")  # noqa: S608
    await refused(url, f"does not let '{name}' read postings")
    await owner.execute(f"grant select on postings to {name}")
    await probe_postgres(url)
    await migrate(url)


async def test_a_database_that_is_read_only_and_not_migrated(
    owner: psycopg.AsyncConnection, empty_settings: Settings
) -> None:
    url = f"{empty_settings.database_url}&options=-c%20default_transaction_read_only%3Don"
    await refused(url, "read-only")
    assert await tables(owner) == []
    await migrate(empty_settings.database_url or "")
    await migrate(url)


async def test_a_database_of_a_newer_version(
    owner: psycopg.AsyncConnection, empty_settings: Settings
) -> None:
    url = empty_settings.database_url or ""
    await migrate(url)
    await owner.execute("insert into schema_migrations (name) values ('9999_to_come.sql')")
    await refused(url, r"newer version.*9999_to_come\.sql")


async def test_pgvector_out_of_sight(owner: psycopg.AsyncConnection, empty_settings: Settings) -> None:
    await owner.execute("create schema extensions")
    await owner.execute("create extension vector schema extensions")
    await refused(empty_settings.database_url or "", "'extensions', which is not on the search_path")
    assert await tables(owner) == []


async def test_a_database_without_a_schema(owner: psycopg.AsyncConnection, empty_settings: Settings) -> None:
    await owner.execute("drop schema public")
    await refused(empty_settings.database_url or "", "no schema on the search_path")


async def test_a_database_that_was_half_migrated_goes_on(
    owner: psycopg.AsyncConnection, empty_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_settings.database_url or ""
    whole = migrations()
    broken = [*whole[:1], ("0002_broken.sql", "select 1 / 0")]
    monkeypatch.setattr("tools.core.database.migrations", lambda: broken)
    with pytest.raises(SetupError, match=r"0002_broken\.sql failed.*division by zero"):
        await migrate(url)
    monkeypatch.undo()
    await migrate(url)
    assert "documents" in await tables(owner)
