"""Keys in PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from decimal import Decimal

import psycopg
import pytest

from serve.keys.store import (
    Limits,
    all_keys,
    are_stored,
    create_key,
    keys_in_force,
    revoke_keys,
    rotate_key,
    version,
    write_uses,
)
from tests.serve.keys import database, made
from tools.core.database import Connection
from tools.core.errors import SetupError
from tools.core.settings import Settings


@pytest.fixture
async def connection(empty_settings: Settings) -> AsyncIterator[Connection]:
    async with database(empty_settings) as opened:
        yield opened


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


async def in_force(connection: Connection) -> dict[str, str]:
    """The names of the keys in force, by their hashes."""
    return {hashed: key.name for hashed, key in (await keys_in_force(connection)).by_hash.items()}


async def test_a_key_is_stored_as_its_hash_alone_with_what_it_may(connection: Connection) -> None:
    assert not await are_stored(connection)
    limits = Limits(60, 5, 2_000_000, Decimal("12.50"))
    key = await create_key(connection, "shop", "admin", limits)
    other = await made(connection, "shop-2")
    assert len(key) >= 43 and key != other
    rows = await (await connection.execute("select * from api_keys order by id")).fetchall()
    assert rows[0]["hash"] == digest(key)
    assert key not in str(rows)
    assert {name: rows[0][name] for name in ("role", "runs_at_once", "usd_per_month")} == {
        "role": "admin",
        "runs_at_once": 5,
        "usd_per_month": Decimal("12.50"),
    }
    assert rows[1]["requests_per_minute"] is None
    found = (await keys_in_force(connection)).by_hash
    assert (found[digest(key)].admin, found[digest(other)].admin) == (True, False)
    assert await are_stored(connection)


@pytest.mark.parametrize(
    "name", ["", " ", "two words", ":", "a:", "visitor:1", "guest:x", "a,b", "x" * 101, "a\n"]
)
async def test_what_is_no_name_is_refused(connection: Connection, name: str) -> None:
    """`visitor:` and `guest:` are owners without a key: a key of such a name would see what is theirs."""
    with pytest.raises(SetupError, match="no name for a key"):
        await made(connection, name)
    assert not await are_stored(connection)


async def test_a_name_has_one_key_until_it_is_revoked(connection: Connection) -> None:
    await made(connection, "shop")
    with pytest.raises(SetupError, match="keys rotate shop"):
        await made(connection, "shop")
    assert await revoke_keys(connection, "shop") == 1
    assert await in_force(connection) == {}
    with pytest.raises(SetupError, match="no key that is in force"):
        await revoke_keys(connection, "shop")
    with pytest.raises(SetupError, match="no key that is in force"):
        await rotate_key(connection, "shop", 5)
    again = await made(connection, "shop")
    assert await in_force(connection) == {digest(again): "shop"}


async def test_a_rotated_key_has_name_role_and_limits_of_the_old_one(connection: Connection) -> None:
    old = await create_key(connection, "shop", "admin", Limits(runs_at_once=5))
    new = await rotate_key(connection, "shop", 0)
    assert await in_force(connection) == {digest(new): "shop"}
    assert digest(old) not in await in_force(connection)
    [revoked, current] = await all_keys(connection)
    assert (
        (revoked["runs_at_once"], revoked["role"])
        == (current["runs_at_once"], current["role"])
        == (5, "admin")
    )
    assert revoked["revoked_at"] and not current["revoked_at"] and not current["expires_at"]


async def test_the_old_key_may_be_kept_for_a_while(connection: Connection) -> None:
    first = await made(connection, "shop")
    second = await rotate_key(connection, "shop", 5)
    third = await rotate_key(connection, "shop", 60)
    found = (await keys_in_force(connection)).by_hash
    assert set(found) == {digest(first), digest(second), digest(third)}
    lefts = [found[digest(key)].seconds_left for key in (first, second, third)]
    # The first keeps the sooner end that it was given.
    assert lefts[0] and lefts[1] and 0 < lefts[0] <= 300 < lefts[1] <= 3600 and lefts[2] is None
    await connection.execute("update api_keys set expires_at = now() where hash = %s", [digest(first)])
    assert set(await in_force(connection)) == {digest(second), digest(third)}
    # A leaked key is got rid of with all of its name's.
    last = await rotate_key(connection, "shop", 0)
    assert set(await in_force(connection)) == {digest(last)}


async def test_two_that_rotate_at_once_leave_one_key_that_stays(empty_settings: Settings) -> None:
    async with database(empty_settings) as one, database(empty_settings) as other:
        await made(one, "shop")
        done = await asyncio.gather(
            rotate_key(one, "shop", 5), rotate_key(other, "shop", 5), return_exceptions=True
        )
        staying = [row for row in await all_keys(one) if not row["expires_at"]]
        assert len(staying) == 1
        # The second rotates what the first has made, or is told that there is nothing to rotate.
        assert all(isinstance(key, str | SetupError) for key in done)
        assert any(isinstance(key, str) for key in done)


async def test_every_change_of_who_may_call_is_another_version_and_a_use_is_none(
    connection: Connection,
) -> None:
    seen = {await version(connection)}
    for change in (
        made(connection, "shop"),
        rotate_key(connection, "shop", 5),
        revoke_keys(connection, "shop"),
    ):
        await change
        now = await version(connection)
        assert now not in seen
        assert (await keys_in_force(connection)).version == now
        seen.add(now)
    ids = [row["id"] for row in await (await connection.execute("select id from api_keys")).fetchall()]
    assert await write_uses(connection, dict.fromkeys(ids, 1.0), 60)
    assert await version(connection) in seen


async def test_the_last_use_is_written_at_most_once_a_minute(connection: Connection) -> None:
    await made(connection, "shop")
    await made(connection, "other")
    [other, shop] = [
        row["id"]
        for row in await (await connection.execute("select id from api_keys order by name")).fetchall()
    ]
    assert await write_uses(connection, {shop: 20.0}, 60) == [shop]
    [first] = [row["last_used_at"] for row in await all_keys(connection) if row["name"] == "shop"]
    # Another worker within the minute.
    assert await write_uses(connection, {shop: 0.0, other: 0.0}, 60) == [other]
    [again] = [row["last_used_at"] for row in await all_keys(connection) if row["name"] == "shop"]
    assert again == first
    await connection.execute("update api_keys set last_used_at = now() - interval '61 seconds'")
    assert set(await write_uses(connection, {shop: 0.0, other: 0.0}, 60)) == {shop, other}


async def test_what_another_worker_is_writing_is_passed_over(empty_settings: Settings) -> None:
    async with database(empty_settings) as one, database(empty_settings) as other:
        await made(one, "shop")
        [key] = (await keys_in_force(one)).by_hash.values()
        async with one.transaction():
            assert await write_uses(one, {key.key_id: 1.0}, 60) == [key.key_id]
            assert await write_uses(other, {key.key_id: 1.0}, 60) == []


async def test_a_limit_is_above_nothing(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        await create_key(connection, "shop", "client", Limits(runs_at_once=0))
