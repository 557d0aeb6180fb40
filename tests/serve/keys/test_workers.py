"""Stored keys as an operator meets them: commands, and workers that are processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx
import pytest

from serve.keys.store import all_keys, revoke_keys
from tests.databases import environment
from tests.pace import time_limit
from tests.serve.keys import bearer, database, made
from tests.serve.processes import COMMAND, eventually, workers_of, working, working_together
from tools.core.settings import Settings

ROUTE = "/prompts"


async def typed(settings: Settings, *words: str) -> tuple[int, str, str]:
    """Types `checkerboard keys …`; its exit code, and what it said and complained."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "keys",
        *words,
        env=os.environ | environment(settings) | {"COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(process.communicate(), time_limit())
    return process.returncode or 0, said.decode(), complained.decode()


async def status(client: httpx.AsyncClient, key: str | None = None) -> int:
    """What a route that wants a key answers, on a connection of its own: any of several workers."""
    headers = {"connection": "close"} | (bearer(key) if key else {})
    return (await client.get(ROUTE, headers=headers)).status_code


async def becomes(client: httpx.AsyncClient, key: str, wanted: int) -> None:
    async with asyncio.timeout(time_limit()):
        while await status(client, key) != wanted:
            await asyncio.sleep(0.05)


async def test_commands_change_who_may_call_on_every_worker(empty_settings: Settings) -> None:
    code, said, _ = await typed(
        empty_settings, "create", "shop", "--runs-at-once", "5", "--usd-per-month", "12.5"
    )
    old = said.strip()
    assert (code, said) == (0, f"{old}\n") and old.startswith("cb_")  # alone, to be piped
    async with working_together(empty_settings, 2) as workers:
        for worker in workers:
            assert await status(worker.client) == 401
            assert await status(worker.client, old) == 200
        code, said, _ = await typed(empty_settings, "rotate", "shop")
        new = said.strip()
        for worker in workers:
            await becomes(worker.client, new, 200)
            await becomes(worker.client, old, 401)
        assert (await typed(empty_settings, "revoke", "shop"))[:2] == (0, "shop: 1 revoked\n")
        for worker in workers:
            await becomes(worker.client, new, 401)
            assert await status(worker.client) == 401
    code, listed, _ = await typed(empty_settings, "list")
    assert code == 0
    assert listed.count("revoked") == 2
    assert "12.50" in listed
    assert old not in listed and new not in listed
    code, _, complained = await typed(empty_settings, "revoke", "shop")
    assert (code, "Traceback" in complained) == (1, False)
    assert "no key that is in force" in complained


@pytest.mark.parametrize("closed", [True, False], ids=["keys are needed", "no key is needed"])
async def test_a_worker_that_takes_another_s_place_is_told_what_that_one_was(
    empty_settings: Settings, closed: bool
) -> None:
    """Whatever has become of the keys meanwhile: no half of a service is open."""
    async with database(empty_settings) as connection:
        if closed:
            await made(connection, "shop")
        async with working(empty_settings, "--workers", "2") as worker:
            assert worker.process is not None
            wanted = 401 if closed else 200
            assert await status(worker.client) == wanted
            if closed:
                await revoke_keys(connection, "shop")
                await connection.execute("delete from api_keys")
            else:
                await made(connection, "shop")
            before = workers_of(worker.process.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            supervisor = worker.process.pid
            await eventually(lambda: len(workers_of(supervisor) - before) == 2, within=2 * time_limit())
            assert {await status(worker.client) for _ in range(6)} == {wanted}
            assert len(await all_keys(connection)) == (0 if closed else 1)


async def test_with_a_stored_key_another_address_is_served_without_a_word(empty_settings: Settings) -> None:
    async with database(empty_settings) as connection:
        key = await made(connection, "shop")
    async with working(empty_settings, "--host", "0.0.0.0") as worker:  # noqa: S104
        assert await status(worker.client, key) == 200
        assert await status(worker.client) == 401
