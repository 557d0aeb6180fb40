"""The command `checkerboard`, run as a person runs it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from serve import cli
from tests.databases import environment
from tests.pace import time_limit
from tests.places import passing_folder
from tests.serve.processes import COMMAND, free_port
from tools.core.database import open_pool
from tools.core.settings import Settings


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home of this module's own, where the first test makes the data of all. A test that fails
    leaves nothing running in it."""
    with passing_folder() as folder:
        yield folder
        for process in running(folder):
            with suppress(psutil.NoSuchProcess):
                process.kill()


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
    async with asyncio.timeout(time_limit()):
        while running(home):
            await asyncio.sleep(0.1)


async def command(home: Path, *words: str, cwd: Path, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        COMMAND,
        *words,
        cwd=cwd,
        env=os.environ | {"CHECKERBOARD_HOME": str(home), "COLUMNS": "200"} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def served(
    home: Path, cwd: Path, *words: str, **environment: str
) -> tuple[asyncio.subprocess.Process, str]:
    port = free_port()
    process = await command(home, "serve", "--port", str(port), *words, cwd=cwd, **environment)
    address = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(time_limit()), httpx.AsyncClient(timeout=time_limit()) as client:
        while True:
            assert process.returncode is None, await process.communicate()
            try:
                (await client.get(f"{address}/healthz")).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(0.3)
            else:
                return process, address


async def test_the_demo_prints_a_project_and_another_and_leaves_nothing(
    used_home: Path, tmp_path: Path
) -> None:
    """In a new home: it starts every part and loads the sample postings first."""
    process = await command(used_home, "demo", cwd=tmp_path)
    async with asyncio.timeout(2 * time_limit()):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    for node in ("build_query", "retrieve", "filter_jobs", "summarize"):
        assert output.count(node) == 1, node
    for node in ("propose_subjects", "generate_tasks"):
        assert output.count(node) == 2, node
    for heading in ("왜 이 프로젝트인가", "공고의 말", "다른 후보"):
        assert output.count(heading) == 2, heading
    await gone(used_home)


async def test_serving_twice_in_a_row_and_after_a_kill_and_nothing_is_left_after_ctrl_c(
    used_home: Path, tmp_path: Path, embedded: Settings
) -> None:
    # With a gateway, which is quick to answer: the offline model of this home would load its
    # dictionary first. It knows the postings by the name they were embedded under.
    gateway = {
        "OPENAI_API_KEY": "given",
        "OPENAI_BASE_URL": embedded.openai_base_url or "",
        "CHECKERBOARD_EMBEDDING_MODEL": "checkerboard-offline-embedding",
    }
    process, address = await served(used_home, tmp_path, **gateway)
    body = {"input": {"profile": {"desired_job": "백엔드 개발자"}}}
    async with httpx.AsyncClient(timeout=time_limit()) as client:
        ready = await client.get(f"{address}/readyz")
        answer = (await client.post(f"{address}/generate/invoke", json=body)).json()["output"]
    assert ready.json()["parts"]["postgres"]["postings"] >= 300
    process.kill()
    await asyncio.wait_for(process.wait(), time_limit())

    # Without any setting now. The sessions of the killed one are still there, and two workers serve
    # what one did.
    process, address = await served(used_home, tmp_path, "--workers", "2")
    async with httpx.AsyncClient(timeout=time_limit()) as client:
        session = await client.get(f"{address}/sessions/{answer['session_id']}")
    assert session.json()["project"] == answer["project"]
    assert {"postgres", "redis", "model"} <= {
        word for found in running(used_home) for word in found.info["cmdline"] or []
    }
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: the whole foreground group
    async with asyncio.timeout(time_limit()):
        await process.communicate()
    assert running(used_home) == []


def test_a_port_that_is_taken_is_named(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = address.rpartition(":")[2]
    said = refused(["serve", "--port", port], monkeypatch, capsys)
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said
    assert "make run PORT=" in said


async def test_studio_leaves_a_database_of_yours_as_it_is(
    empty_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(empty_settings).items():
        monkeypatch.setenv(name, value)
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["checkerboard", "studio", "--port", str(free_port())])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("tools.core.logs.configure", lambda *_: None)
    monkeypatch.setattr(os, "execv", lambda _, words: started.append(words))
    monkeypatch.chdir(Path.cwd())
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(cli.main)
    assert not ended.value.code
    assert started[0][1] == "dev"
    async with await open_pool(empty_settings) as pool, pool.connection() as connection:
        [row] = await (await connection.execute("select count(*) as postings from postings")).fetchall()
    assert row["postings"] == 0


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("CHECKERBOARD_REDIS_POOL", "many", "CHECKERBOARD_REDIS_POOL: "),
        ("CHECKERBOARD_MODELS", "{bad", "models"),
        ("CHECKERBOARD_API_KEYS", "secret", "CHECKERBOARD_API_KEYS is a list of name:sha256"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1", "OPENAI_API_KEY"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    named: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert named in refused(["doctor"], monkeypatch, capsys)


def refused(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs the command in this process, where it has to fail at once; returns what it says."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["checkerboard", *words])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("tools.core.logs.configure", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "Traceback" not in said.out + said.err
    return said.out + said.err


def test_help_names_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["checkerboard", "--help"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    said = capsys.readouterr().out
    for name in ("serve", "demo", "doctor", "ingest"):
        assert name in said


async def test_migrating_wants_a_database_and_brings_it_up_to_date(
    tmp_path: Path, empty_settings: Settings
) -> None:
    without = await command(tmp_path, "migrate", cwd=tmp_path, DATABASE_URL="")
    output, _ = await without.communicate()
    assert without.returncode == 1
    assert b"DATABASE_URL" in output

    assert empty_settings.database_url is not None
    for migrated in (True, False):
        process = await command(tmp_path, "migrate", cwd=tmp_path, DATABASE_URL=empty_settings.database_url)
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert (b"0001_postings.sql" in output) is migrated
