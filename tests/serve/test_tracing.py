"""Traces in LangSmith: they name what made an answer, and keep what a person said to themselves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from langsmith.utils import get_env_var, get_tracer_project

from tests.langsmith import Fault, Gate, LangSmith, langsmith_standin
from tests.pace import scaled, time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import GENERATE, answer_of
from tools.core import tracing
from tools.core.settings import Settings

WORD = "토성의고리"
"""Stands in the profile, and nowhere else."""
PROFILE = {**GENERATE["profile"], "introduction": f"{WORD} 관측 동아리를 이끌었습니다."}


@pytest.fixture(scope="module")
def langsmith() -> Iterator[LangSmith]:
    with langsmith_standin() as running:
        yield running


def forget_environment() -> None:
    """The client reads the environment once a process."""
    get_env_var.cache_clear()  # type: ignore[attr-defined]
    get_tracer_project.cache_clear()


@pytest.fixture
def standin(langsmith: LangSmith, monkeypatch: pytest.MonkeyPatch) -> Iterator[LangSmith]:
    """The stand-in; traces go there."""
    for name, value in {**langsmith.environment(), "LANGSMITH_TRACING": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("LANGSMITH_USE_DAEMON", "LANGSMITH_DISABLE_RUN_COMPRESSION"):
        monkeypatch.setenv(name, "true")  # as the service does, so that it is undone here
    forget_environment()
    yield langsmith
    langsmith.mend()
    monkeypatch.undo()
    forget_environment()


async def traced_answer(settings: Settings) -> dict[str, Any]:
    """The answer of a service that traces and has ended."""
    async with client_of(settings) as client:
        return answer_of(await client.post("/generate/invoke", json={"input": {"profile": PROFILE}}))


async def test_a_trace_names_the_prompts_models_and_schemas_and_hides_what_was_said(
    settings: Settings, standin: LangSmith
) -> None:
    answer = await traced_answer(settings)
    versions = answer["versions"]
    runs = standin.runs
    [root] = [run for run in runs if run["name"] == "checkerboard"]
    assert root["metadata"]["prompts"]
    # As in the log.
    assert root["metadata"]["session_id"] == answer["session_id"]
    assert {"request_id", "run_id"} <= root["metadata"].keys()
    nodes = ("filter_jobs", "summarize", "propose_subjects", "generate_tasks")
    named = root["metadata"]["prompt_versions"]
    assert {node: named[node] for node in nodes} == {node: versions[node]["prompt"] for node in nodes}
    calls = {run["metadata"]["purpose"]: run for run in runs if run["run_type"] == "llm"}
    for node in nodes:
        assert {key: calls[node]["metadata"][key] for key in versions[node]} == versions[node]
        assert root["id"] in calls[node]["parent_run_ids"]
    assert WORD not in orjson.dumps(runs).decode()
    assert not any(run["inputs"] or run["outputs"] for run in runs)
    assert all(run["end_time"] for run in runs), "what was not sent yet was sent at the end"


async def test_inputs_and_outputs_are_shown_where_somebody_says_so(
    settings: Settings, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(standin.runs)
    monkeypatch.setenv("LANGSMITH_HIDE_INPUTS", "false")
    forget_environment()
    await traced_answer(settings)
    runs = standin.runs[before:]
    assert WORD in orjson.dumps([run["inputs"] for run in runs]).decode()
    assert not any(run["outputs"] for run in runs)


async def test_an_error_is_shown_by_its_class(empty_settings: Settings, standin: LangSmith) -> None:
    before = len(standin.runs)
    async with client_of(empty_settings) as client:
        response = await client.post("/generate/invoke", json={"input": {"profile": PROFILE}})
    assert response.status_code == 503
    errors = {run["error"] for run in standin.runs[before:] if run["error"]}
    assert errors == {"NoPostingsError"}


async def test_the_end_does_not_wait_for_a_langsmith_that_hangs(
    settings: Settings, standin: LangSmith, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "FLUSH_SECONDS", 0.2)
    gate, before, threads = Gate(), len(standin.runs), set(threading.enumerate())
    standin.fail(Fault("/runs", gate=gate))
    async with client_of(settings) as client:
        answer_of(await client.post("/generate/invoke", json={"input": {"profile": PROFILE}}))
        began = time.monotonic()
    assert time.monotonic() - began < scaled(5)
    assert "traces were lost" in caplog.text
    sending = set(threading.enumerate()) - threads
    assert sending
    # The end of the process waits for threads of pools, daemons or not.
    assert not [thread for thread in sending if thread.name.startswith("ThreadPoolExecutor")]
    gate.open()
    # What hung arrives after all, so that nothing is left to be sent while other tests run.
    await standin.until(lambda: len(runs := standin.runs) > before and all(run["end_time"] for run in runs))
    for thread in threading.enumerate():
        if thread.name == "langsmith-close":
            await asyncio.to_thread(thread.join, time_limit())


async def test_without_tracing_nothing_is_sent(
    settings: Settings, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    forget_environment()
    before = standin.count()
    await traced_answer(settings)
    assert standin.count() == before
