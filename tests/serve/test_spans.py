"""Traces by OpenTelemetry: one for a generation, from its request to models and stores, without words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import orjson

from tests.otlp import Receiver, Span, receiving
from tests.pace import time_limit
from tests.serve.processes import answer_of, working
from tools.core.settings import Settings

WORD = "토성의고리"
"""Stands in the profile and in a search, and nowhere else."""
PROFILE = {"desired_job": f"백엔드 개발자 {WORD}", "introduction": WORD * 3}
REQUEST_ID = "4f1c7a52-1d0e-4a57-9c39-3a3f6a2d9b11"
NODES = ("build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks")


async def traced(settings: Settings, receiver: Receiver, log: Path) -> tuple[str, httpx.Response]:
    """The session of one generation by a service of its own, which has ended, and the answer to it."""
    with log.open("wb") as said:
        async with working(
            settings,
            log=said.fileno(),
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            CHECKERBOARD_LOG_FORMAT="json",
        ) as service:
            response = await service.client.post(
                "/generate/invoke",
                json={"input": {"profile": PROFILE}},
                headers={"X-Request-ID": REQUEST_ID},
            )
            await service.client.get("/postings/search", params={"q": WORD})
            wrong = {"input": {"session_id": "nowhere"}}
            assert (await service.client.post("/regenerate/invoke", json=wrong)).status_code == 404
    return answer_of(response)["session_id"], response


def above(span: Span, spans: dict[str, Span]) -> list[str]:
    """The names of the spans that a span is inside of, from the nearest on."""
    names = []
    while span.parent_id:
        span = spans[span.parent_id]
        names.append(span.name)
    return names


async def test_a_generation_is_one_trace_from_its_request_to_models_and_stores(
    settings: Settings, tmp_path: Path
) -> None:
    async with receiving() as receiver:
        session_id, response = await traced(settings, receiver, tmp_path / "log")
    [request] = [span for span in receiver.spans if span.name == "POST /generate/invoke"]
    assert request.parent_id == ""
    spans = {span.span_id: span for span in receiver.trace(request.trace_id)}
    by_name = {span.name: span for span in spans.values()}
    assert by_name["run generate"].parent_id == request.span_id
    for node in NODES:
        assert above(by_name[f"node {node}"], spans)[-2:] == ["run generate", "POST /generate/invoke"]

    calls = [span for span in spans.values() if span.attributes.get("gen_ai.operation.name") == "chat"]
    versions = response.json()["output"]["versions"]
    asked = {name for name, made in versions.items() if isinstance(made, dict) and "prompt" in made}
    assert {call.attributes["gen_ai.prompt.name"] for call in calls} == asked
    for call in calls:
        purpose = call.attributes["gen_ai.prompt.name"]
        assert above(call, spans)[0] == f"node {purpose}"
        assert call.name == f"chat {versions[purpose]['model']}"
        assert call.attributes["gen_ai.request.model"] == versions[purpose]["model"]
        assert call.attributes["checkerboard.prompt.version"] == versions[purpose]["prompt"]
        assert call.attributes["gen_ai.usage.input_tokens"] > 0
        assert call.attributes["gen_ai.usage.output_tokens"] > 0
        assert call.attributes["gen_ai.conversation.id"] == session_id

    systems = {span.attributes.get("db.system") for span in spans.values()}
    assert {"postgresql", "redis"} <= systems
    stated = [span for span in spans.values() if span.attributes.get("db.system") == "postgresql"]
    assert any("node retrieve" in above(span, spans) for span in stated)

    # The ids are those of the log and of the answer.
    assert response.headers["x-request-id"] == REQUEST_ID
    lines = [orjson.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    [ended] = [line for line in lines if line["message"] == "run ended" and line["kind"] == "generate"]
    assert ended["trace_id"] == request.trace_id
    assert request.attributes["checkerboard.request_id"] == ended["request_id"] == REQUEST_ID
    for call in calls:
        assert call.attributes["checkerboard.run_id"] == ended["run_id"]
        assert call.attributes["checkerboard.session_id"] == ended["session_id"] == session_id

    # What failed has its code.
    [failed] = [span for span in receiver.spans if span.name == "run regenerate"]
    assert failed.failed
    assert failed.attributes["error.type"] == "session_not_found"

    # What belongs to nothing, such as a lease that is renewed, makes no trace.
    roots = {span.name for span in receiver.spans if not span.parent_id}
    assert roots == {"POST /generate/invoke", "GET /postings/search", "POST /regenerate/invoke"}
    assert {resource["service.name"] for resource in receiver.resources} == {"checkerboard"}
    for body in receiver.bodies:
        assert WORD not in body.decode(errors="replace")


async def test_a_receiver_that_does_not_answer_holds_nothing_up(settings: Settings, tmp_path: Path) -> None:
    async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(hanging, "127.0.0.1", 0)
    address = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with server:
        async with asyncio.timeout(time_limit()):
            await traced(settings, Receiver(url=address), tmp_path / "log")
    assert "spans were lost" in (tmp_path / "log").read_text(encoding="utf-8")
