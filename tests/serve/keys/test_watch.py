"""Stored keys in a worker: in force soon, for as long as they are meant to be, whatever the database does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from serve.callers import ApiKeys
from serve.keys.store import StoredKey, all_keys, revoke_keys, rotate_key
from serve.keys.watch import watching
from tests.databases import cloned
from tests.pace import time_limit
from tests.pgbouncer import pooled
from tests.serve.conftest import client_of
from tests.serve.keys import bearer, database, made
from tests.serve.processes import GENERATE, eventually
from tests.serve.test_callers import digest
from tests.stalling import stalling
from tools.core.database import open_pool
from tools.core.errors import ForbiddenError, UnauthorizedError
from tools.core.settings import Settings

SEARCH = "/postings/search?q=backend&k=1"


@pytest.fixture
async def own_settings(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """The sample postings in a database of the test's own, to store keys in."""
    async with cloned(embedded, samples_template) as own:
        yield own


def owner(keys: ApiKeys, key: str) -> str | None:
    """Whose key it is; None where it does not count."""
    try:
        return keys.owner(bearer(key))
    except UnauthorizedError:
        return None


async def answered(client: httpx.AsyncClient, key: str | None, wanted: int) -> None:
    """Waits until a caller with this key is answered so."""
    headers = {} if key is None else bearer(key)
    async with asyncio.timeout(time_limit()):
        while (await client.get(SEARCH, headers=headers)).status_code != wanted:
            await asyncio.sleep(0.05)


async def test_a_key_counts_and_ends_while_the_service_runs(own_settings: Settings) -> None:
    async with database(own_settings) as connection:
        first = await made(connection, "first")
        async with client_of(own_settings) as client:
            await answered(client, first, 200)
            await answered(client, None, 401)
            second = await made(connection, "second")
            await answered(client, second, 200)
            await revoke_keys(connection, "first")
            await answered(client, first, 401)
            assert (await client.get(SEARCH, headers=bearer(second))).status_code == 200
            await revoke_keys(connection, "second")
            await answered(client, second, 401)
            # Nobody is left, and nobody is let in.
            assert (await client.get(SEARCH)).status_code == 401
        async with client_of(own_settings) as client:
            assert (await client.get(SEARCH)).status_code == 401


async def test_with_a_stored_key_the_names_of_hosts_are_not_looked_at_and_visitors_not_let_in(
    own_settings: Settings,
) -> None:
    async with database(own_settings) as connection:
        key = await made(connection, "shop")
    async with client_of(own_settings) as client:
        anywhere = {"host": "jobs.example.com", **bearer(key)}
        assert (await client.get(SEARCH, headers=anywhere)).status_code == 200
        page = await client.get("/")
        assert "set-cookie" not in page.headers
        assert (await client.get("/readyz")).json()["parts"]["keys"] == {
            "ok": True,
            "needed": True,
            "message": None,
            "warning": None,
        }
    async with client_of(own_settings.model_copy(update={"visitors": True})) as client:
        await client.get("/")
        own_page = {"sec-fetch-site": "same-origin"}
        assert (await client.get(SEARCH, headers=own_page)).status_code == 200
        assert (await client.get("/prompts", headers=own_page)).status_code == 401


async def test_a_service_that_was_started_without_keys_stays_open_and_says_so(own_settings: Settings) -> None:
    async with client_of(own_settings) as client, database(own_settings) as connection:
        assert (await client.get("/readyz")).json()["parts"]["keys"]["warning"] is None
        await made(connection, "shop")
        async with asyncio.timeout(time_limit()):
            while not (keys := (await client.get("/readyz")).json()["parts"]["keys"])["warning"]:
                await asyncio.sleep(0.05)
        assert keys["needed"] is False
        assert "until it is started again" in keys["warning"]
        assert (await client.get(SEARCH)).status_code == 200


async def test_keys_of_both_kinds_count_beside_each_other(own_settings: Settings) -> None:
    configured = {
        "api_keys": SecretStr(f"web:{digest('of the environment')}"),
        "admin_keys": SecretStr(f"ops:{digest('of the operator')}"),
    }
    async with database(own_settings) as connection:
        client_key = await made(connection, "shop")
        admin_key = await made(connection, "boss", admin=True)
        async with client_of(own_settings.model_copy(update=configured)) as client:
            for key in ("of the environment", "of the operator", client_key, admin_key):
                assert (await client.get(SEARCH, headers=bearer(key))).status_code == 200
            reloads = {
                key: (await client.post("/prompts/reload", headers=bearer(key))).status_code
                for key in ("of the environment", "of the operator", client_key, admin_key)
            }
            assert reloads == {
                "of the environment": 403,
                "of the operator": 200,
                client_key: 403,
                admin_key: 200,
            }
            await revoke_keys(connection, "boss")
            await revoke_keys(connection, "shop")
            await answered(client, admin_key, 401)
            assert (await client.post("/prompts/reload", headers=bearer(admin_key))).status_code == 401
            assert (await client.get(SEARCH, headers=bearer("of the environment"))).status_code == 200


