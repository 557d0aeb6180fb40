"""The log of real processes never has what people, documents, models or gateways said."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model.server import running
from tests import databases
from tests.pace import time_limit
from tests.serve.processes import COMMAND, free_port
from tools.core import logs
from tools.core.settings import CHECKOUT, Settings

PERSON, DOCUMENT, MODEL, GATEWAY = "토성의고리", "목성의위성", "해왕성의바람", "sk-천왕성의자전축"
MARKS = (PERSON, DOCUMENT, MODEL, GATEWAY)
MARKED = ("quote", "posting_id", "job_title")
PROFILE = {"desired_job": f"백엔드 개발자 {PERSON}", "introduction": PERSON * 3}


class Gateway:
    """Passes calls on to the offline model, and puts the model's mark into each quote and title that comes
    back; once told to fail, it refuses with an error that repeats key and prompt."""

    def __init__(self, behind: str) -> None:
        self._behind = behind.removesuffix("/v1")
        self.failing = False

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        chat = request.url.path.endswith("/chat/completions")
        if self.failing and chat:
            said = f"Incorrect API key {GATEWAY} for: {orjson.loads(body)['messages'][-1]['content']}"
            return Response(orjson.dumps({"error": {"message": said}}), 401, media_type="application/json")
        async with httpx.AsyncClient(timeout=time_limit()) as http:
            answer = await http.post(
                self._behind + request.url.path, content=body, headers={"content-type": "application/json"}
            )
        content = answer.content
        if chat:
            value = answer.json()
            message = value["choices"][0]["message"]
            message["content"] = orjson.dumps(marked(orjson.loads(message["content"]))).decode()
            content = orjson.dumps(value)
        return Response(content, answer.status_code, media_type="application/json")


def marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: f"{inner} {MODEL}"
            if key in ("quote", "posting_id", "job_title") and inner
            else marked(inner)
            for key, inner in value.items()
        }
    return [marked(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
async def gateway(embedded: Settings) -> AsyncIterator[tuple[Gateway, str]]:
    made = Gateway(embedded.openai_base_url or "")
    app = Starlette(routes=[Route("/{path:path}", made.answer, methods=["POST"])])
    async with running(app) as url:
        yield made, f"{url.removesuffix('/v1')}/v1"


def environment(settings: Settings, url: str) -> dict[str, str]:
    return (
        dict(os.environ)
        | databases.environment(settings)
        | {
            "OPENAI_API_KEY": GATEWAY.encode().hex(),
            "OPENAI_BASE_URL": url,
            "CHECKERBOARD_EMBEDDING_MODEL": "checkerboard-offline-embedding",
            "CHECKERBOARD_OUTPUT_RETRIES": "1",
            "CHECKERBOARD_MODEL_RETRIES": "0",
            "CHECKERBOARD_INGEST_ATTEMPTS": "1",
        }
    )


@asynccontextmanager
async def logged(*command: str, **environment: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    process = await asyncio.create_subprocess_exec(
        COMMAND, *command, cwd=CHECKOUT, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = asyncio.create_task(process.stderr.read())
    try:
        yield process, said
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(time_limit()):
            await process.wait()
            await said


def require_silent(log: str) -> None:
    assert [mark for mark in MARKS if mark in log or ascii(mark)[1:-1] in log] == []


async def test_the_service_says_nothing_that_anybody_said(
    settings: Settings, gateway: tuple[Gateway, str]
) -> None:
    made, url = gateway
    port = free_port()
    async with (
        logged("serve", "--port", str(port), **environment(settings, url)) as (process, said),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=time_limit()) as client,
    ):
        async with asyncio.timeout(time_limit()):
            while True:
                assert process.returncode is None
                try:
                    (await client.get("/healthz")).raise_for_status()
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
                else:
                    break
        asked = {"input": {"profile": PROFILE, "language": "ko"}}
        warned = await client.post("/generate/invoke", json=asked)
        assert warned.status_code == 200, warned.text
        assert warned.json()["output"]["warnings"]
        made.failing = True
        assert (await client.post("/generate/invoke", json=asked)).status_code == 503
        for wrong in ({"input": {"profile": {PERSON: PERSON}}}, {"input": PERSON}):
            assert (await client.post("/generate/invoke", json=wrong)).status_code == 422
    log = said.result().decode()
    require_silent(log)
    assert "project goes out with warnings" in log
    assert log.count("run failed") == 1
    assert "model answer refused" in log
    assert "< APIStatusError(401)" in log


@pytest.mark.parametrize("failing", [False, True])
async def test_ingest_says_nothing_of_its_documents(
    empty_settings: Settings, gateway: tuple[Gateway, str], tmp_path: Path, *, failing: bool
) -> None:
    made, url = gateway
    made.failing = failing
    (tmp_path / "a.md").write_text(f"# {DOCUMENT} 백엔드 개발자\n\n담당 업무\n- {DOCUMENT} 서버 개발\n")
    (tmp_path / "b.jsonl").write_text(f'{{"id": 1, "job_title": ["{DOCUMENT}"]}}\n{{{DOCUMENT}\n')
    run = ("ingest", "run", f"folder:{tmp_path}")
    async with logged(*run, **environment(empty_settings, url)) as (process, said):
        async with asyncio.timeout(time_limit()):
            await process.wait()
    log = said.result().decode()
    require_silent(log)
    assert ("model_unavailable" if failing else "outcome='set_aside'") in log


class Profile(BaseModel):
    """As a person's."""

    introduction: int


def test_an_error_is_shown_by_its_class_its_place_and_those_behind_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        try:
            Profile.model_validate({"introduction": PERSON})
        except ValidationError as error:
            try:
                raise ValueError(f"no profile: {error}") from error  # noqa: TRY301 - a chain of three
            except ValueError:
                raise LookupError(MODEL)  # noqa: B904 - what stands behind is found all the same

    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure()
        try:
            fail()
        except LookupError as error:
            named = logs.cause(error)
            logging.getLogger("tools.any").exception("it failed", extra={"cause": named})
            logging.getLogger("some.library").exception("Failed to send %s", error)  # noqa: TRY401 - as they do
            logging.getLogger("asyncio").warning(f"Task exception was never retrieved\nfuture: {error!r}")
            logging.getLogger("langsmith.client").warning(f"Failed to ingest runs: {error}")
    finally:
        root.handlers[:], root.level = before
    log = capsys.readouterr().err
    require_silent(log)
    assert "it failed" in log
    assert "Failed to send %s" in log
    assert "Task exception was never retrieved" in log
    assert "Failed to ingest runs" in log
    assert named == "LookupError < ValueError < ValidationError"
    assert "pydantic_core._pydantic_core.ValidationError" in log
    assert "in fail" in log
