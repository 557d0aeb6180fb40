"""Projects that are kept: they stay when session and postings are gone, and go when they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve.context import AppContext
from serve.kept import KeptProjects, open_kept
from tests.databases import cloned
from tests.pace import time_limit
from tests.serve.conftest import client_of
from tests.serve.test_visitors import visiting
from tools.core.database import connect
from tools.core.errors import KeptNotFoundError
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {
    "desired_job": "백엔드 개발자",
    "skills": ["Java", "Spring Boot"],
    "introduction": "한때 나루터 상회에서 일했습니다.",
}
UNKNOWN = "0" * 22


@pytest.fixture
async def ada(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(address) as client:
        yield client


async def generated(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.post("/generate/invoke", json={"input": {"profile": PROFILE}})
    assert response.status_code == 200, response.text
    return dict(response.json()["output"])


async def kept(client: httpx.AsyncClient, session_id: str, **which: Any) -> dict[str, Any]:
    response = await client.post("/kept", json={"session_id": session_id, **which})
    assert response.status_code == 201, response.text
    return dict(response.json())


async def expire(context: AppContext, kept_id: str) -> None:
    async with context.services.pool.connection() as connection:
        await connection.execute(
            "update kept_projects set expires_at = now() - interval '1 second' where id = %s", [kept_id]
        )


async def rows(context: AppContext, kept_id: str) -> int:
    async with context.services.pool.connection() as connection:
        found = await connection.execute("select 1 from kept_projects where id = %s", [kept_id])
        return len(await found.fetchall())


async def test_it_stays_when_its_session_and_its_postings_are_gone(
    embedded: Settings, samples_template: str
) -> None:
    """With all that its page shows: the quotes stand in the texts that came with them."""
    async with cloned(embedded, samples_template) as own, client_of(own) as client:
        answer = await generated(client)
        made = await kept(client, answer["session_id"])
        assert made["url"] == f"/k/{made['kept_id']}"
        await client.delete(f"/sessions/{answer['session_id']}")
        async with await connect(str(own.database_url)) as connection:
            await connection.execute("delete from postings")
        response = await client.get(f"/kept/{made['kept_id']}")
        assert response.status_code == 200
        shown = response.json()
        assert shown["project"] == answer["project"]
        assert shown["summary"] == answer["summary"]
        assert shown["warnings"] == answer["warnings"]
        assert shown["versions"] == answer["versions"]
        texts = {
            posting["posting_id"]: " ".join(
                " ".join(
                    posting[name] for name in ("job_title", "responsibilities", "requirements", "preferred")
                ).split()
            )
            for posting in shown["evidence"]
        }
        assert shown["project"]["evidence"]
        for quote in shown["project"]["evidence"]:
            assert quote["quote"] in texts[quote["posting_id"]]
        named = {i for lines in shown["summary"].values() for line in lines for i in line["posting_ids"]}
        assert named <= {posting["posting_id"] for posting in shown["postings"]}
        markdown = await client.get(f"/kept/{made['kept_id']}/project.md")
        assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
        assert markdown.text.startswith("# ")


async def test_nothing_else_of_the_person_is_kept(client: httpx.AsyncClient) -> None:
    made = await kept(client, (await generated(client))["session_id"])
    response = await client.get(f"/kept/{made['kept_id']}")
    assert response.json()["desired_job"] == PROFILE["desired_job"]
    assert response.json()["skills"] == PROFILE["skills"]
    assert "나루터" not in response.text


async def test_whoever_has_the_id_reads_it_and_no_cache_keeps_it(
    ada: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    made = await kept(ada, (await generated(ada))["session_id"])
    for path in (f"/kept/{made['kept_id']}", f"/kept/{made['kept_id']}/project.md"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-robots-tag"] == "noindex"


async def test_only_who_kept_it_deletes_and_at_once(
    ada: httpx.AsyncClient, client: httpx.AsyncClient, address: str
) -> None:
    made = await kept(ada, (await generated(ada))["session_id"])
    path = f"/kept/{made['kept_id']}"
    async with visiting(address) as bob:
        for other in (bob, client):
            response = await other.delete(path)
            assert (response.status_code, response.json()["error"]["code"]) == (404, "kept_not_found")
    assert (await client.get(path)).status_code == 200
    assert (await ada.delete(path)).status_code == 204
    for response in (await client.get(path), await client.get(f"{path}/project.md"), await ada.delete(path)):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "kept_not_found")


async def test_a_list_is_of_ones_own_newest_first(ada: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    made = [await kept(ada, (await generated(ada))["session_id"]) for _ in range(2)]
    listed = (await ada.get("/kept")).json()["kept"]
    assert [row["kept_id"] for row in listed] == [row["kept_id"] for row in reversed(made)]
    shown = (await ada.get(f"/kept/{listed[0]['kept_id']}")).json()
    assert listed[0]["title"] == shown["project"]["title"]
    await kept(client, (await generated(client))["session_id"])
    assert (await client.get("/kept")).json() == {"kept": []}


async def test_each_project_of_a_session_can_be_kept_once(ada: httpx.AsyncClient) -> None:
    first = await generated(ada)
    session_id = first["session_id"]
    again = await ada.post("/regenerate/invoke", json={"input": {"session_id": session_id}})
    second = again.json()["output"]
    newest, oldest = await kept(ada, session_id), await kept(ada, session_id, project=0)
    titles = [
        (await ada.get(f"/kept/{made['kept_id']}")).json()["project"]["title"] for made in (newest, oldest)
    ]
    assert titles == [second["project"]["title"], first["project"]["title"]]
    repeated = await kept(ada, session_id, project=1)
    assert repeated["kept_id"] == newest["kept_id"]
    assert repeated["expires_at"] > newest["expires_at"]


@pytest.mark.parametrize("number", [1, 9_999])
async def test_a_project_that_is_not_there_cannot_be_kept(client: httpx.AsyncClient, number: int) -> None:
    session_id = (await generated(client))["session_id"]
    response = await client.post("/kept", json={"session_id": session_id, "project": number})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "project_not_found")


async def test_a_session_of_another_cannot_be_kept(ada: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    session_id = (await generated(ada))["session_id"]
    response = await client.post("/kept", json={"session_id": session_id})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "session_not_found")


async def test_ids_cannot_be_guessed(ada: httpx.AsyncClient) -> None:
    """128 random bits each."""
    made = [(await kept(ada, (await generated(ada))["session_id"]))["kept_id"] for _ in range(3)]
    assert len({*made}) == 3
    assert {len(kept_id) for kept_id in made} == {22}


async def test_what_has_expired_is_gone_from_that_moment_on(
    ada: httpx.AsyncClient, app_context: AppContext
) -> None:
    session_id = (await generated(ada))["session_id"]
    made = await kept(ada, session_id)
    await expire(app_context, made["kept_id"])
    assert (await ada.get(f"/kept/{made['kept_id']}")).status_code == 404
    assert (await ada.get("/kept")).json() == {"kept": []}
    assert (await ada.delete(f"/kept/{made['kept_id']}")).status_code == 404
    # Its address does not come to life again.
    anew = await kept(ada, session_id)
    assert anew["kept_id"] != made["kept_id"]
    assert (await ada.get(f"/kept/{made['kept_id']}")).status_code == 404


async def test_a_worker_deletes_what_has_expired(ada: httpx.AsyncClient, app_context: AppContext) -> None:
    made = [await kept(ada, (await generated(ada))["session_id"]) for _ in range(2)]
    await expire(app_context, made[0]["kept_id"])
    async with open_kept(app_context.services.pool, 30), asyncio.timeout(time_limit()):
        while await rows(app_context, made[0]["kept_id"]):
            await asyncio.sleep(0.05)
    assert await rows(app_context, made[1]["kept_id"]) == 1


async def test_the_setting_says_how_long(app_context: AppContext, ada: httpx.AsyncClient) -> None:
    view = await generated(ada)
    made = await kept(ada, view["session_id"])
    content = await app_context.kept.find(made["kept_id"])
    short = KeptProjects(app_context.services.pool, kept_days=1e-7)
    kept_id, _ = await short.keep("somebody", "a session", 0, content)
    async with asyncio.timeout(time_limit()):
        while True:
            try:
                await short.find(kept_id)
            except KeptNotFoundError:
                break
            await asyncio.sleep(0.01)
    await short.delete_expired()
    days = content.expires_at - content.created_at
    assert days.days in (29, 30)


@pytest.mark.parametrize("body", [{}, {"session_id": "a b"}, {"session_id": UNKNOWN, "project": -1}])
async def test_a_request_that_is_not_valid_is_told_so(client: httpx.AsyncClient, body: Any) -> None:
    response = await client.post("/kept", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")