async def test_a_session_stays_its_owner_s_when_the_key_is_rotated(own_settings: Settings) -> None:
    async with database(own_settings) as connection:
        old, stranger = await made(connection, "shop"), await made(connection, "stranger")
        async with client_of(own_settings) as client:
            made_by_old = await client.post("/generate/invoke", json={"input": GENERATE}, headers=bearer(old))
            session = f"/sessions/{made_by_old.json()['output']['session_id']}"
            new = await rotate_key(connection, "shop", 5)
            await answered(client, new, 200)
            for key, wanted in ((new, 200), (old, 200), (stranger, 404)):
                assert (await client.get(session, headers=bearer(key))).status_code == wanted
            newest = await rotate_key(connection, "shop", 0)
            await answered(client, new, 401)
            await answered(client, old, 401)
            assert (await client.get(session, headers=bearer(newest))).status_code == 200


async def test_when_a_key_was_used_is_written_at_the_end_too(own_settings: Settings) -> None:
    async with database(own_settings) as connection:
        used = await made(connection, "used")
        await made(connection, "unused")
        async with client_of(own_settings) as client:
            assert (await client.get(SEARCH, headers=bearer(used))).status_code == 200
            assert (await client.get(SEARCH, headers=bearer("wrong"))).status_code == 401
            # Not on the way of a request.
            assert [row["last_used_at"] for row in await all_keys(connection)] == [None, None]
        [unused, seen] = [row["last_used_at"] for row in await all_keys(connection)]
        assert unused is None and seen is not None


async def test_a_use_is_written_while_the_service_runs(
    own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.keys.watch.WRITE_SECONDS", 0.0)
    async with database(own_settings) as connection:
        key = await made(connection, "shop")
        async with client_of(own_settings) as client:
            assert (await client.get(SEARCH, headers=bearer(key))).status_code == 200
            async with asyncio.timeout(time_limit()):
                while not (await all_keys(connection))[0]["last_used_at"]:
                    await asyncio.sleep(0.05)


async def test_while_the_database_is_away_the_keys_known_count(
    own_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    impatient = own_settings.model_copy(update={"database_timeout_seconds": 0.5})
    async with (
        stalling(impatient) as (behind, way),
        await open_pool(behind) as pool,
        database(own_settings) as connection,
    ):
        stays, goes = await made(connection, "stays"), await made(connection, "goes")
        keys = ApiKeys(None)
        async with watching(keys, pool, needed=None) as watch:
            assert watch.report()["ok"]
            way.stall()
            await revoke_keys(connection, "goes")
            with caplog.at_level(logging.WARNING, "serve.keys.watch"):
                await eventually(lambda: not watch.report()["ok"])
                await eventually(lambda: "cannot be read" in caplog.text)
            assert "not read for" in watch.report()["message"]
            assert owner(keys, stays) == "stays"
            assert owner(keys, goes) == "goes"
            way.resume()
            await eventually(lambda: owner(keys, goes) is None)
            assert owner(keys, stays) == "stays"
            await eventually(lambda: watch.report()["ok"])
            assert caplog.text.count("cannot be read") == 1


async def test_behind_a_pooler_keys_come_and_go_too(own_settings: Settings) -> None:
    keys = ApiKeys(None)
    with pooled(own_settings) as behind:
        async with (
            await open_pool(behind) as pool,
            database(behind) as connection,
            watching(keys, pool, needed=True),
        ):
            key = await made(connection, "shop")
            await eventually(lambda: owner(keys, key) == "shop")
            await rotate_key(connection, "shop", 0)
            await eventually(lambda: owner(keys, key) is None)


def stored(name: str, seconds_left: float | None = None) -> StoredKey:
    return StoredKey(1, name, admin=False, seconds_left=seconds_left)


def test_a_key_ends_on_time_whether_or_not_it_is_read_again() -> None:
    keys = ApiKeys(None)
    keys.fix_need(True)
    keys.store({digest("k"): stored("shop", 60.0)}, read_at=time.monotonic())
    assert owner(keys, "k") == "shop"
    keys.store({digest("k"): stored("shop", 60.0)}, read_at=time.monotonic() - 61)
    assert owner(keys, "k") is None


def test_where_all_are_revoked_an_administrator_is_not_told_that_there_is_none() -> None:
    keys = ApiKeys(None)
    with pytest.raises(ForbiddenError):
        keys.admin({})
    keys.fix_need(True)
    for headers in ({}, bearer("anything")):
        with pytest.raises(UnauthorizedError):
            keys.admin(headers)


def test_what_could_not_be_written_is_given_back_and_the_newest_use_counts() -> None:
    keys = ApiKeys(None)
    keys.fix_need(True)
    keys.store({digest("k"): stored("shop")}, read_at=0.0)
    assert keys.take_used() == {}
    keys.owner(bearer("k"))
    used = keys.take_used()
    assert set(used) == {1}
    assert keys.take_used() == {}
    keys.give_back_used({1: 5.0})
    assert keys.take_used() == {1: 5.0}
    keys.owner(bearer("k"))
    keys.give_back_used({1: 5.0})
    assert keys.take_used()[1] > 5.0
