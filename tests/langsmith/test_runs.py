"""Traces in the stand-in: sent by the real SDK in each of its ways, and read back by it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from langsmith import AsyncClient, AsyncLangsmith, Client, traceable, tracing_context
from langsmith.run_helpers import get_current_run_tree
from langsmith.types.run_select_field import RunSelectField
from langsmith.utils import LangSmithNotFoundError

from tests.langsmith import Fault, Gate, LangSmith
from tests.pace import time_limit

deprecated = pytest.mark.filterwarnings("ignore:.*deprecated:Warning")
"""For what the SDK still offers, and people still use."""


@contextmanager
def background(standin: LangSmith) -> Iterator[Client]:
    """A client that sends runs from threads of its own, as by default."""
    made = Client(api_url=standin.url, api_key=standin.key)
    try:
        yield made
    finally:
        made.close(timeout=time_limit())


def traced(client: Client, project: str = "portfolio") -> dict[str, Any]:
    """Traces a call with a call in it, of which one fails."""

    @traceable(run_type="tool")
    def retrieve(query: str) -> list[str]:
        if not query:
            raise ValueError("no query")
        return ["백엔드 개발자"]

    @traceable(name="generate", tags=["ko"])
    def generate(profile: str) -> dict[str, Any]:
        run = get_current_run_tree()
        assert run is not None
        run.metadata["commit"] = "abcd1234"
        with pytest.raises(ValueError, match="no query"):
            retrieve("")
        return {"postings": retrieve(profile), "run_id": str(run.id)}

    with tracing_context(enabled=True, client=client, project_name=project):
        return generate("백엔드 지망생")


@pytest.mark.parametrize("ingest", ["zstd", "multipart", "batch"])
def test_runs_come_in_however_they_are_sent(
    standin: LangSmith, ingest: Literal["zstd", "multipart", "batch"]
) -> None:
    standin.ingest = ingest
    with background(standin) as client:
        told = traced(client)
        client.flush()
    path = "/runs/batch" if ingest == "batch" else "/runs/multipart"
    assert {p for p in standin.requests if p[0] == "POST"} == {("POST", path)}
    root, failed, found = standin.runs
    assert root["name"] == "generate"
    assert root["inputs"] == {"profile": "백엔드 지망생"}
    assert root["outputs"] == told
    assert root["tags"] == ["ko"]
    assert root["metadata"]["commit"] == "abcd1234"
    assert (root["status"], failed["status"], found["status"]) == ("success", "error", "success")
    assert "no query" in failed["error"]
    assert found["outputs"] == {"output": ["백엔드 개발자"]}
    assert failed["parent_run_id"] == found["parent_run_id"] == root["id"] == told["run_id"]


@deprecated
def test_runs_are_read_back_with_their_children(standin: LangSmith, client: Client) -> None:
    run_id = traced(client)["run_id"]
    assert standin.count("/runs", "POST") == 3
    read = client.read_run(run_id, load_child_runs=True)
    assert read.inputs == {"profile": "백엔드 지망생"}
    assert read.child_runs is not None
    assert [child.name for child in read.child_runs] == ["retrieve", "retrieve"]
    listed = list(client.list_runs(project_name="portfolio", is_root=True))
    assert [str(run.id) for run in listed] == [run_id]
    assert [run.name for run in client.list_runs(project_name="portfolio", error=True)] == ["retrieve"]
    with pytest.raises(LangSmithNotFoundError):
        client.read_run(uuid.uuid4())


async def test_the_newer_routes_read_the_same_runs(standin: LangSmith, client: Client) -> None:
    run_id = traced(client)["run_id"]
    project = str(client.read_project(project_name="portfolio").id)
    async with AsyncLangsmith(base_url=standin.url, api_key=standin.key) as api:
        selects: list[RunSelectField] = ["NAME", "INPUTS", "STATUS"]
        run = await api.runs.retrieve(run_id, project_id=project, selects=selects)
        assert (run.name, run.inputs, run.status) == ("generate", {"profile": "백엔드 지망생"}, "SUCCESS")
        assert run.outputs is None, "it was not selected"
        pages = api.runs.query(project_ids=[project], is_root=False, selects=["NAME"], page_size=1)
        assert [page.name async for page in pages] == ["retrieve", "retrieve"]
    assert standin.count("/v2/runs/query") == 2


def test_what_is_attached_comes_along(standin: LangSmith) -> None:
    with background(standin) as client:
        run_id = uuid.uuid4()
        client.multipart_ingest(
            create=[
                {
                    "id": run_id,
                    "trace_id": run_id,
                    "dotted_order": f"20260901T000000000000Z{run_id}",
                    "start_time": "2026-09-01T00:00:00",
                    "name": "parse",
                    "run_type": "parser",
                    "inputs": {},
                    "attachments": {"poster": ("image/png", b"\x89PNG\r\n--\r\n\r\n\xff")},
                }
            ]
        )
    assert standin.attachments == {(str(run_id), "poster"): b"\x89PNG\r\n--\r\n\r\n\xff"}


async def test_a_test_can_await_runs_that_come_in_the_background(standin: LangSmith) -> None:
    gate = Gate()
    standin.fail(Fault("/runs", gate=gate))
    with background(standin) as client:
        traced(client)
        await gate.reached()
        assert standin.runs == []
        gate.open()
        runs = await standin.until(lambda: len(standin.runs) == 3 and standin.runs)
        assert runs
        assert runs[0]["name"] == "generate"


@deprecated
async def test_feedback_lands_on_its_run(
    standin: LangSmith, client: Client, async_client: AsyncClient
) -> None:
    run_id = traced(client)["run_id"]
    project = client.read_project(project_name="portfolio").id
    said = client.create_feedback(run_id, "helpful", score=1, comment="좋아요", session_id=project)
    await async_client.create_feedback(run_id, "helpful", score=0.0)
    client.update_feedback(said.id, score=0.5)
    kept = list(client.list_feedback(run_ids=[run_id], feedback_key=["helpful"]))
    assert sorted((piece.score, piece.comment) for piece in kept) == [(0.0, None), (0.5, "좋아요")]
    assert client.read_run(run_id).feedback_stats == {"helpful": {"n": 2, "avg": 0.25}}
    client.delete_feedback(said.id)
    assert [piece["score"] for piece in standin.feedback] == [0.0]


def test_a_trace_is_kept_back_when_nothing_is_sampled(standin: LangSmith) -> None:
    quiet = Client(
        api_url=standin.url, api_key=standin.key, auto_batch_tracing=False, tracing_sampling_rate=0
    )
    traced(quiet)
    quiet.close()
    assert standin.requests == []
