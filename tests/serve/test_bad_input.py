"""Bad input gets a clear error that names the field, never a bare 500 and never a traceback."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.conftest import client_of
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {"desired_job": "백엔드 개발자", "skills": ["Java"]}
BAD_PROFILES = {
    "empty": ({}, "profile.desired_job"),
    "blank job": ({"desired_job": "   "}, "profile.desired_job"),
    "null job": ({"desired_job": None}, "profile.desired_job"),
    "unknown key": ({**PROFILE, "hobby": "x"}, "profile.hobby"),
    "nested unknown key": ({**PROFILE, "educations": [{"grade": 1}]}, "profile.educations.0.grade"),
    "wrong type": ({**PROFILE, "skills": "Java"}, "profile.skills"),
    "wrong nested type": ({**PROFILE, "educations": [{"gpa": "high"}]}, "profile.educations.0.gpa"),
    "truth for a number": ({**PROFILE, "educations": [{"gpa": False}]}, "profile.educations.0.gpa"),
    "truth for hours": ({**PROFILE, "hours_per_week": True}, "profile.hours_per_week"),
    "unknown stage": ({**PROFILE, "career_stage": "retired"}, "profile.career_stage"),
    "control characters": ({**PROFILE, "introduction": "a\u0000b"}, "profile.introduction"),
    "an escape sequence": ({**PROFILE, "skills": ["\u001b[31m"]}, "profile.skills.0"),
    "a job of invisible characters": ({"desired_job": "\u200b\u200f"}, "profile.desired_job"),
    "200 kB of text": ({**PROFILE, "introduction": "가" * 66_000}, "profile.introduction"),
    "over-long in all": (
        {**PROFILE, "experiences": [{"description": "가" * 4_900}] * 5},
        "profile",
    ),
    "too many": ({**PROFILE, "skills": ["x"] * 101}, "profile.skills"),
}


def fields(response: httpx.Response) -> set[str]:
    return {field["field"] for field in response.json()["error"]["details"]["fields"]}


@pytest.mark.parametrize("endpoint", ["invoke", "stream", "batch"])
@pytest.mark.parametrize("case", BAD_PROFILES)
async def test_a_bad_profile_names_its_field(client: httpx.AsyncClient, endpoint: str, case: str) -> None:
    profile, field = BAD_PROFILES[case]
    given = {"profile": profile}
    body = {"inputs": [given]} if endpoint == "batch" else {"input": given}
    response = await client.post(f"/generate/{endpoint}", json=body)
    assert response.status_code == 422, response.text
    assert response.json()["error"]["code"] == "invalid_profile"
    assert (f"inputs.0.{field}" if endpoint == "batch" else field) in fields(response)
    assert "Traceback" not in response.text


async def test_an_item_of_a_batch_is_named_by_its_place(client: httpx.AsyncClient) -> None:
    inputs = [{"profile": PROFILE}, {"profile": {"desired_job": " ", "skills": ["x", ""]}}, {}]
    response = await client.post("/generate/batch", json={"inputs": inputs})
    assert fields(response) == {
        "inputs.1.profile.desired_job",
        "inputs.1.profile.skills.1",
        "inputs.2.profile",
    }
    inputs = [{"session_id": "0" * 32}, {"session_id": "0" * 32, "difficulty": "hard"}]
    response = await client.post("/regenerate/batch", json={"inputs": inputs})
    assert fields(response) == {"inputs.1.difficulty"}


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("generate/invoke", {"profile": PROFILE}, '{"input": {"profile": {"desired_job": "…"}}}'),
        ("generate/invoke", PROFILE, '{"input": {"profile": {"desired_job": "…"}}}'),
        (
            "generate/invoke",
            {"inputs": [{"profile": PROFILE}]},
            '{"input": {"profile": {"desired_job": "…"}}}',
        ),
        ("generate/stream", {"profile": PROFILE, "language": "en"}, '{"input": {"profile": {"desired_job"'),
        ("generate/stream_events", {}, '{"input": {"profile": {"desired_job": "…"}}}'),
        ("generate/invoke", [{"profile": PROFILE}], '{"input": {"profile": {"desired_job": "…"}}}'),
        ("generate/invoke", "백엔드", '{"input": {"profile": {"desired_job": "…"}}}'),
        (
            "generate/batch",
            {"input": {"profile": PROFILE}},
            '{"inputs": [{"profile": {"desired_job": "…"}}]}',
        ),
        ("generate/batch", [{"profile": PROFILE}], '{"inputs": [{"profile": {"desired_job": "…"}}]}'),
        ("regenerate/invoke", {"session_id": "0" * 32}, '{"input": {"session_id": "…"}}'),
        ("regenerate/batch", {"session_id": "0" * 32}, '{"inputs": [{"session_id": "…"}]}'),
    ],
)
async def test_who_forgets_to_wrap_the_input_is_told_how_a_body_looks(
    client: httpx.AsyncClient, path: str, body: Any, says: str
) -> None:
    response = await client.post(f"/{path}", json=body)
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["code"] == "invalid_request"
    (field,) = error["details"]["fields"]
    assert field["field"] == "body"
    assert says in field["problem"]


@pytest.mark.parametrize(
    ("endpoint", "members", "field"),
    [
        ("invoke", {"config": None}, "config"),
        ("invoke", {"config": []}, "config"),
        ("stream", {"config": "x"}, "config"),
        ("stream_events", {"config": 5}, "config"),
        ("invoke", {"kwargs": None}, "kwargs"),
        ("invoke", {"kwargs": [None]}, "kwargs"),
        ("stream_events", {"include_names": "x"}, "include_names"),
        ("stream_events", {"exclude_tags": [1]}, "exclude_tags.0"),
        ("batch", {"config": None}, "config"),
        ("batch", {"config": 5}, "config"),
        ("batch", {"config": [None]}, "config"),
        ("batch", {"config": [{}, {}]}, "body"),
        ("batch", {"kwargs": [None]}, "kwargs"),
        ("batch", {"kwargs": "x"}, "kwargs"),
        ("batch", {"inputs": None}, "inputs"),
        ("batch", {"inputs": {"0": {}}}, "inputs"),
        ("batch", {"inputs": [None]}, "inputs.0"),
        ("batch", {"inputs": "x"}, "inputs"),
        ("invoke", {"language": "en"}, "language"),
    ],
)
async def test_what_stands_beside_the_input_is_checked_too(
    client: httpx.AsyncClient, endpoint: str, members: dict[str, Any], field: str
) -> None:
    given: dict[str, Any] = (
        {"inputs": [{"profile": PROFILE}]} if endpoint == "batch" else {"input": {"profile": PROFILE}}
    )
    response = await client.post(f"/generate/{endpoint}", json=given | members)
    assert response.status_code == 422, response.text
    assert fields(response) == {field}


async def test_what_langserves_clients_send_beside_the_input_is_taken(client: httpx.AsyncClient) -> None:
    """LangChain's JavaScript client sends a list of keyword arguments with a batch, and `diff` for events."""
    body = {"inputs": [{"profile": PROFILE}] * 2, "config": [{"tags": ["a"]}, {}], "kwargs": [{}, {}]}
    assert (await client.post("/generate/batch", json=body)).status_code == 200
    events = {"input": {"profile": PROFILE}, "config": {"runName": "x"}, "diff": False, "include_names": None}
    assert (await client.post("/generate/stream_events", json=events)).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": {"profile": PROFILE, "language": "fr"}}, "language"),
        ({"input": {"profile": PROFILE, "k": 3}}, "k"),
        ({"input": {}}, "profile"),
        ({"input": None}, "body"),
        ({}, "body"),
        ([], "body"),
    ],
)
async def test_a_bad_request_names_its_field(client: httpx.AsyncClient, body: Any, field: str) -> None:
    response = await client.post("/generate/invoke", json=body)
    assert response.status_code == 422, response.text
    assert field in fields(response)


