"""The OpenAPI description is a promise: whatever is sent, what comes back is described, and no 500."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from serve.app import create_app
from tests.serve.conftest import client_of
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {
    "desired_job": "백엔드 개발자",
    "career_stage": None,
    "skills": ["Java"],
    "educations": [{"school": "한빛대학교", "gpa": 3.9, "gpa_max": 4.5}],
    "experiences": [{"company": "노을", "start": "2024-01", "description": None}],
}
GENERATE = {"profile": PROFILE, "language": "ko"}
REGENERATE = {
    "session_id": "0" * 32,
    "difficulty": "beginner",
    "weeks": 4,
    "skills": ["Kotlin"],
    "feedback": None,
}
RUNS = [
    (f"/{name}/{endpoint}", {"inputs": [given, given]} if endpoint == "batch" else {"input": given})
    for name, given in (("generate", GENERATE), ("regenerate", REGENERATE))
    for endpoint in ("invoke", "batch", "stream", "stream_events")
]
BODIES: dict[str, Any] = {
    **{
        path: {**body, "config": {"tags": ["a"], "configurable": {"x": 1}}, "kwargs": {}}
        for path, body in RUNS
    },
    "/prompts/reload": {"models": {"summarize": {"model": "x", "temperature": 0.1}}},
    "/prompts/filter_jobs.ko/pin": {"commit": "previous"},
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TRIES = bounds(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def header_values(length: int) -> st.SearchStrategy[str]:
    """What a header may hold: no control characters, and no white space around it."""
    letters = st.characters(min_codepoint=32, max_codepoint=255, blacklist_characters="\x7f")
    return st.text(letters, max_size=length).map(str.strip)


@pytest.fixture
async def unloaded(empty_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without postings: what is valid after all ends soon, in a described error."""
    async with client_of(empty_settings) as client:
        yield client


DESCRIPTION = create_app(Settings()).openapi()


def operation(method: str, path: str) -> dict[str, Any]:
    """What the description says of a request, whose path may have values in it."""
    if path in DESCRIPTION["paths"]:
        return dict(DESCRIPTION["paths"][path][method])
    for template, methods in DESCRIPTION["paths"].items():
        if method in methods and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return dict(methods[method])
    raise LookupError(path)


def assert_described(response: httpx.Response, path: str) -> None:
    """Status, media type and body of a response are those that the description promises."""
    said = operation(response.request.method.lower(), path)["responses"]
    assert response.status_code != 500, response.text
    assert str(response.status_code) in said, (path, response.status_code, response.text)
    kinds = said[str(response.status_code)].get("content")
    if kinds is None:
        assert response.content == b""
        return
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in kinds, (path, kind)
    if kind == "text/event-stream":
        for event in events(response.text):
            conforms(event, kinds[kind]["itemSchema"])
    else:
        conforms(response.json(), kinds[kind]["schema"])


def conforms(value: Any, schema: dict[str, Any]) -> None:
    """`value` is as `schema`, which may refer to the description's models."""
    jsonschema_rs.validate({**schema, "components": DESCRIPTION["components"]}, value)


