"""The load experiment: its model, its figures, and one small run of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from evals.load.postings import postings
from evals.load.processes import Watch, Watched
from evals.load.report import plot, result, rows
from evals.load.standin_model import MARK
from tests.pace import time_limit
from tools.core.settings import CHECKOUT, Settings

MEANS = {"people": 2, "workers": 1, "mode": "async", "arrival": "burst", "time_scale": 1, "generations": 2}


@pytest.fixture
async def standin(embedded: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the stand-in, in front of the offline model."""
    assert embedded.openai_base_url is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "evals.load.standin_model", embedded.openai_base_url),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(time_limit()):
        root = (await process.stdout.readline()).decode().strip().removesuffix("/v1")
    try:
        async with aiohttp.ClientSession(root) as client:
            yield client
    finally:
        process.terminate()
        await process.wait()


async def embedded_text(client: aiohttp.ClientSession, text: str) -> bytes:
    body = {"model": "m", "input": [text], "dimensions": 64}
    async with client.post("/v1/embeddings", json=body) as response:
        assert response.status == 200
        return await response.read()


async def chat(client: aiohttp.ClientSession, text: str, **more: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    async with client.post("/v1/chat/completions", json=body) as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


async def counts(client: aiohttp.ClientSession) -> dict[str, Any]:
    async with client.get("/load/counts") as response:
        found: dict[str, Any] = await response.json()
        return found


async def test_questions_that_differ_in_the_mark_alone_are_asked_of_the_offline_model_once(
    standin: aiohttp.ClientSession,
) -> None:
    first = await embedded_text(standin, f"백엔드 개발자 {MARK % 1}")
    assert await embedded_text(standin, f"백엔드 개발자 {MARK % 2}") == first
    assert (await counts(standin))["unknown"] == 1
    assert await embedded_text(standin, f"게임 개발자 {MARK % 1}") != first
    assert (await counts(standin))["unknown"] == 2


async def test_an_answer_names_the_mark_of_who_asks(standin: aiohttp.ClientSession) -> None:
    as_json = {"response_format": {"type": "json_object"}}
    first = await chat(standin, MARK % 1, **as_json)
    second = await chat(standin, MARK % 2, **as_json)
    assert (MARK % 1 in str(first)) == (MARK % 2 in str(second))
    assert MARK % 1 not in str(second)
    assert (await counts(standin))["unknown"] == 1


async def test_a_chat_call_takes_the_time_that_is_drawn_and_is_counted_for_its_person(
    standin: aiohttp.ClientSession,
) -> None:
    latency = {"mean_seconds": 0.1, "deviation_seconds": 0}
    async with standin.put("/load/latency", json=latency) as response:
        assert response.status == 200
    await asyncio.gather(*(chat(standin, MARK % 7) for _ in range(3)))
    seen = await counts(standin)
    assert seen["seconds"] == {MARK % 7: pytest.approx(0.3)}
    assert (seen["answered"], seen["in_flight"], seen["unknown"]) == (3, 0, 0)


def test_no_posting_counts_as_another_ones_duplicate() -> None:
    made = postings(1_000)
    assert len({(posting.source, posting.source_id) for posting in made}) == 1_000
    assert len({(posting.company, posting.job_title, posting.text()) for posting in made}) > 990


def test_the_figures_tell_the_models_time_from_the_services() -> None:
    requests = [
        {"number": 1, "seconds": 10.5, "first_event": 0.1, "code": "result"},
        {"number": 2, "seconds": 20.5, "first_event": 0.3, "code": "result"},
        {"number": 3, "seconds": 0.2, "first_event": None, "code": "overloaded"},
    ]
    seen = {
        "seconds": {MARK % 1: 10.0, MARK % 2: 20.0},
        "answered": 8,
        "unknown": 0,
        "most_in_flight": 2,
        "given_up": 0,
    }
    watch = Watch({}, {"service": Watched(0, 2.0, 1_000_000, 3_000_000, 40)}, [0.1, 0.4])
    found = result(MEANS, requests, seen, watch, wall_seconds=20, overrides={})
    assert (found["wanted"], found["answered"], found["failed"]) == (4, 2, 2)
    assert found["codes"] == {"result": 2, "overloaded": 1}
    assert found["seconds_beside_the_model"]["most"] == 0.5
    assert found["seconds_to_a_refusal"]["most"] == 0.2
    assert found["late_seconds"]["most"] == 0.4
    assert found["processes"]["service"] == {
        "cores": 0.1,
        "cpu_ms_per_generation": 1_000.0,
        "most_mb": 3.0,
        "kb_per_person": 1_000.0,
        "most_files": 40,
    }
    assert rows([found])[0][1] == "2 of 4 (overloaded 1)"
    assert "50.0% answered" in plot([found])


async def test_a_small_experiment_ends_by_itself_with_everybody_answered(home: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    options = {"--people": 3, "--time-scale": 0.002, "--generations": 2, "--watching": 0.5}
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "evals.load",
            *(str(word) for pair in {**options, "--output": output}.items() for word in pair),
        ),
        cwd=CHECKOUT,
        env=os.environ | {"CHECKERBOARD_HOME": str(home / "measured")},
    )
    async with asyncio.timeout(2 * time_limit()):
        assert await process.wait() == 0
    found = json.loads(output.read_text())
    assert (found["answered"], found["wanted"], found["codes"]) == (6, 6, {"result": 6})
    assert found["model"]["unknown"] == 0
    assert found["seconds_to_the_first_event"] is not None
    assert set(found["processes"]) == {"service", "postgresql", "redis", "model", "people"}