@pytest.mark.parametrize("endpoint", ["invoke", "stream", "batch", "stream_events"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"nonsense",
        b'{"input": {"profile": {"desired_job": "\xff\xfe"}}}',
        b'{"input": {"profile": {"desired_job": "\\ud800"}}}',
        b'{"input": ' + b"9" * 5_000 + b"}",
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b"[" * 100_000,
        b'{"input": 1e400}',
        b'{"input": NaN}',
    ],
    ids=[
        "nothing",
        "half",
        "utf-16",
        "a word",
        "no utf-8",
        "half a surrogate",
        "5,000 digits",
        "deep",
        "deeper",
        "beyond all numbers",
        "not a number",
    ],
)
async def test_a_body_that_is_no_json_is_refused(
    client: httpx.AsyncClient, endpoint: str, content: bytes
) -> None:
    response = await client.post(f"/generate/{endpoint}", content=content)
    assert response.status_code == 422, response.text
    assert response.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("path", ["kept", "runs", "agui/run", "profiles/from-resume", "prompts/reload"])
async def test_every_body_is_read_strictly(client: httpx.AsyncClient, path: str) -> None:
    """Not by FastAPI's own parser, which answers 400 or, where it is deep, 500."""
    declared = {"content-type": "application/json"}
    for content in (b"\xff\xfe", b"{", b'{"a": NaN}', b"[" * 100_000, b"[" * 1_000 + b"]" * 1_000):
        response = await client.post(f"/{path}", content=content, headers=declared)
        assert response.status_code == 422, (content[:20], response.text)
    response = await client.post(f"/{path}", content=b"{}", headers={"content-type": "text/plain"})
    assert response.status_code == 415


