"""What an operator does once the service runs (docs/operating.md), tried on real stores: an upgrade under
traffic, a backup that is brought back."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from ingest.pipeline.store import retry
from local.servers.postgres import _programs
from serve.keys import store
from tests.databases import cloned
from tests.ingest.pipeline.runs import POSTING, ingested, rows, write
from tests.pace import time_limit
from tests.serve.conftest import client_of
from tests.serve.test_kept import generated, kept
from tools.core import database
from tools.core.errors import SetupError
from tools.core.settings import Settings
from tools.core.sql import migrations, number

SEARCH = "/postings/search?q=백엔드 Java&k=5"
TO_COME = """-- oldest code: {oldest:04}
alter table kept_projects add column note text;
update kept_projects set note = 'migrated';
alter table postings add column note text;
"""


async def migrated_by_the_next_version(settings: Settings, *, oldest: int) -> None:
    """What `checkerboard migrate` of a version does that has one migration more."""
    newer = [*migrations(), ("9999_to_come.sql", TO_COME.format(oldest=oldest))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tools.core.database.migrations", lambda: newer)
        await database.migrate(str(settings.database_url))


@asynccontextmanager
async def traffic(*clients: httpx.AsyncClient) -> AsyncIterator[list[int]]:
    """Searches, generates, keeps, and reads what was kept; yields the status of each answer so far."""
    seen: list[int] = []
    ended = asyncio.Event()

    async def one(client: httpx.AsyncClient) -> None:
        while not ended.is_set():
            made = await kept(client, (await generated(client))["session_id"])
            for path in (SEARCH, f"/kept/{made['kept_id']}", "/readyz"):
                seen.append((await client.get(path)).status_code)

    async with asyncio.TaskGroup() as asking:
        for client in clients:
            asking.create_task(one(client))
        try:
            yield seen
        finally:
            ended.set()


async def answered(seen: list[int], more: int) -> None:
    """Waits until so many more answers have come."""
    wanted = len(seen) + more
    async with asyncio.timeout(time_limit()):
        while len(seen) < wanted:
            await asyncio.sleep(0.05)


async def test_a_migration_under_traffic_disturbs_no_worker_of_either_version(own: Settings) -> None:
    """The migration says that the code of before goes on: both serve beside each other, and the one of before
    may restart."""
    newest = max(number(name) for name, _ in migrations())
    async with client_of(own) as before, traffic(before) as seen:
        await answered(seen, 3)
        await migrated_by_the_next_version(own, oldest=newest)
        await answered(seen, 3)
        async with client_of(own) as restarted, traffic(restarted) as seen_there:
            await answered(seen, 3)
            await answered(seen_there, 3)
    assert {*seen, *seen_there} == {200}
    [migrated] = await rows(own, "select count(*) as n from kept_projects where note = 'migrated'")
    assert migrated["n"]


async def test_code_that_is_too_old_goes_on_where_it_runs_and_does_not_start_again(own: Settings) -> None:
    async with client_of(own) as before, traffic(before) as seen:
        await answered(seen, 1)
        await migrated_by_the_next_version(own, oldest=9999)
        await answered(seen, 3)
        with pytest.raises(SetupError, match=r"newer version.*9999_to_come\.sql"):
            await database.open_pool(own)
    assert set(seen) == {200}


async def run(program: str, *words: str) -> None:
    """Runs one of PostgreSQL's programs."""
    done = await asyncio.to_thread(
        subprocess.run,
        [_programs() / program, *words],
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=time_limit(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_what_is_brought_back_is_what_was_backed_up(
    own: Settings, embedded: Settings, tmp_path: Path
) -> None:
    """A dump and a copy of the raw files, taken while the service is at work, in a new database: postings are
    found as before, keys count, kept projects are read, documents are read anew from their raw files."""
    own = own.model_copy(update={"raw": tmp_path / "raw"})
    write(tmp_path / "in", "1.md", POSTING.format(n=1))
    await ingested(own, tmp_path / "in")
    async with await database.connect(str(own.database_url)) as connection:
        key = await store.create_key(connection, "shop", "client", store.Limits())
    bearer = {"authorization": f"Bearer {key}"}
    async with client_of(own) as client:
        client.headers.update(bearer)
        made = await kept(client, (await generated(client))["session_id"])
        shown = (await client.get(f"/kept/{made['kept_id']}")).json()
        found = (await client.get(SEARCH)).json()
        async with traffic(client) as seen:
            await answered(seen, 1)
            # The raw files after the dump: each that the dump names is there then.
            await run("pg_dump", "--format=custom", f"--file={tmp_path / 'dump'}", str(own.database_url))
            await asyncio.to_thread(shutil.copytree, tmp_path / "raw", tmp_path / "copy")
            await answered(seen, 1)
        assert set(seen) == {200}
    async with cloned(embedded, "template1") as empty:
        back = empty.model_copy(update={"raw": tmp_path / "copy"})
        await run("pg_restore", "--exit-on-error", f"--dbname={back.database_url}", str(tmp_path / "dump"))
        async with client_of(back) as client:
            assert (await client.get(SEARCH)).status_code == 401
            client.headers.update(bearer)
            assert (await client.get(f"/kept/{made['kept_id']}")).json() == shown
            again = (await client.get(SEARCH)).json()
            assert [one["posting_id"] for one in again] == [one["posting_id"] for one in found]
            assert (await client.get("/readyz")).json()["ready"]
        async with await database.open_pool(back) as pool:
            assert await retry(pool, ids=[], source=None, again_from="parse") == 1
        assert (await ingested(back)).reached["loaded"] == 1
