"""A session belongs to the API key that made it: whatever another key asks, it sees and changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from pydantic import SecretStr

from serve.app import create_app
from serve.context import AppContext
from tests.offline import FOR_EVER, Offline
from tests.pace import time_limit
from tests.serve.conftest import client_of
from tools.core.contracts import Profile
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {"desired_job": "백엔드 개발자", "skills": ["Java"]}
KEYS = {"ada": "key-of-ada", "bob": "key-of-bob", "eve": "key-of-eve"}
OPEN = {"/", "/healthz", "/readyz", "/docs", "/openapi.json", "/playground/", "/static/style.css"}
UNKNOWN = "0" * 32
OTHERS = ("bob", "eve")
NOBODY: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"Authorization": "Bearer"},
    "garbage": {"Authorization": "Bearer garbage"},
    "the name": {"Authorization": "Bearer ada"},
    "the hash": {"Authorization": "Bearer " + hashlib.sha256(KEYS["ada"].encode()).hexdigest()},
    "another scheme": {"Authorization": f"Basic {KEYS['ada']}"},
    "two keys": {"Authorization": f"Bearer {KEYS['ada']} {KEYS['bob']}"},
}


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


class Service:
    """A server with three keys, and a session of Ada's on it."""

    def __init__(self, client: httpx.AsyncClient, session_id: str) -> None:
        self.client = client
        self.session_id = session_id

    async def view(self) -> dict[str, Any]:
        """Ada's session as she sees it."""
        response = await self.client.get(f"/sessions/{self.session_id}", headers=bearer("ada"))
        assert response.status_code == 200, response.text
        return dict(response.json())


@pytest.fixture(scope="module")
async def service(settings: Settings) -> AsyncIterator[Service]:
    configured = ",".join(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in KEYS.items())
    async with client_of(settings.model_copy(update={"api_keys": SecretStr(configured)})) as client:
        yield Service(client, await generated(client, "ada"))


async def generated(client: httpx.AsyncClient, name: str, **headers: str) -> str:
    body = {"input": {"profile": PROFILE}}
    response = await client.post("/generate/invoke", json=body, headers=bearer(name) | headers)
    assert response.status_code == 200, response.text
    return str(response.json()["output"]["session_id"])


def configs(session_id: str) -> st.SearchStrategy[dict[str, Any]]:
    """LangServe `config` bodies that name the session, its checkpoint or its owner wherever one can."""
    named = st.sampled_from(
        [session_id, f"session:{session_id}", f"checkpoint:{session_id}:", "ada", "", "*"]
    )
    configurable = st.dictionaries(
        st.sampled_from(
            ["thread_id", "checkpoint_id", "checkpoint_ns", "session_id", "owner", "caller", "user_id"]
        ),
        named,
        max_size=4,
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "configurable": configurable,
            "metadata": st.dictionaries(st.sampled_from(["thread_id", "owner", "session_id"]), named),
            "tags": st.lists(named, max_size=2),
            "run_id": st.just(str(uuid.UUID(session_id))) | st.just(session_id),
            "run_name": named,
            "recursion_limit": st.integers(-1, 100),
            "callbacks": st.none() | st.just([]),
            "max_concurrency": st.integers(1, 3),
        },
    )


ENDPOINTS = ("invoke", "stream", "batch", "stream_events")
ROUTES = ("GET", "DELETE", *ENDPOINTS)


async def ask(
    service: Service, headers: dict[str, str], route: str, config: Any, kwargs: Any
) -> httpx.Response:
    """Asks for Ada's session on one of the routes that take one."""
    if route in ("GET", "DELETE"):
        return await service.client.request(route, f"/sessions/{service.session_id}", headers=headers)
    given = {"session_id": service.session_id}
    body = {"inputs": [given]} if route == "batch" else {"input": given}
    body |= {"config": config, "kwargs": kwargs}
    return await service.client.post(f"/regenerate/{route}", json=body, headers=headers)


def assert_hidden(response: httpx.Response, route: str, session: dict[str, Any]) -> None:
    """The answer is that there is no such session, and nothing of the session is in it."""
    if response.status_code == 422:  # LangServe refused the config itself
        assert route in ENDPOINTS
    elif route in ("stream", "stream_events") and response.status_code == 200:
        assert "session_not_found" in response.text
    else:
        assert response.status_code == 404, (route, response.text)
        assert response.json()["error"]["code"] == "session_not_found"
    assert "run_in_progress" not in response.text
    assert_tells_nothing(response, session)