def events(text: str) -> list[dict[str, str]]:
    """The server-sent events of a stream; their data is JSON of the form that the event's name promises."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        event = dict(re.findall(r"^(event|data): (.*)$", block, re.MULTILINE))
        if event:
            found.append(event)
    return found


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, the whole of it first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, item in inner for place in places(item, (*way, key)))]


def bent(value: Any, way: tuple[Any, ...], instead: Any, how: str) -> Any:
    """`value` with something else at a place, or nothing, or something added."""
    if not way:
        return instead
    changed = copy.deepcopy(value)
    at = changed
    for key in way[:-1]:
        at = at[key]
    if how == "drop":
        del at[way[-1]]
    elif how == "add" and isinstance(at, dict):
        at[str(instead)[:10]] = instead
    else:
        at[way[-1]] = instead
    return changed


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, Any]:
    """A route, and a body of it that is bent at one place or two."""
    path = draw(st.sampled_from(sorted(BODIES)))
    body = BODIES[path]
    for _ in range(draw(st.integers(1, 2))):
        way = draw(st.sampled_from(places(body)))
        body = bent(body, way, draw(JSON), draw(st.sampled_from(["instead", "drop", "add"])))
    return path, body


@TRIES
@given(asked=bodies())
@example(("/generate/invoke", {"input": GENERATE, "config": None}))
@example(("/generate/batch", {"inputs": None}))
@example(("/generate/batch", {"inputs": [GENERATE], "kwargs": [None]}))
@example(("/generate/batch", {"inputs": {"0": GENERATE}}))
@example(("/generate/stream", {"input": GENERATE, "config": {"configurable": None, "run_id": 5, "tags": 1}}))
@example(("/regenerate/stream_events", {"input": REGENERATE, "include_names": 5}))
async def test_any_body_gets_what_is_described(unloaded: httpx.AsyncClient, asked: tuple[str, Any]) -> None:
    path, body = asked
    response = await unloaded.post(
        path, content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert_described(response, path)


@TRIES
@given(
    path=st.sampled_from(["/postings/search", "/postings/{}", "/sessions/{}", "/prompts", "/prompts/{}/pin"]),
    word=st.text(min_size=1, max_size=60).map(
        lambda text: quote(text.encode("utf-8", "surrogatepass"), safe="")
    ),
    method=st.sampled_from(["GET", "DELETE", "POST"]),
    query=st.dictionaries(st.sampled_from(["q", "k", "changes", "other"]), st.text(max_size=30), max_size=3),
)
async def test_any_path_and_query_get_what_is_described(
    unloaded: httpx.AsyncClient, path: str, word: str, method: str, query: dict[str, str]
) -> None:
    words = {key: text.encode("utf-8", "replace") for key, text in query.items()}
    asked = path.format(word)
    response = await unloaded.request(method, asked, params=words)  # type: ignore[arg-type] - bytes, too
    if response.status_code in (404, 405) and response.json()["error"]["code"] in (
        "not_found",
        "method_not_allowed",
    ):
        return  # a dot or a slash leads to another route, or to none
    assert_described(response, path.format("x"))


@TRIES
@given(
    key=header_values(230),
    bearer=header_values(80),
    path=st.sampled_from([path for path, _ in RUNS]),
)
async def test_any_header_gets_what_is_described(
    unloaded: httpx.AsyncClient, key: str, bearer: str, path: str
) -> None:
    headers = [
        (b"idempotency-key", key.encode("latin-1")),
        (b"authorization", bearer.encode("latin-1")),
        (b"content-type", b"application/json"),
    ]
    response = await unloaded.post(path, content=json.dumps(dict(RUNS)[path]), headers=headers)
    assert_described(response, path)


@pytest.mark.parametrize("path", [path for path, _ in RUNS])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx", "é"]
)
async def test_a_body_that_is_not_declared_to_be_json_is_refused(
    unloaded: httpx.AsyncClient, path: str, kind: str
) -> None:
    headers = [(b"content-type", kind.encode())] if kind else []
    response = await unloaded.post(path, content=json.dumps(dict(RUNS)[path]), headers=headers)
    assert response.status_code == 415
    assert "application/json" in response.json()["error"]["message"]
    assert_described(response, path)


@pytest.mark.parametrize("path", ["/healthz", "/postings/search", "/prompts"])
async def test_a_page_of_another_site_gets_what_is_described(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"Origin": "https://elsewhere.example"})
    assert response.status_code == 403
    assert_described(response, path)


async def test_what_a_run_says_is_as_described(client: httpx.AsyncClient) -> None:
    asked = {"input": {"profile": {"desired_job": "데이터 엔지니어"}}}
    session_id = ""
    for endpoint in ("invoke", "stream", "stream_events"):
        response = await client.post(f"/generate/{endpoint}", json=asked)
        assert_described(response, f"/generate/{endpoint}")
        if endpoint == "invoke":
            session_id = response.json()["output"]["session_id"]
        else:
            kind = {"stream": "RunEvent", "stream_events": "LangChainEvent"}[endpoint]
            told = [json.loads(event["data"]) for event in events(response.text) if event["event"] == "data"]
            assert len(told) > 10
            for event in told:
                conforms(event, {"$ref": f"#/components/schemas/{kind}"})
    for path in (f"/sessions/{session_id}", "/readyz", "/healthz", "/prompts", "/postings/search?q=Java"):
        assert_described(await client.get(path), path.partition("?")[0])
    assert_described(await client.delete(f"/sessions/{session_id}"), f"/sessions/{session_id}")


async def test_a_failed_stream_is_as_described(unloaded: httpx.AsyncClient) -> None:
    response = await unloaded.post("/generate/stream", json={"input": GENERATE})
    last = [json.loads(event["data"]) for event in events(response.text) if event["event"] == "data"][-1]
    assert last["type"] == "error"
    conforms(last, {"$ref": "#/components/schemas/RunEvent"})
