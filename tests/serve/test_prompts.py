"""Prompts that change while the service runs: the routes, who may use them, and what answers say."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from pydantic import SecretStr

from local.servers import embedded_servers
from serve.context import AppContext, open_app_context
from tests.databases import cloned
from tests.langsmith import Fault, LangSmith, langsmith_standin
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.places import passing_folder
from tests.serve.conftest import client_of
from tests.serve.processes import GENERATE, PROFILE, answer_of, code_of
from tools.core.contracts import Profile
from tools.core.settings import Settings
from tools.prompts.registry import PACKAGES, PromptRegistry

FILES = PromptRegistry.bundled(*PACKAGES).files
NODES = ("filter_jobs", "summarize", "propose_subjects", "generate_tasks")
RUNNING = 100
AFTERWARDS = 5


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


ADMIN = bearer("admin-key")


def commit_all(standin: LangSmith, note: str) -> dict[str, str]:
    """Commits the Korean prompts of all nodes with a line more; the versions that answers will name."""
    versions = {}
    for node in NODES:
        texts = FILES[f"{node}.ko"].texts
        name = f"own-{node}"
        commit = standin.commit(name, [("system", f"{texts.system}\n{note}"), ("human", texts.human)])
        versions[node] = f"{name}:{commit}"
    return versions


def versions_of(answer: dict[str, Any]) -> dict[str, str]:
    """The prompts that an answer was made with, by node."""
    return {node: answer["versions"][node]["prompt"] for node in NODES}


@pytest.fixture(scope="module")
def langsmith() -> Iterator[LangSmith]:
    with langsmith_standin() as running:
        yield running


@pytest.fixture(scope="module")
async def with_hub(
    embedded: Settings, samples_template: str, langsmith: LangSmith
) -> AsyncIterator[Settings]:
    """Settings with the sample postings, a Redis of these tests' own, since every worker on one answers
    from the same prompts, and a hub that names the prompts of all nodes."""
    commit_all(langsmith, "처음")
    named = [f"{node}.ko=own-{node}" for node in NODES]
    unused = Settings(database_url="postgresql://", openai_api_key=SecretStr("unused"))
    with (
        passing_folder() as folder,
        embedded_servers(unused.model_copy(update={"home": folder})) as own_redis,
    ):
        async with cloned(embedded, samples_template) as own:
            yield own.model_copy(
                update={
                    "redis_url": own_redis.redis_url,
                    "langsmith_endpoint": langsmith.url,
                    "langsmith_api_key": SecretStr(langsmith.key),
                    "hub_prompts": tuple(named),
                    "api_keys": SecretStr(f"web:{digest('web-key')}"),
                    "admin_keys": SecretStr(f"ada:{digest('admin-key')}"),
                }
            )


@pytest.fixture(scope="module")
async def service(with_hub: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one worker, with an administrator's key."""
    async with client_of(with_hub) as client:
        client.headers = httpx.Headers(ADMIN)
        yield client


@pytest.fixture
def hub(langsmith: LangSmith) -> LangSmith:
    langsmith.mend()
    return langsmith


