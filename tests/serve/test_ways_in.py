"""Whatever way somebody comes in, a trace hides what people say: the service's own commands, and LangGraph's
server, which brings a client of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from langgraph_sdk import get_client

from serve.demo import _sample
from tests import databases
from tests.langsmith import LangSmith, langsmith_standin
from tests.pace import time_limit
from tests.serve.processes import COMMAND, free_port
from tools.core.settings import CHECKOUT, Settings

WORD = "토성의고리"
"""Stands in what people send, and nowhere else."""
PROFILE = {
    "desired_job": "백엔드 개발자",
    "skills": ["Java", "Spring Boot"],
    "introduction": f"{WORD} 관측 동아리를 이끌었습니다.",
}
POSTING = f"""# 백엔드 개발자

회사: {WORD} 천문대

담당 업무
- {WORD} 관측 자료를 모으는 Java 서버를 개발합니다

자격 요건
- Java와 Spring Boot로 서버를 개발한 경험
"""


@pytest.fixture
def langsmith() -> Iterator[LangSmith]:
    with langsmith_standin() as running:
        yield running


@asynccontextmanager
async def process(
    settings: Settings, langsmith: LangSmith, *command: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that traces; ended with Ctrl-C where it has not ended by itself."""
    started = await asyncio.create_subprocess_exec(
        *command,
        cwd=CHECKOUT,
        env=os.environ
        | databases.environment(settings)
        | langsmith.environment()
        | {"LANGSMITH_TRACING": "true", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
        | environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGINT)
        async with asyncio.timeout(time_limit()):
            await started.wait()


def require_hidden(langsmith: LangSmith, *said: str) -> None:
    runs = langsmith.runs
    assert any(run["run_type"] == "llm" for run in runs), "the way in was traced"
    sent = orjson.dumps(runs).decode()
    assert [word for word in said if word in sent] == []
    assert not any(run["inputs"] or run["outputs"] for run in runs)


async def test_the_demo_hides(settings: Settings, langsmith: LangSmith) -> None:
    async with process(settings, langsmith, COMMAND, "demo") as demo, asyncio.timeout(time_limit()):
        assert await demo.wait() == 0
    sample = _sample(None)["profile"]
    require_hidden(langsmith, *(text for text in texts(sample) if len(text) > 10))
    assert any(run["name"] == "checkerboard" for run in langsmith.runs)


async def test_tagging_hides(empty_settings: Settings, langsmith: LangSmith, tmp_path: Path) -> None:
    (tmp_path / "posting.md").write_text(POSTING)
    ingest = (COMMAND, "ingest", "run", f"folder:{tmp_path}")
    async with process(empty_settings, langsmith, *ingest) as run, asyncio.timeout(time_limit()):
        assert await run.wait() == 0
    require_hidden(langsmith, WORD)


@pytest.mark.parametrize("fails", [False, True])
async def test_langgraph_s_server_hides(settings: Settings, langsmith: LangSmith, *, fails: bool) -> None:
    port = free_port()
    command = str(Path(sys.executable).with_name("langgraph"))
    serving = ("dev", "--no-browser", "--no-reload", "--port", str(port))
    # An answer of a model that cannot be had: the run ends with an error.
    broken = {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"} if fails else {}
    async with process(settings, langsmith, command, *serving, **broken) as server:
        address = f"http://127.0.0.1:{port}"
        await alive(f"{address}/ok", server)
        async with get_client(url=address, timeout=time_limit()) as client:
            thread = (await client.threads.create())["thread_id"]
            given: dict[str, Any] = {"profile": PROFILE, "language": "ko"}
            answered = await client.runs.wait(thread, "checkerboard", input=given, raise_error=False)
            await client.runs.wait(thread, "checkerboard", input={"profile": WORD}, raise_error=False)
        assert bool(answered.get("project")) is not fails
        await langsmith.until(lambda: sum(run["name"] == "checkerboard" for run in langsmith.runs) >= 2)
    runs = langsmith.runs
    assert len(runs) > 2
    sent = orjson.dumps(runs).decode()
    assert WORD not in sent
    assert "관측" not in sent
    assert not any(run["inputs"] or run["outputs"] for run in runs)
    assert {run["error"] for run in runs if run["error"]}


def texts(value: Any) -> list[str]:
    """All texts within a value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in inner for text in texts(item)]


async def alive(address: str, server: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(time_limit()), httpx.AsyncClient(timeout=time_limit()) as client:
        while True:
            assert server.returncode is None
            try:
                (await client.get(address)).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(0.3)
            else:
                return