async def test_a_batch_that_is_too_large_is_refused_whole(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    response = await client.post("/generate/batch", json={"inputs": [{"profile": PROFILE}] * 11})
    assert response.status_code == 422
    assert fields(response) == {"inputs"}
    assert (await offline.calls())["total"] == 0


@pytest.mark.parametrize("path", ["assets/", "%00", "assets/nothing.js", "../../pyproject.toml"])
async def test_the_playground_has_no_other_files(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/generate/playground/{path}")).status_code == 404


async def test_a_huge_body_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    response = await client.post("/generate/invoke", content=b"x" * 1_100_000)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "invalid_request"
    assert fields(response) == {"body"}


async def test_a_huge_streamed_body_is_refused(client: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(12):
            yield b"x" * 100_000

    response = await client.post("/generate/invoke", content=chunks())
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "session_id"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "a b"}, "session_id"),
        ({"session_id": "*"}, "session_id"),
        ({"session_id": "x" * 65}, "session_id"),
        ({"session_id": "abc", "difficulty": "hard"}, "difficulty"),
        ({"session_id": "abc", "weeks": 0}, "weeks"),
        ({"session_id": "abc", "weeks": 27}, "weeks"),
        ({"session_id": "abc", "weeks": "few"}, "weeks"),
        ({"session_id": "abc", "feedback": "x" * 2_001}, "feedback"),
        ({"session_id": "abc", "feedback": "\u0007"}, "feedback"),
        ({"session_id": "abc", "thread_id": "x"}, "thread_id"),
    ],
)
async def test_a_bad_regeneration_names_its_field(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    response = await client.post("/regenerate/invoke", json={"input": body})
    assert response.status_code == 422, response.text
    assert field in fields(response)


async def test_an_unknown_session_is_404(client: httpx.AsyncClient) -> None:
    response = await client.post("/regenerate/invoke", json={"input": {"session_id": "0" * 32}})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "session_not_found"
    assert (await client.get(f"/sessions/{'0' * 32}")).status_code == 404


async def test_an_unknown_subject_is_422(client: httpx.AsyncClient) -> None:
    first = (await client.post("/generate/invoke", json={"input": {"profile": PROFILE}})).json()["output"]
    body = {"session_id": first["session_id"], "subject_id": "sub-none"}
    response = await client.post("/regenerate/invoke", json={"input": body})
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "subject_not_found"
    assert fields(response) == {"subject_id"}


@pytest.mark.parametrize("k", ["0", "-1", "101", "x", "1.5", "99999999999999999999"])
async def test_k_out_of_range_is_named(client: httpx.AsyncClient, k: str) -> None:
    response = await client.get("/postings/search", params={"q": "백엔드", "k": k})
    assert response.status_code == 422
    assert fields(response) == {"k"}


@pytest.mark.parametrize("q", ["", "x" * 1_001])
async def test_a_bad_query_is_named(client: httpx.AsyncClient, q: str) -> None:
    response = await client.get("/postings/search", params={"q": q})
    assert response.status_code == 422
    assert fields(response) == {"q"}


async def test_an_unknown_route_and_method_answer_in_our_form(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["error"]["code"] == "not_found"
    response = await client.delete("/healthz")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"
    assert response.headers["allow"] == "GET"


async def test_a_refused_method_is_told_all_that_the_path_takes(client: httpx.AsyncClient) -> None:
    """Also where several routes share a path."""
    assert (await client.put("/kept")).headers["allow"] == "GET, POST"
    assert (await client.put(f"/sessions/{'0' * 32}")).headers["allow"] == "GET, DELETE"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("server_error", 503, "model_unavailable"),
        ("rate_limit", 503, "model_unavailable"),
        ("cut_stream", 503, "model_unavailable"),
        ("invalid_json", 502, "model_output_invalid"),
        ("schema_violation", 502, "model_output_invalid"),
    ],
)
async def test_a_failing_model_is_a_typed_error_and_the_session_goes_on(
    client: httpx.AsyncClient, offline: Offline, fault: str, status: int, code: str
) -> None:
    await offline.behave(faults=[{"kind": fault, "schema": "ProjectPlan", "retry_after_seconds": 0}])
    failed = await assert_fails_and_goes_on(client, offline)
    assert failed == (status, code)


@pytest.mark.parametrize("limit", ["model_timeout_seconds", "run_timeout_seconds"])
async def test_a_model_that_does_not_answer_is_a_typed_error_within_the_limit_and_the_session_goes_on(
    settings: Settings, offline: Offline, limit: str
) -> None:
    await offline.behave(faults=[{"kind": "timeout", "schema": "ProjectPlan"}])
    async with client_of(settings.model_copy(update={limit: scaled(2)})) as client:
        failed = await assert_fails_and_goes_on(client, offline)
    assert failed == (503, "model_unavailable")


async def assert_fails_and_goes_on(client: httpx.AsyncClient, offline: Offline) -> tuple[int, str]:
    """Generates in vain, and then with a model that is well; the first response's status and code."""
    response = await client.post("/generate/invoke", json={"input": {"profile": PROFILE}})
    assert response.elapsed.total_seconds() < time_limit() / 2
    await offline.reset()
    error = response.json()["error"]
    again = await client.post(
        "/regenerate/invoke", json={"input": {"session_id": error["details"]["session_id"]}}
    )
    assert again.status_code == 200
    return response.status_code, error["code"]
