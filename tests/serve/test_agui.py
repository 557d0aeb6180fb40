"""AG-UI: a run's events become a stream that its clients accept, whatever comes in whatever order."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

import httpx
import jsonpatch
from ag_ui.core import Event as AgUiEvent
from ag_ui.encoder import EventEncoder
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from serve.agui import Translation, patch
from tests.offline import Offline
from tests.pace import time_limit
from tests.serve.processes import hold, nothing_in_flight
from tools.core.contracts import Answer

EVENT: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
TERMINAL = {"RUN_FINISHED", "RUN_ERROR"}
NODES = ("build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks")

TEXT = st.text(max_size=8)
KEYS = st.one_of(TEXT, st.sampled_from(["a/b", "~", "~1", "", "0", "-"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
SUBJECTS = st.fixed_dictionaries(
    {
        "id": TEXT,
        "title": TEXT,
        "description": TEXT,
        "goal": TEXT,
        "skills": st.lists(TEXT, max_size=3),
        "skill_gaps": st.just([]),
        "posting_ids": st.lists(TEXT, max_size=2),
        "wishes": st.lists(TEXT, max_size=2),
        "strengths": st.just([]),
        "not_covered": st.just([]),
    }
)
TASKS = st.fixed_dictionaries({"title": TEXT, "description": TEXT, "skills": st.just([])})
EVIDENCE = st.fixed_dictionaries({"posting_id": TEXT, "quote": TEXT, "claim": TEXT})
ANSWERS = st.fixed_dictionaries(
    {
        "session_id": st.just("s1"),
        "project": st.fixed_dictionaries(
            {
                "title": TEXT,
                "summary": TEXT,
                "steps": st.lists(
                    st.fixed_dictionaries({"title": TEXT, "tasks": st.lists(TASKS, max_size=2)}), max_size=2
                ),
                "evidence": st.lists(EVIDENCE, max_size=2),
            }
        ),
        "candidates": st.lists(SUBJECTS, max_size=2),
        "warnings": st.lists(st.fixed_dictionaries({"code": TEXT, "message": TEXT}), max_size=1),
        "summary": JSON,
    }
)
ERRORS = st.fixed_dictionaries(
    {
        "code": st.sampled_from(["model_unavailable", "run_cancelled", "run_in_progress"]),
        "message": TEXT,
        "details": st.dictionaries(TEXT, TEXT, max_size=1),
    }
)
POSITIONS = st.integers(0, 3)


def events_of(kind: str, data: st.SearchStrategy[Any], *, node: bool = True) -> st.SearchStrategy[Any]:
    nodes = st.sampled_from(NODES) if node else st.none()
    return st.builds(
        lambda where, given: {"type": kind, "node": where, "elapsed_ms": 1, "data": given}, nodes, data
    )


PROGRESS = st.one_of(
    events_of("queued", st.none(), node=False),
    events_of("gap", st.none(), node=False),
    events_of("node_started", st.just({"session_id": "s1"})),
    events_of("node_finished", TEXT),
    events_of(
        "subject",
        st.fixed_dictionaries({"attempt": st.integers(1, 2), "position": POSITIONS, "subject": SUBJECTS}),
    ),
    events_of(
        "task",
        st.fixed_dictionaries(
            {
                "attempt": st.integers(1, 2),
                "step": POSITIONS,
                "step_title": TEXT,
                "position": POSITIONS,
                "task": TASKS,
            }
        ),
    ),
    events_of(
        "withdrawn",
        st.fixed_dictionaries(
            {
                "attempt": st.integers(1, 2),
                "what": st.sampled_from(["subjects", "tasks"]),
                "positions": st.none() | st.lists(POSITIONS, max_size=2),
            }
        ),
    ),
)
ENDS = st.one_of(
    events_of("result", ANSWERS, node=False),
    events_of("error", ERRORS, node=False),
    events_of("reconnect", st.none(), node=False),
)
RUNS = st.builds(
    lambda before, end, after: [*before, end, *after],
    st.lists(PROGRESS, max_size=30),
    ENDS,
    st.lists(PROGRESS | ENDS, max_size=3),
)
"""The events of a run, and what may still come after its end."""


def sent(events: Iterable[dict[str, Any]], state: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What goes over the wire, as a client parses it: each event is one of the protocol's."""
    translation = Translation("thread", "run", {"session_id": "s1", "run_id": "r1", **(state or {})})
    encoder = EventEncoder()
    lines = [encoder.encode(event) for event in translation.begin()]
    for event in events:
        lines += [encoder.encode(made) for made in translation.of(event)]
    read = [json.loads(line.removeprefix("data: ")) for line in lines]
    for event in read:
        EVENT.validate_python(event)
    return read


