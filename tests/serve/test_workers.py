"""`serve --workers 2`: workers that die, a supervisor that dies, and a restart that nobody notices."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests import databases
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.processes import (
    COMMAND,
    GENERATE,
    answer_of,
    eventually,
    free_port,
    slow,
    workers_of,
    working,
)
from tools.core.settings import CHECKOUT, Settings

AT_ONCE = scaled(10)
"""A dead worker is noticed at once; what a loaded machine adds."""


@dataclass(frozen=True)
class Service:
    """A service with two workers: its supervisor, a client, and what it has logged."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    log: Path

    def workers(self) -> set[int]:
        """The worker processes that live."""
        return workers_of(self.process.pid)

    def serving(self) -> set[int]:
        """The workers that live and have said that they serve."""
        said = self.log.read_text(encoding="utf-8")
        return self.workers() & {int(pid) for pid in re.findall(r"a worker serves .*?pid=(\d+)", said)}

    async def both_serve(self) -> set[int]:
        """Waits until there are two workers and both serve; their process ids."""
        await eventually(lambda: len(self.serving()) == 2 == len(self.workers()))
        return self.serving()


@pytest.fixture(scope="module")
async def service(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """One for all tests here that leave it as it was; the last ends it."""
    log = tmp_path_factory.mktemp("service") / "log"
    with log.open("wb") as said:
        async with working(
            settings, "--workers", "2", log=said.fileno(), CHECKERBOARD_DRAIN_SECONDS=str(time_limit())
        ) as started:
            assert started.process
            yield Service(started.process, started.client, log)


async def test_a_restart_is_not_noticed_and_lets_runs_end(service: Service, offline: Offline) -> None:
    before = await service.both_serve()
    await slow(offline, scaled(1))
    runs = [
        asyncio.create_task(service.client.post("/generate/invoke", json={"input": GENERATE}))
        for _ in range(4)
    ]
    await offline.working_on("JobVerdicts")
    service.process.send_signal(signal.SIGHUP)
    asked = 0
    while service.workers() & before:
        (await service.client.get("/healthz")).raise_for_status()
        assert (await service.client.get("/sessions/unknown")).status_code == 404
        asked += 1
    assert asked
    assert not before & await service.both_serve()
    for run in await asyncio.gather(*runs):
        answer_of(run)


async def test_a_killed_supervisor_takes_its_workers_along(service: Service, offline: Offline) -> None:
    """Also one that is at work, and one that is starting in the place of a killed one."""
    killed = min(await service.both_serve())
    await offline.behave(faults=[{"kind": "timeout", "schema": "JobVerdicts"}])
    runs = [
        asyncio.create_task(service.client.post("/generate/invoke", json={"input": GENERATE}))
        for _ in range(4)
    ]
    await offline.working_on("JobVerdicts")
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: len(service.workers() - {killed}) == 2, within=AT_ONCE)
    workers = [psutil.Process(pid) for pid in service.workers()]
    service.process.kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, scaled(20))
    assert not alive
    await asyncio.gather(*runs, return_exceptions=True)


@asynccontextmanager
async def starting(settings: Settings, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts a service with two workers, and kills it if the test has not seen its end."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *("serve", "--workers", "2", "--port", str(free_port())),
        cwd=CHECKOUT,
        env=os.environ | databases.environment(settings) | {"COLUMNS": "300"} | environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def refusal(process: asyncio.subprocess.Process) -> str:
    """What a service says that cannot start."""
    async with asyncio.timeout(time_limit()):
        said = (await process.communicate())[1].decode()
    assert process.returncode == 1, said
    assert "Traceback" not in said
    return said


def workers_that(folder: Path, do: str) -> dict[str, str]:
    """An environment in which workers `do` this in place of starting."""
    code = f"import os, sys, time\nif 'serve.worker' in sys.orig_argv: {do}\n"
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


async def test_a_worker_that_dies_while_all_start_is_replaced_at_once_and_a_signal_is_heeded(
    settings: Settings, tmp_path: Path
) -> None:
    async with starting(settings, **workers_that(tmp_path, "time.sleep(600)")) as process:
        await eventually(lambda: len(workers_of(process.pid)) == 2)
        before = workers_of(process.pid)
        os.kill(killed := min(before), signal.SIGKILL)
        await eventually(lambda: len(workers_of(process.pid) - {killed}) == 2, within=AT_ONCE)
        for pid in workers_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(AT_ONCE):
            await process.communicate()
        assert process.returncode == 0


async def test_workers_that_die_at_their_start_end_the_service_with_one_line(
    settings: Settings, tmp_path: Path
) -> None:
    async with starting(settings, **workers_that(tmp_path, "os._exit(7)")) as process:
        last = (await refusal(process)).strip().splitlines()[-1]
    assert last.startswith("setup_failed: ")
    assert "workers in a row ended while they started, the last by status 7" in last


async def test_settings_are_checked_before_anything_is_said_to_be_served(settings: Settings) -> None:
    async with starting(settings, CHECKERBOARD_API_KEYS="web:1234") as process:
        said = await refusal(process)
    assert "CHECKERBOARD_API_KEYS" in said
    assert "Checkerboard on" not in said
