"""LangGraph Studio's way in: `langgraph dev` serves the graph, and the SDK does what Studio does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.databases import environment
from tests.pace import time_limit
from tests.serve.processes import free_port
from tools.core.contracts import Profile
from tools.core.settings import CHECKOUT, Settings

COMMAND = str(Path(sys.executable).with_name("langgraph"))
REQUEST = {"profile": {"desired_job": "백엔드 개발자", "skills": ["Java", "Spring Boot"]}, "language": "ko"}


@pytest.fixture(scope="module")
async def studio(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LangGraphClient]:
    """A client of a running `langgraph dev`."""
    port = free_port()
    log = tmp_path_factory.mktemp("studio") / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "dev",
            "--no-browser",
            "--no-reload",
            "--port",
            str(port),
            cwd=CHECKOUT,
            stdout=output,
            stderr=output,
            env=os.environ
            | environment(settings)
            | {
                "LANGSMITH_TRACING": "false",
                "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            },
        )
    try:
        await _alive(f"http://127.0.0.1:{port}/ok", process, log)
        async with get_client(url=f"http://127.0.0.1:{port}", timeout=time_limit()) as client:
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(time_limit()):
            await process.wait()


async def _alive(address: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(time_limit()), httpx.AsyncClient(timeout=time_limit()) as client:
        while True:
            assert process.returncode is None, log.read_text()
            try:
                (await client.get(address)).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(0.3)
            else:
                return


async def test_studio_runs_reads_edits_and_resumes(studio: LangGraphClient) -> None:
    thread = (await studio.threads.create())["thread_id"]
    updates = [
        part.data
        async for part in studio.runs.stream(thread, "checkerboard", input=REQUEST, stream_mode="updates")
        if part.event == "updates"
    ]
    nodes = [next(iter(update)) for update in updates]
    assert nodes == [
        "build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks",
    ]  # fmt: skip

    history = await studio.threads.get_history(thread, limit=20)
    assert history[0]["values"]["project"]["evidence"]
    assert len(history) > len(nodes), "every step is a checkpoint one can go back to"

    # What Studio's "edit state" does: the skills of the summary are replaced, as if summarize had said so.
    summary = history[0]["values"]["summary"]
    summary["skills"] = [line for line in summary["skills"] if line["text"] != "Docker"]
    await studio.threads.update_state(thread, {"summary": summary}, as_node="summarize")
    resumed = [
        part.data
        async for part in studio.runs.stream(thread, "checkerboard", input=None, stream_mode="updates")
        if part.event == "updates"
    ]
    assert [next(iter(update)) for update in resumed] == ["propose_subjects", "generate_tasks"]

    values = (await studio.threads.get_state(thread))["values"]
    assert values["summary"] == summary
    assert len(values["history"]) == 2
    assert len(values["rejected"]) == 4


async def test_studio_draws_the_graph_it_serves(studio: LangGraphClient) -> None:
    assistant = (await studio.assistants.search(graph_id="checkerboard"))[0]
    drawn = await studio.assistants.get_graph(assistant["assistant_id"])
    assert {"build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks"} <= {
        node["id"] for node in drawn["nodes"]
    }
    schemas = await studio.assistants.get_schemas(assistant["assistant_id"])
    given = schemas["input_schema"]
    assert set(given["properties"]) == {"profile", "language", "turn"}
    form = given["$defs"][given["properties"]["profile"]["$ref"].removeprefix("#/$defs/")]
    assert set(form["properties"]) == set(Profile.model_fields)
    assert not schemas["context_schema"].get("properties")


async def test_a_context_of_the_request_replaces_no_service(studio: LangGraphClient) -> None:
    thread = (await studio.threads.create())["thread_id"]
    context = {"chat": "another", "anything": 1}
    values = await studio.runs.wait(thread, "checkerboard", input=REQUEST, context=context)
    assert isinstance(values, dict)
    assert values["project"]["evidence"]
