"""The log of real processes never has what people, documents, models or gateways said."""

from __future__ import annotations

import asyncio
import logging
import os
import re
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
from tests.serve.processes import COMMAND, eventually, free_port, working
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
            "CHECKERBOARD_MODEL_RETRIES": "2",
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


REQUEST_ID = "gateway-7c0f.1"


@pytest.mark.parametrize("form", ["console", "json"])
async def test_the_service_says_nothing_that_anybody_said(
    settings: Settings, gateway: tuple[Gateway, str], form: str
) -> None:
    made, url = gateway
    port = free_port()
    own = environment(settings, url) | {"CHECKERBOARD_LOG_FORMAT": form}
    async with (
        logged("serve", "--port", str(port), **own) as (process, said),
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
        named = {"X-Request-ID": REQUEST_ID}
        warned = await client.post("/generate/invoke", json=asked, headers=named)
        assert warned.status_code == 200, warned.text
        assert warned.headers["x-request-id"] == REQUEST_ID
        assert warned.json()["output"]["warnings"]
        made.failing = True
        assert (await client.post("/generate/invoke", json=asked)).status_code == 503
        for wrong in ({"input": {"profile": {PERSON: PERSON}}}, {"input": PERSON}):
            assert (await client.post("/generate/invoke", json=wrong)).status_code == 422
        for words in (PERSON.encode(), f"{REQUEST_ID} {GATEWAY}".encode(), b"short", b"x" * 129):
            sent = [(b"x-request-id", words)]
            made_anew = (await client.get("/healthz", headers=sent)).headers["x-request-id"]
            assert re.fullmatch("[0-9a-f]{32}", made_anew)
    log = said.result().decode()
    require_silent(log)
    assert "project goes out with warnings" in log
    assert log.count("run failed") == 1
    assert "model answer refused" in log
    assert "< APIStatusError(401)" in log
    if form == "json":
        lines = objects(log)
        assert all(line.keys() >= {"timestamp", "level", "logger", "message"} for line in lines)
        ended, failed = [line for line in lines if line["message"] == "run ended"]
        output, metadata = warned.json()["output"], warned.json()["metadata"]
        assert ended["session_id"] == output["session_id"]
        assert ended["request_id"] == REQUEST_ID
        assert ended["run_id"] == metadata["run_id"]
        assert (ended["kind"], ended["outcome"], ended["key"]) == ("generate", "succeeded", "")
        assert ended["milliseconds"] > 0
        assert ended["input_tokens"] > 0
        assert ended["output_tokens"] > 0
        assert "usd" in ended
        assert failed["outcome"] == "model_unavailable"
        # All that was said on behalf of the request, in whatever task.
        its = {line["message"] for line in lines if line.get("request_id") == REQUEST_ID}
        assert its >= {"model answer refused", "project goes out with warnings", "run ended"}
        assert any(line["logger"].startswith("uvicorn") for line in lines)
    else:
        assert f"request_id={REQUEST_ID!r}" in log


def objects(log: str) -> list[dict[str, Any]]:
    """The lines of a log for programs: nothing else is in it."""
    return [orjson.loads(line) for line in log.splitlines()]


async def test_workers_and_their_supervisor_log_in_the_same_form(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as said:
        form = {"CHECKERBOARD_LOG_FORMAT": "json"}
        async with working(settings, "--workers", "2", log=said.fileno(), **form):
            await eventually(lambda: b"a worker serves" in log.read_bytes())
    loggers = {line["logger"] for line in objects(log.read_text(encoding="utf-8"))}
    assert {"serve.supervisor", "uvicorn.error"} <= loggers


@pytest.mark.parametrize("failing", [False, True])
async def test_ingest_says_nothing_of_its_documents(
    empty_settings: Settings, gateway: tuple[Gateway, str], tmp_path: Path, *, failing: bool
) -> None:
    made, url = gateway
    made.failing = failing
    (tmp_path / "a.md").write_text(f"# {DOCUMENT} 백엔드 개발자\n\n담당 업무\n- {DOCUMENT} 서버 개발\n")
    (tmp_path / "b.jsonl").write_text(f'{{"id": 1, "job_title": ["{DOCUMENT}"]}}\n{{{DOCUMENT}\n')
    run = ("ingest", "run", f"folder:{tmp_path}")
    own = environment(empty_settings, url) | {"CHECKERBOARD_LOG_FORMAT": "json"}
    async with logged(*run, **own) as (process, said):
        async with asyncio.timeout(time_limit()):
            await process.wait()
    log = said.result().decode()
    require_silent(log)
    lines = objects("".join(line for line in log.splitlines(keepends=True) if line.startswith("{")))
    ended = [line for line in lines if line["message"] == "document ended"]
    for line in ended:
        assert line.keys() >= {"source", "source_id", "stage", "milliseconds", "pages", "input_tokens", "usd"}
    if failing:
        assert "model_unavailable" in log
    else:
        assert len(ended) == 3  # the file, and two rows
        assert "set_aside" in {line["outcome"] for line in ended}


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
