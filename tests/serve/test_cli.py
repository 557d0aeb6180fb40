"""The command `checkerboard`, run as a person runs it."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.serve.conftest import COMMAND, free_port

START_SECONDS = 60
STOP_SECONDS = 20


@pytest.fixture
def own_home() -> Iterator[Path]:
    """A home of the test's own, outside pytest's folders (see `home`)."""
    with tempfile.TemporaryDirectory(prefix="checkerboard-cli-") as folder:
        yield Path(folder)


def running(home: Path) -> list[psutil.Process]:
    """Every process that works for `home`."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environ = process.info["environ"] or {}
        words = [*(process.info["cmdline"] or []), environ.get("CHECKERBOARD_HOME", "")]
        if any(str(home) in word for word in words):
            found.append(process)
    return found


async def gone(home: Path) -> None:
    """Waits until nothing works for `home` any more."""
    async with asyncio.timeout(STOP_SECONDS):
        while running(home):
            await asyncio.sleep(0.1)


async def command(home: Path, *words: str, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        COMMAND,
        *words,
        cwd=cwd,
        env=os.environ | {"CHECKERBOARD_HOME": str(home), "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def served(home: Path, cwd: Path, *words: str) -> tuple[asyncio.subprocess.Process, str]:
    port = free_port()
    process = await command(home, "serve", "--port", str(port), *words, cwd=cwd)
    address = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, await process.communicate()
            try:
                (await client.get(f"{address}/readyz")).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return process, address


async def test_the_demo_prints_a_project_and_another_and_leaves_nothing(
    own_home: Path, tmp_path: Path
) -> None:
    process = await command(own_home, "demo", cwd=tmp_path)
    async with asyncio.timeout(START_SECONDS):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    for node in ("build_query", "retrieve", "filter_jobs", "summarize"):
        assert output.count(node) == 1, node
    for node in ("propose_subjects", "generate_tasks", "steps", "evidence", "candidates"):
        assert output.count(node) == 2, node
    await gone(own_home)


async def test_serving_twice_in_a_row_and_after_a_kill_and_nothing_is_left_after_ctrl_c(
    own_home: Path, tmp_path: Path
) -> None:
    process, address = await served(own_home, tmp_path)
    body = {"input": {"profile": {"desired_job": "백엔드 개발자"}}}
    async with httpx.AsyncClient(timeout=30) as client:
        answer = (await client.post(f"{address}/generate/invoke", json=body)).json()["output"]
    process.kill()
    await process.wait()

    # The sessions of the killed one are still there, and two workers serve what one did.
    process, address = await served(own_home, tmp_path, "--workers", "2")
    async with httpx.AsyncClient(timeout=30) as client:
        session = await client.get(f"{address}/sessions/{answer['session_id']}")
    assert session.json()["project"] == answer["project"]
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: the whole foreground group
    async with asyncio.timeout(STOP_SECONDS):
        await process.communicate()
    assert running(own_home) == []


async def test_a_port_that_is_taken_is_named(own_home: Path, tmp_path: Path, address: str) -> None:
    port = address.rpartition(":")[2]
    process = await command(own_home, "serve", "--port", port, cwd=tmp_path)
    async with asyncio.timeout(START_SECONDS):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in output
    assert "--port" in output
    assert "Traceback" not in output


async def test_a_setting_that_makes_no_sense_is_named(own_home: Path, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "doctor",
        cwd=tmp_path,
        env=os.environ | {"CHECKERBOARD_HOME": str(own_home), "CHECKERBOARD_REDIS_POOL": "many"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(START_SECONDS):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 1
    assert "redis_pool" in output
    assert "Traceback" not in output


async def test_help_names_every_command(own_home: Path, tmp_path: Path) -> None:
    process = await command(own_home, "--help", cwd=tmp_path)
    output = (await process.communicate())[0].decode()
    for name in ("serve", "demo", "doctor", "ingest"):
        assert name in output