async def reloaded(service: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await service.post("/prompts/reload", json=body)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


def shown_versions(shown: dict[str, Any]) -> dict[str, str]:
    return {p["purpose"]: p["version"] for p in shown["prompts"] if p["source"] == "hub"}


async def test_a_reload_shows_what_is_in_force_since_when_and_by_whom(
    service: httpx.AsyncClient, hub: LangSmith
) -> None:
    second = commit_all(hub, "둘째")
    shown = await reloaded(service)
    assert shown_versions(shown) == second
    assert (await service.get("/prompts", params={"changes": 1})).json() == shown
    [prompt] = [prompt for prompt in shown["prompts"] if prompt["name"] == "filter_jobs.ko"]
    assert (prompt["by"], prompt["pin"], prompt["language"]) == ("ada", None, "ko")
    assert second["filter_jobs"] == f"own-filter_jobs:{prompt['commit']}"
    [change] = shown["changes"]
    assert (change["action"], change["by"], change["version_after"]) == ("reload", "ada", shown["version"])
    assert change["at"][:10] == prompt["since"][:10]
    bundled = [prompt for prompt in shown["prompts"] if prompt["source"] == "bundled"]
    assert {prompt["commit"] for prompt in bundled} == {FILES[prompt["name"]].version for prompt in bundled}
    assert (await service.get("/prompts", params={"changes": 0})).json()["changes"] == []


async def test_an_answer_names_the_prompt_the_model_and_the_schema_of_each_node(
    service: httpx.AsyncClient, hub: LangSmith
) -> None:
    versions = commit_all(hub, "셋째")
    await reloaded(service, models={"summarize": {"model": "large", "temperature": 0.2}})
    answer = answer_of(await service.post("/generate/invoke", json={"input": GENERATE}))
    assert versions_of(answer) == versions
    summarize = answer["versions"]["summarize"]
    # Offline there is one model for all.
    assert (summarize["model"], summarize["parameters"]) == ("checkerboard-offline", {"temperature": 0.2})
    assert summarize["schema"].startswith("MarketSummary@")
    assert answer["versions"]["filter_jobs"]["parameters"] == {}
    await reloaded(service, models={})


async def test_a_bad_commit_is_refused_and_answers_go_on(service: httpx.AsyncClient, hub: LangSmith) -> None:
    versions = commit_all(hub, "넷째")
    before = await reloaded(service)
    hub.commit("own-summarize", [("system", "요약"), ("human", "{postings}")])
    response = await service.post("/prompts/reload")
    assert (response.status_code, code_of(response)) == (422, "prompt_invalid")
    problems = response.json()["error"]["details"]["prompts"]
    assert list(problems) == ["summarize.ko"]
    assert len(problems["summarize.ko"]) > 1
    shown = (await service.get("/prompts", params={"changes": 1})).json()
    assert (shown["version"], shown["prompts"]) == (before["version"], before["prompts"])
    assert shown["changes"][0]["problems"]["prompts"] == problems
    assert shown["changes"][0]["by"] == "ada"
    answer = answer_of(await service.post("/generate/invoke", json={"input": GENERATE}))
    assert versions_of(answer) == versions
    # Rolled back in the hub, too, for the tests after this one.
    commit_all(hub, "다섯째")


async def test_a_hub_that_is_away_is_a_503_and_the_service_stays_ready(
    service: httpx.AsyncClient, hub: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.prompts.hub._RATE_LIMIT_PAUSES", ())
    hub.fail(Fault("/commits", status=429))
    response = await service.post("/prompts/reload")
    assert (response.status_code, code_of(response)) == (503, "hub_unavailable")
    ready = await service.get("/readyz")
    assert ready.status_code == 200
    part = ready.json()["parts"]["prompts"]
    assert (part["ok"], part["from_hub"], part["bundled"]) == (True, 4, len(FILES) - 4)
    assert part["version"] == (await service.get("/prompts")).json()["version"]


async def test_a_service_that_starts_while_the_hub_is_down_is_ready_and_says_so(
    with_hub: Settings, hub: LangSmith
) -> None:
    hub.fail(Fault("/commits", status=500))
    with passing_folder() as folder:
        nothing = Settings(home=folder, database_url="postgresql://", openai_api_key=SecretStr("unused"))
        with embedded_servers(nothing) as empty:
            async with client_of(with_hub.model_copy(update={"redis_url": empty.redis_url})) as client:
                ready = await client.get("/readyz")
                assert ready.status_code == 200, ready.text
                part = ready.json()["parts"]["prompts"]
                assert (part["ok"], part["from_hub"], part["bundled"]) == (True, 0, len(FILES))
                assert "LangSmith is failing" in part["warning"]
                client.headers = httpx.Headers(ADMIN)
                assert (await client.get("/prompts")).json()["warning"] == part["warning"]
                hub.mend()
                shown = await reloaded(client)
                assert shown["warning"] is None
                assert len(shown_versions(shown)) == len(NODES)


async def test_a_pin_a_roll_back_and_a_release(service: httpx.AsyncClient, hub: LangSmith) -> None:
    first = commit_all(hub, "여섯째")
    await reloaded(service)
    second = commit_all(hub, "일곱째")
    await reloaded(service)

    async def pinned(commit: str | None) -> dict[str, Any]:
        response = await service.post("/prompts/summarize.ko/pin", json={"commit": commit})
        assert response.status_code == 200, response.text
        shown: dict[str, Any] = response.json()
        [prompt] = [prompt for prompt in shown["prompts"] if prompt["name"] == "summarize.ko"]
        assert shown["changes"][0]["action"] == "pin"
        return dict(prompt)

    back = await pinned("previous")
    assert (back["version"], back["pin"]) == (first["summarize"], first["summarize"].rpartition(":")[2])
    assert back["previous"] == second["summarize"].rpartition(":")[2]
    assert (await pinned(back["previous"][:8]))["version"] == second["summarize"]
    assert (await pinned("bundled"))["version"] == FILES["summarize.ko"].version
    assert (await pinned(None))["pin"] is None
    assert shown_versions(await reloaded(service)) == second


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/prompts/no_such.ko/pin", {"commit": "previous"}, 404, "prompt_not_found"),
        ("/prompts/summarize.ko/pin", {}, 422, "invalid_request"),
        ("/prompts/summarize.ko/pin", {"commit": "a b"}, 422, "invalid_request"),
        ("/prompts/summarize.ko/pin", {"commit": "../x"}, 422, "invalid_request"),
        ("/prompts/summarize.ko/pin", {"commit": "no-such-tag"}, 422, "prompt_invalid"),
        ("/prompts/summarize.en/pin", {"commit": "abcdef12"}, 422, "prompt_invalid"),
        ("/prompts/reload", {"models": {"sumarise": {"model": "large"}}}, 422, "invalid_request"),
        ("/prompts/reload", {"models": {"summarize": {"temperature": 3}}}, 422, "invalid_request"),
        ("/prompts/reload", {"models": {"summarize": {"modle": "large"}}}, 422, "invalid_request"),
        ("/prompts/reload", {"prompts": []}, 422, "invalid_request"),
    ],
)
async def test_a_request_that_cannot_be_is_refused(
    service: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    response = await service.post(path, json=body)
    assert (response.status_code, code_of(response)) == (status, code)


async def test_half_a_surrogate_that_an_error_echoes_is_escaped(service: httpx.AsyncClient) -> None:
    body = b'{"models": {"\\ud800": {}}}'
    response = await service.post(
        "/prompts/reload", content=body, headers={"content-type": "application/json"}
    )
    assert (response.status_code, code_of(response)) == (422, "invalid_request")


async def test_what_nobody_foresaw_is_in_the_log(
    service: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr("serve.prompt_routes._shown", broken)
    response = await service.get("/prompts")
    assert (response.status_code, code_of(response)) == (500, "internal")
    assert "KeyError" in caplog.text


async def test_a_table_that_is_gone_is_a_store_that_fails(
    service: httpx.AsyncClient, with_hub: Settings
) -> None:
    async with await AsyncConnection.connect(str(with_hub.database_url), autocommit=True) as connection:
        await connection.execute("alter table prompt_changes rename to elsewhere")
        try:
            response = await service.get("/prompts")
        finally:
            await connection.execute("alter table elsewhere rename to prompt_changes")
    assert (response.status_code, code_of(response)) == (503, "store_unavailable")


async def test_only_an_administrator_changes_prompts(service: httpx.AsyncClient) -> None:
    def asked(headers: dict[str, str]) -> list[Any]:
        return [
            service.post(path, json={"commit": None} if "pin" in path else {}, headers=headers)
            for path in ("/prompts/reload", "/prompts/summarize.ko/pin")
        ]

    for headers, status, code in (
        ({"Authorization": ""}, 401, "unauthorized"),
        (bearer("nobody"), 401, "unauthorized"),
        (bearer("web-key"), 403, "forbidden"),
    ):
        for response in await asyncio.gather(*asked(headers)):
            assert (response.status_code, code_of(response)) == (status, code)
    assert (await service.get("/prompts", headers=bearer("web-key"))).status_code == 200
    assert (await service.get("/prompts", headers={"Authorization": ""})).status_code == 401


async def test_where_no_administrator_is_configured_nobody_changes_prompts(client: httpx.AsyncClient) -> None:
    for headers in ({}, ADMIN):
        response = await client.post("/prompts/reload", headers=headers)
        assert (response.status_code, code_of(response)) == (403, "forbidden")
    assert (await client.get("/prompts")).status_code == 200


async def generated(app_context: AppContext) -> dict[str, Any]:
    """The last event of a generation."""
    last: dict[str, Any] = {}
    async for event in app_context.sessions.generate(Profile(**PROFILE), "ko"):
        last = dict(event)
    return last


async def test_a_reload_in_the_middle_of_a_hundred_generations_mixes_nothing(
    service: httpx.AsyncClient, with_hub: Settings, hub: LangSmith, offline: Offline
) -> None:
    old = commit_all(hub, "옛것")
    await reloaded(service)
    async with open_app_context(with_hub) as app_context:
        assert app_context.services.prompts.current.get("summarize", "ko").version == old["summarize"]
        await offline.reset()
        # Slow enough that none is done, and uneven, so that they are at different nodes.
        await offline.behave(latency={"mean_seconds": scaled(1.5), "deviation_seconds": scaled(0.5)})
        running = [asyncio.create_task(generated(app_context)) for _ in range(RUNNING)]
        async with asyncio.timeout(time_limit()):
            while (await offline.calls())["by_schema"].get("MarketSummary", 0) < RUNNING / 4:
                await asyncio.sleep(0.1)
        assert not any(task.done() for task in running)
        new = commit_all(hub, "새것")
        # Another worker is asked: this one follows.
        await reloaded(service)
        async with asyncio.timeout(time_limit()):
            while app_context.services.prompts.current.get("summarize", "ko").version != new["summarize"]:
                await asyncio.sleep(0.01)
        assert not any(task.done() for task in running)
        await offline.behave()
        later = [asyncio.create_task(generated(app_context)) for _ in range(AFTERWARDS)]
        outcomes = await asyncio.gather(*running, *later)
    assert [event["type"] for event in outcomes] == ["result"] * (RUNNING + AFTERWARDS)
    made = [versions_of(event["data"]) for event in outcomes]
    assert made == [old] * RUNNING + [new] * AFTERWARDS
