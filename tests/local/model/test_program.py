"""`python -m local.model`, the offline model as a process."""

from __future__ import annotations

import asyncio
import os
import sys

import httpx
import pytest

from tests.offline import OPENS, SECRET
from tests.pace import time_limit

MESSAGES = [{"role": "user", "content": "안녕"}]


async def test_the_program_says_where_it_listens() -> None:
    behaviour = '{"latency": {"mean_seconds": 3}, "faults": [{"kind": "server_error", "schema": "text"}]}'
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local.model",
        "--port",
        "0",
        env={
            **os.environ,
            "CHECKERBOARD_OFFLINE_BEHAVIOUR": behaviour,
            "CHECKERBOARD_OFFLINE_SECRET": SECRET,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        line = (await asyncio.wait_for(program.stdout.readline(), time_limit())).decode()
        url = line.removeprefix("listening on ").strip()
        assert url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(timeout=time_limit()) as http:
            set_ = (await http.get(url.replace("/v1", "/offline/behaviour"), headers=OPENS)).json()
            answer = await http.post(f"{url}/chat/completions", json={"model": "any", "messages": MESSAGES})
        assert set_["latency"]["mean_seconds"] == 3
        assert set_["faults"][0]["schema"] == "text"
        assert answer.status_code == 500
    finally:
        program.terminate()
    await asyncio.wait_for(program.wait(), time_limit())


@pytest.mark.parametrize("secret", [SECRET, ""])
async def test_the_controls_are_for_who_started_it(secret: str) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "local.model", "--port", "0"),
        env={**os.environ, "CHECKERBOARD_OFFLINE_SECRET": secret},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        line = (await asyncio.wait_for(program.stdout.readline(), time_limit())).decode()
        root = line.removeprefix("listening on ").strip().removesuffix("/v1")
        slow = {"latency": {"mean_seconds": 600}}
        async with httpx.AsyncClient(base_url=root, timeout=time_limit()) as http:
            for given in (
                {},
                {"Authorization": "Bearer"},
                {"Authorization": "Bearer é".encode()},
                {"Authorization": SECRET},
            ):
                for method, path in (
                    ("GET", "/offline/behaviour"),
                    ("PUT", "/offline/behaviour"),
                    ("DELETE", "/offline/behaviour"),
                    ("GET", "/offline/calls"),
                    ("DELETE", "/offline/calls"),
                ):
                    refused = await http.request(method, path, json=slow, headers=given)
                    assert refused.status_code == (401 if secret else 403)
                    assert "CHECKERBOARD_OFFLINE_SECRET" in refused.json()["error"]["message"]
                    assert SECRET not in refused.text
            opened = await http.get("/offline/behaviour", headers=OPENS)
            assert opened.status_code == (200 if secret else 403)
            answer = await http.post("/v1/chat/completions", json={"model": "any", "messages": MESSAGES})
            assert answer.status_code == 200, "what it is for needs no secret"
    finally:
        program.terminate()
    await asyncio.wait_for(program.wait(), time_limit())


async def test_the_program_refuses_a_wrong_behaviour() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "local.model", "--port", "0", "--behaviour", '{"latency": 3}'),
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(program.communicate(), time_limit())

    assert program.returncode == 2
    assert b"latency" in told