def assert_tells_nothing(response: httpx.Response, session: dict[str, Any]) -> None:
    for subject in (session["subject"], *session["candidates"]):
        assert subject["title"] not in response.text
        assert subject["id"] not in response.text


@bounds(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
async def test_no_other_key_sees_or_changes_a_session(service: Service, data: st.DataObject) -> None:
    before = await service.view()
    who = data.draw(st.sampled_from((*OTHERS, *NOBODY)))
    route = data.draw(st.sampled_from(ROUTES))
    config = data.draw(configs(service.session_id))
    kwargs = data.draw(st.sampled_from([{}, {"thread_id": service.session_id, "owner": "ada"}]))
    headers = bearer(who) if who in OTHERS else NOBODY[who]
    response = await ask(service, headers, route, config, kwargs)
    if who in OTHERS:
        assert_hidden(response, route, before)
    else:
        assert response.status_code == 401, (who, route, response.text)
        assert response.json()["error"]["code"] == "unauthorized"
        assert_tells_nothing(response, before)
    assert await service.view() == before


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("route", ROUTES)
async def test_no_other_key_sees_a_session_by_a_plain_request(service: Service, route: str, who: str) -> None:
    before = await service.view()
    response = await ask(service, bearer(who), route, {}, {})
    assert_hidden(response, route, before)
    assert response.status_code in (200, 404)
    assert await service.view() == before


@pytest.mark.parametrize("state", ["running", "cancelled", "succeeded"])
async def test_a_background_run_of_another_key_looks_like_one_that_never_was(
    service: Service, offline: Offline, state: str
) -> None:
    """Nor can it be watched, cancelled or resumed, and it is in no list."""
    if state != "succeeded":
        await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    asked = {"kind": "generate", "input": {"profile": PROFILE}}
    response = await service.client.post("/runs", json=asked, headers=bearer("ada"))
    assert response.status_code == 202, response.text
    run_id, session_id = response.json()["run_id"], response.json()["session_id"]
    own = f"/runs/{run_id}"

    async def run() -> dict[str, Any]:
        shown: dict[str, Any] = (await service.client.get(own, headers=bearer("ada"))).json()
        return shown

    if state == "cancelled":
        await service.client.delete(own, headers=bearer("ada"))
    async with asyncio.timeout(time_limit()):
        while (before := await run())["state"] != state:
            await asyncio.sleep(0.02)
    try:
        for who in (*OTHERS, *NOBODY):
            headers = bearer(who) if who in OTHERS else NOBODY[who]
            code = "run_not_found" if who in OTHERS else "unauthorized"
            for method, rest in (("GET", ""), ("GET", "/events"), ("DELETE", ""), ("POST", "/resume")):
                there, never = [
                    await service.client.request(method, f"/runs/{each}{rest}", headers=headers)
                    for each in (run_id, UNKNOWN)
                ]
                assert there.json()["error"]["code"] == code, (who, method, rest)
                assert (there.status_code, there.text) == (never.status_code, never.text)
            listed = await service.client.get("/runs", params={"session_id": session_id}, headers=headers)
            assert run_id not in listed.text
            assert listed.status_code == (200 if who in OTHERS else 401)
            further = {"kind": "regenerate", "input": {"session_id": session_id}}
            refused = await service.client.post("/runs", json=further, headers=headers)
            assert refused.json()["error"]["code"] == (
                "session_not_found" if who in OTHERS else "unauthorized"
            )
        assert await run() == before
        listed = await service.client.get("/runs", params={"session_id": session_id}, headers=bearer("ada"))
        assert [each["run_id"] for each in listed.json()["runs"]] == [run_id]
    finally:
        await service.client.delete(own, headers=bearer("ada"))
        await offline.in_flight(0)


async def test_a_session_at_work_is_not_found_by_another_key_either(
    service: Service, offline: Offline
) -> None:
    """A 409 would say that the session is there."""
    before = await service.view()
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    owners = asyncio.create_task(ask(service, bearer("ada"), "invoke", {}, {}))
    try:
        await offline.working_on("SubjectProposals")
        for route in ROUTES:
            assert_hidden(await ask(service, bearer("bob"), route, {}, {}), route, before)
        for route in ("DELETE", "invoke"):
            assert (await ask(service, bearer("ada"), route, {}, {})).status_code == 409
    finally:
        owners.cancel()
        await asyncio.wait({owners}, timeout=time_limit())
        await offline.in_flight(0)


async def test_an_owner_goes_on_with_a_session_whatever_the_config_names(service: Service) -> None:
    own, others = await generated(service.client, "bob"), service.session_id
    before = await service.view()
    body = {
        "input": {"session_id": own},
        "config": {"metadata": {"thread_id": others}, "run_id": str(uuid.UUID(others))},
    }
    response = await service.client.post("/regenerate/invoke", json=body, headers=bearer("bob"))
    assert response.status_code == 200, response.text
    assert response.json()["output"]["session_id"] == own
    assert await service.view() == before


async def test_another_keys_session_looks_like_one_that_never_was(service: Service) -> None:
    answers = []
    for session_id in (service.session_id, UNKNOWN):
        response = await service.client.get(f"/sessions/{session_id}", headers=bearer("bob"))
        answers.append(response.text.replace(session_id, "ID"))
    assert answers[0] == answers[1]


async def test_an_idempotency_key_never_gives_another_owners_answer(service: Service) -> None:
    made = [await generated(service.client, name, **{"Idempotency-Key": "shared"}) for name in KEYS]
    again = [await generated(service.client, name, **{"Idempotency-Key": "shared"}) for name in KEYS]
    assert made == again
    assert len(set(made)) == len(KEYS)


async def test_an_idempotency_key_opens_no_session_of_another(service: Service) -> None:
    before = await service.view()
    headers = {"Idempotency-Key": "of-bob"}
    bobs = await generated(service.client, "bob", **headers)
    body = {"input": {"session_id": service.session_id}}
    response = await service.client.post("/regenerate/invoke", json=body, headers=bearer("bob") | headers)
    assert response.status_code == 404
    response = await service.client.get(f"/sessions/{bobs}", headers=bearer("ada"))
    assert response.status_code == 404
    assert await service.view() == before


@cache
def routes() -> list[tuple[str, str]]:
    """Every method and path of the service: what OpenAPI lists, and the ones that it does not."""
    described = create_app(Settings()).openapi()["paths"]
    listed = [
        (method.upper(), re.sub(r"\{[^}]+\}", "0", path)) for path in described for method in described[path]
    ]
    runnables = [
        f"/{name}/{rest}" for name in ("generate", "regenerate") for rest in ("playground/", "c/x/invoke")
    ]
    unlisted = [*runnables, "/generate/input_schema", "/regenerate/output_schema", "/metrics", "/nowhere"]
    return sorted({*listed, *(("GET", path) for path in unlisted), *(("POST", path) for path in unlisted)})


@pytest.mark.parametrize("nobody", ["none", "garbage"])
async def test_nothing_but_health_and_description_answers_without_a_key(
    service: Service, nobody: str
) -> None:
    for method, path in routes():
        response = await service.client.request(method, path, json={}, headers=NOBODY[nobody])
        if path in OPEN:
            assert response.status_code in (200, 405), (method, path)
        else:
            assert response.status_code in (401, 404, 405), (method, path, response.status_code)
            # What is not there is not there for anybody.
            known = await service.client.request(method, path, json={}, headers=bearer("ada"))
            if response.status_code != 401:
                assert known.status_code == response.status_code, (method, path)


@pytest.mark.parametrize("path", sorted(OPEN))
async def test_health_and_description_need_no_key(service: Service, path: str) -> None:
    assert (await service.client.get(path)).status_code == 200


async def test_a_wrong_key_is_told_before_a_wrong_body(service: Service) -> None:
    for path in ("/generate/invoke", "/generate/batch", "/regenerate/stream", "/regenerate/stream_events"):
        response = await service.client.post(path, content=b"{", headers=NOBODY["garbage"])
        assert response.status_code == 401, path


async def test_session_ids_cannot_be_guessed(service: Service) -> None:
    """As they are served: 32 hexadecimal digits of a random UUID."""
    made = await asyncio.gather(*(generated(service.client, "eve") for _ in range(3)))
    assert len({*made, service.session_id}) == 4
    for session_id in made:
        assert re.fullmatch("[0-9a-f]{32}", session_id)
        assert uuid.UUID(session_id).version == 4


async def test_a_thousand_session_ids_are_all_different(app_context: AppContext) -> None:
    made = [app_context.sessions.generate(Profile(**PROFILE), "ko").session_id for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert all(re.fullmatch("[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", each) for each in made)
    for digit in (0, 8, 20, 31):  # no counter, no clock
        assert len({each[digit] for each in made}) == 16
