"""Migrations and the pool, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import unicodedata
import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.pace import time_limit
from tools.core.database import long_connection, migrate, open_pool, probe_postgres
from tools.core.errors import SetupError
from tools.core.settings import Settings
from tools.core.sql import migrations, number, oldest_code


async def applied(settings: Settings) -> list[str]:
    async with await psycopg.AsyncConnection.connect(settings.database_url or "") as connection:
        cursor = await connection.execute("select name from schema_migrations order by name")
        return [row[0] for row in await cursor.fetchall()]


async def test_every_migration_is_applied_once_however_often_one_migrates(empty_settings: Settings) -> None:
    assert empty_settings.database_url is not None
    for _ in range(3):
        await migrate(empty_settings.database_url)
    assert await applied(empty_settings) == [name for name, _ in migrations()]


async def test_processes_that_start_together_do_not_trip_over_each_other(empty_settings: Settings) -> None:
    assert empty_settings.database_url is not None
    await asyncio.gather(*(migrate(empty_settings.database_url) for _ in range(4)))
    assert await applied(empty_settings) == [name for name, _ in migrations()]


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_is_tried_again(
    empty_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert empty_settings.database_url is not None
    broken = [("0001_half.sql", "create table half (id int); select 1 / 0;")]
    monkeypatch.setattr("tools.core.database.migrations", lambda: broken)
    with pytest.raises(SetupError, match=r"0001_half\.sql failed.*division by zero"):
        await migrate(empty_settings.database_url)
    async with await psycopg.AsyncConnection.connect(empty_settings.database_url) as connection:
        tables = await connection.execute("select from pg_tables where schemaname = 'public'")
        assert await tables.fetchall() == []
    broken[0] = ("0001_half.sql", "create table half (id int);")
    await migrate(empty_settings.database_url)
    assert await applied(empty_settings) == ["0001_half.sql"]


async def test_sources_and_ids_in_pieces_are_composed_and_no_two_become_one(
    empty_settings: Settings,
) -> None:
    pieces, composed = unicodedata.normalize("NFD", "채용"), "채용"
    old = "insert into {} (source, source_id{}) values (%s, %s{})"
    posting = old.format(
        "postings",
        ", company, job_title, responsibilities, requirements, preferred, skills, text_hash",
        ", '', 'QA', '', '', '', '{}', 'x'",
    )
    document = old.format(
        "documents", ", scope, content_hash, files, hints, provenance", ", '', '', '[]', '{}', '{}'"
    )
    assert empty_settings.database_url is not None
    await migrate(empty_settings.database_url)
    async with await psycopg.AsyncConnection.connect(
        empty_settings.database_url, autocommit=True
    ) as connection:
        for statement in (posting, document):
            for source_id in ("1", "2"):
                await connection.execute(statement, [pieces, source_id])
            await connection.execute(statement, [composed, "2"])
        await connection.execute("delete from schema_migrations where name like '0004%%'", [])
        await migrate(empty_settings.database_url)
        for kept in (
            "select source, source_id from postings order by id",
            "select source, source_id from documents order by id",
        ):
            cursor = await connection.execute(kept)
            assert await cursor.fetchall() == [(composed, "1"), (pieces, "2"), (composed, "2")]


async def test_a_pool_speaks_of_vectors_and_never_opens_more_than_its_size(empty_settings: Settings) -> None:
    pool = await open_pool(empty_settings.model_copy(update={"database_pool": 2}))
    try:
        async with pool.connection() as one, pool.connection():
            row = await (await one.execute("select '[1,2]'::vector as v")).fetchone()
            assert row is not None
            assert row["v"].to_list() == [1, 2]
            with pytest.raises(psycopg.OperationalError):
                async with pool.connection(timeout=0.05):
                    pass
    finally:
        await pool.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pa55word@127.0.0.1:1/none",
        "not a url",
        "postgresql+psycopg://user:pa55word@127.0.0.1/db",
    ],
    ids=["nobody listens", "no URL", "SQLAlchemy's kind of URL"],
)
async def test_a_database_that_cannot_be_reached_is_named_by_its_setting_and_not_by_its_password(
    url: str,
) -> None:
    with pytest.raises(SetupError, match="DATABASE_URL") as refused:
        await migrate(url)
    assert "pa55word" not in refused.value.message


async def test_a_database_that_does_not_exist_is_a_setup_error(empty_settings: Settings) -> None:
    assert empty_settings.database_url is not None
    with pytest.raises(SetupError, match="does not exist"):
        await migrate(empty_settings.database_url.replace("/test_", "/gone_"))


async def test_a_statement_that_takes_too_long_is_given_up_here_and_there(empty_settings: Settings) -> None:
    pool = await open_pool(empty_settings.model_copy(update={"database_timeout_seconds": 0.2}))
    async with pool:
        with pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.2 seconds"):
            async with pool.connection() as connection:
                await connection.execute("select pg_sleep(600)")
        async with asyncio.timeout(time_limit()), pool.connection() as connection:
            running = (
                "select from pg_stat_activity where query like 'select pg_sleep(600)%' and state = 'active'"
            )
            while await (await connection.execute(running)).fetchone() is not None:
                await asyncio.sleep(0.05)


async def test_work_for_which_nobody_waits_may_take_long(empty_settings: Settings) -> None:
    pool = await open_pool(empty_settings.model_copy(update={"database_timeout_seconds": 0.2}))
    async with pool, long_connection(pool) as connection:
        assert await (await connection.execute("select pg_sleep(0.6)")).fetchone()


# Databases that the service cannot live in: each is told, and nothing is written to it.
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
    newest = max(number(name) for name, _ in migrations())
    to_come = "insert into schema_migrations (name, oldest_code) values ('9999_to_come.sql', %s)"
    for too_new in (None, 9999, newest + 1):
        await owner.execute(to_come, [too_new])
        await refused(url, r"newer version.*9999_to_come\.sql")
        await owner.execute("delete from schema_migrations where name = '9999_to_come.sql'")
    # Workers of two versions serve beside each other while the newer one is rolled out.
    await owner.execute(to_come, [newest])
    await probe_postgres(url)
    await migrate(url)


def test_a_migration_says_which_code_goes_on_working() -> None:
    assert oldest_code("0012_more.sql", "-- More room.\n-- oldest code: 0009\nalter table a …") == 9
    assert oldest_code("0012_more.sql", "drop table a;") == 12
    assert oldest_code("procrastinate-03.09_more.sql", "create table a ()") is None
    for name, text in migrations():
        oldest = oldest_code(name, text)
        assert oldest is None or 1 <= oldest <= number(name)


async def test_a_database_of_before_the_oldest_code_was_recorded(
    owner: psycopg.AsyncConnection, empty_settings: Settings
) -> None:
    url = empty_settings.database_url or ""
    await migrate(url)
    await owner.execute("alter table schema_migrations drop column oldest_code")
    await probe_postgres(url)
    await owner.execute("delete from schema_migrations where name like '0004%'")
    await migrate(url)
    applied = await owner.execute("select oldest_code from schema_migrations where name like '0004%'")
    assert await applied.fetchall() == [(4,)]
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


async def test_kept_searches_end_with_every_statement_that_wrote_postings_and_with_no_other(
    empty_settings: Settings,
) -> None:
    assert empty_settings.database_url is not None
    await migrate(empty_settings.database_url)
    url = empty_settings.database_url
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def version_after(statement: str) -> object:
            await connection.execute(statement)
            rows = await (await connection.execute("select version from corpus")).fetchall()
            return rows[0][0] if rows else None

        insert = """
            insert into postings (source, source_id, skills, company, job_title, responsibilities,
                                  requirements, preferred, text_hash)
            values ('s', '1', '{}', 'c', 'j', '', '', '', 'h')
        """
        versions = [
            await version_after(statement)
            for statement in (
                insert,
                "update postings set job_title = 'k'",
                "delete from postings where source_id = '1'",
                "truncate postings cascade",
            )
        ]
        assert len({*versions}) == len(versions)
        for nothing in ("update postings set job_title = 'k'", "delete from postings"):
            assert await version_after(nothing) == versions[-1]