def state_after(events: list[dict[str, Any]]) -> Any:
    """What a client's state is in the end."""
    state: Any = None
    for event in events:
        if event["type"] == "STATE_SNAPSHOT":
            state = event["snapshot"]
        elif event["type"] == "STATE_DELTA":
            state = jsonpatch.apply_patch(state, event["delta"])
    return state


def end_of(run: list[dict[str, Any]]) -> dict[str, Any]:
    return next(event for event in run if event["type"] in ("result", "error", "reconnect"))


@given(JSON, JSON)
def test_a_patch_makes_the_new_value_of_the_old(old: Any, new: Any) -> None:
    made = jsonpatch.apply_patch(old, list(patch(old, new)))
    assert json.dumps(made, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert list(patch(new, new)) == []


@given(RUNS)
def test_the_snapshot_and_its_deltas_make_the_answer(run: list[dict[str, Any]]) -> None:
    end = end_of(run)
    state = state_after(sent(run, {"profile": {"desired_job": "QA"}, "mine": [1]}))
    assert (state["run_id"], state["profile"], state["mine"]) == ("r1", {"desired_job": "QA"}, [1])
    if end["type"] == "result":
        assert {key: state[key] for key in end["data"]} == end["data"]
    assert state["session_id"] == "s1"


@given(RUNS)
def test_one_event_is_the_last_and_no_step_is_left_open(run: list[dict[str, Any]]) -> None:
    events = sent(run)
    assert [event["type"] for event in events if event["type"] in TERMINAL] == [events[-1]["type"]]
    assert events[0]["type"] == "RUN_STARTED"
    still_open: set[str] = set()
    for event in events:
        if event["type"] == "STEP_STARTED":
            assert event["stepName"] not in still_open
            still_open.add(event["stepName"])
        elif event["type"] == "STEP_FINISHED":
            still_open.remove(event["stepName"])
    assert not still_open


@given(RUNS)
def test_how_a_run_ended_is_told(run: list[dict[str, Any]]) -> None:
    end, last = end_of(run), sent(run)[-1]
    if end["type"] == "result":
        assert last["outcome"] == {"type": "success"}
    elif end["type"] == "reconnect":
        assert (last["type"], last["code"]) == ("RUN_ERROR", "worker_stopping")
    elif end["data"]["code"] == "run_cancelled":
        assert last["outcome"] == {"type": "cancelled"}
    else:
        assert (last["type"], last["code"]) == ("RUN_ERROR", end["data"]["code"])
        assert last["message"] == end["data"]["message"]


def subject(title: str) -> dict[str, Any]:
    return {
        "id": title, "title": title, "description": "d", "goal": "g", "skills": ["Java"], "skill_gaps": [],
        "posting_ids": ["p-1"], "wishes": [], "strengths": [], "not_covered": [],
    }  # fmt: skip


def of(kind: str, data: Any, node: str | None = "propose_subjects") -> dict[str, Any]:
    return {"type": kind, "node": node, "elapsed_ms": 5, "data": data}


def task(step: int, position: int, title: str) -> dict[str, Any]:
    made = {"attempt": 1, "step": step, "step_title": f"step {step}", "position": position}
    return of("task", {**made, "task": {"title": title}}, "generate_tasks")


def test_a_project_grows_task_by_task_and_what_fell_is_taken_back() -> None:
    proposed = [of("subject", {"attempt": 1, "position": n, "subject": subject(f"s{n}")}) for n in range(3)]
    grown = state_after(sent([*proposed, task(0, 0, "a"), task(0, 1, "b"), task(1, 0, "c")]))
    assert (grown["project"]["subject_id"], grown["project"]["title"]) == ("s0", "s0")
    assert [s["title"] for s in grown["candidates"]] == ["s1", "s2"]
    assert [[t["title"] for t in s["tasks"]] for s in grown["project"]["steps"]] == [["a", "b"], ["c"]]

    fallen = of("withdrawn", {"attempt": 1, "what": "subjects", "positions": [1]})
    left = state_after(sent([*proposed, fallen]))
    assert [s["title"] for s in left["candidates"]] == ["s2"]
    all_tasks = of("withdrawn", {"attempt": 1, "what": "tasks", "positions": None}, "generate_tasks")
    assert state_after(sent([*proposed, task(0, 0, "a"), all_tasks]))["project"]["steps"] == []


def test_a_task_is_sent_as_one_small_operation() -> None:
    proposed = of("subject", {"attempt": 1, "position": 0, "subject": subject("s")})
    *_, last = sent([proposed, task(0, 0, "a"), task(0, 1, "b")])
    assert last["delta"] == [{"op": "add", "path": "/project/steps/0/tasks/1", "value": {"title": "b"}}]


def test_what_was_answered_before_is_not_in_the_state_of_the_next_run() -> None:
    before: dict[str, Any] = dict.fromkeys(Answer.model_fields, "old") | {"session_id": "s1", "profile": {}}
    [_, snapshot] = sent([], before)
    assert snapshot["snapshot"] == {
        "session_id": "s1", "run_id": "r1", "profile": {}, "project": None, "candidates": [],
    }  # fmt: skip


PROFILE = {"desired_job": "백엔드 개발자", "skills": ["Java"]}


def asked(state: dict[str, Any] | None = None, *said: str, thread: str = "t", **more: Any) -> dict[str, Any]:
    """A body as a client sends it."""
    messages = [{"id": str(n), "role": "user", "content": words} for n, words in enumerate(said)]
    run = {"threadId": thread, "runId": uuid.uuid4().hex, "messages": messages, "tools": [], "context": []}
    return {**run, "state": state, "forwardedProps": {}, **more}


async def ran(client: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a run, to its end."""
    response = await client.post("/agui/run", json=body)
    assert response.status_code == 200, response.text
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]


async def state_of(client: httpx.AsyncClient, body: dict[str, Any]) -> Any:
    events = await ran(client, body)
    assert events[-1]["type"] == "RUN_FINISHED", events[-1]
    return state_after(events)


async def test_a_profile_in_the_state_begins_a_session_and_the_state_goes_on_with_it(
    client: httpx.AsyncClient,
) -> None:
    made = await state_of(client, asked({"profile": PROFILE, "language": "ko", "mine": 1}))
    view = (await client.get(f"/sessions/{made['session_id']}")).json()
    assert made["project"] == view["project"]
    assert (made["profile"], made["mine"]) == (PROFILE, 1)
    run = (await client.get(f"/runs/{made['run_id']}")).json()
    assert {key: made[key] for key in run["result"]} == run["result"]

    wishes = {"difficulty": "beginner", "weeks": 3}
    again = await state_of(client, asked({**made, "wishes": wishes}, "더 짧게 해 주세요"))
    assert again["session_id"] == made["session_id"]
    assert again["project"]["difficulty"] == "beginner"
    assert again["project"]["duration_weeks"] <= 3
    assert "wishes" not in again
    view = (await client.get(f"/sessions/{made['session_id']}")).json()
    assert view["wishes"] == {**wishes, "skills": [], "feedback": "더 짧게 해 주세요"}
    assert len(view["history"]) == 2


async def test_a_thread_that_is_a_session_is_gone_on_with(client: httpx.AsyncClient) -> None:
    made = await state_of(client, asked({"profile": PROFILE}))
    again = await state_of(client, asked(None, thread=made["session_id"]))
    assert again["session_id"] == made["session_id"]
    assert again["project"]["title"] != made["project"]["title"]
    assert again["profile"] == PROFILE


async def test_another_profile_or_a_session_that_is_gone_begins_anew(client: httpx.AsyncClient) -> None:
    made = await state_of(client, asked({"profile": PROFILE}, "결제 서버를 만들고 싶어요"))
    assert made["profile"]["introduction"] == "결제 서버를 만들고 싶어요"
    # The form that has not changed is still the session's, though words were added to it.
    same = await state_of(client, asked({**made, "profile": PROFILE}))
    assert same["session_id"] == made["session_id"]
    other = await state_of(client, asked({**made, "profile": {**PROFILE, "desired_job": "QA"}}))
    assert other["session_id"] != made["session_id"]
    assert (await client.delete(f"/sessions/{made['session_id']}")).status_code == 204
    anew = await state_of(client, asked(made))
    assert anew["session_id"] != made["session_id"]


async def test_what_cannot_be_begun_is_refused_by_its_status(client: httpx.AsyncClient) -> None:
    for body, code, field in (
        (asked(), "invalid_profile", "state.profile"),
        (asked({"profile": {"desired_job": " "}}), "invalid_profile", "state.profile.desired_job"),
        (asked({}, "!!"), "invalid_request", "messages.0.content"),
        (asked({"profile": PROFILE}, "a" * 6_000), "invalid_request", "messages.0.content"),
        (asked({"wishes": {"difficulty": "?"}}), "invalid_request", "state.wishes.difficulty"),
        (asked({"wishes": {"weeks": 0}}), "invalid_request", "state.wishes.weeks"),
        ({"runId": "r"}, "invalid_request", "threadId"),
    ):  # fmt: skip
        response = await client.post("/agui/run", json=body)
        assert response.status_code == 422, response.text
        error = response.json()["error"]
        assert error["code"] == code
        assert field in [problem["field"] for problem in error["details"]["fields"]]


async def test_a_run_that_fails_ends_with_its_error(client: httpx.AsyncClient, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "MarketSummary"}])
    *_, last = await ran(client, asked({"profile": PROFILE}))
    assert (last["type"], last["code"]) == ("RUN_ERROR", "model_unavailable")
    assert last["metadata"]["details"]["session_id"]


async def test_who_leaves_cancels_the_run_and_the_next_finds_what_was_paid_for(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    await hold(offline, "MarketSummary")
    state: Any = None
    async with client.stream("POST", "/agui/run", json=asked({"profile": PROFILE})) as response:
        async for line in response.aiter_lines():
            if '"STATE_SNAPSHOT"' in line:
                state = json.loads(line.removeprefix("data: "))["snapshot"]
            if '"stepName":"summarize"' in line:
                break
        await offline.working_on("MarketSummary")
    await nothing_in_flight(offline, within=time_limit())
    run = (await client.get(f"/runs/{state['run_id']}")).json()
    assert run["state"] == "cancelled"
    await offline.reset()
    made = await state_of(client, asked(state))
    assert made["session_id"] == state["session_id"]
    assert "JobVerdicts" not in (await offline.calls())["by_schema"]


async def test_a_run_that_has_not_ended_is_joined_and_one_that_is_cancelled_says_so(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    await hold(offline, "MarketSummary")
    run = (await client.post("/runs", json={"kind": "generate", "input": {"profile": PROFILE}})).json()
    await offline.working_on("MarketSummary")
    events = []
    async with client.stream("POST", "/agui/run", json=asked({"run_id": run["run_id"]})) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
                if events[-1].get("stepName") == "summarize" and events[-1]["type"] == "STEP_STARTED":
                    assert (await client.delete(f"/runs/{run['run_id']}")).status_code == 202
    assert events[1]["snapshot"]["session_id"] == run["session_id"]
    assert next(event["stepName"] for event in events if event["type"] == "STEP_STARTED") == "build_query"
    assert events[-2]["type"] == "STEP_FINISHED"
    assert events[-1]["outcome"] == {"type": "cancelled"}
