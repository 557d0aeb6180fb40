"""The plain routes."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.pace import time_limit
from tests.serve.conftest import client_of
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {"desired_job": "백엔드 개발자", "skills": ["Java"]}


async def test_search_returns_the_best_first_and_says_why(client: httpx.AsyncClient) -> None:
    found = (await client.get("/postings/search", params={"q": "안드로이드 개발자 Kotlin", "k": 7})).json()
    assert len(found) == 7
    order = [posting["fused"] for posting in found if posting["capped"] is None]
    assert order == sorted(order, reverse=True)
    assert "#Kotlin" in found[0]["terms"]
    assert "mobile" in found[0]["families"]
    assert found[0]["dense_rank"] >= 1
    assert found[0]["lexical_rank"] >= 1


async def test_search_leaves_out_what_the_filters_do_not_fit(client: httpx.AsyncClient) -> None:
    asked = {"q": "백엔드 개발자", "k": 20, "place": "Seoul", "employment": "full_time", "years": 0}
    found = (await client.get("/postings/search", params=asked)).json()
    assert found
    for posting in found:
        assert "서울" in posting["location"] or "seoul" in posting["location"].lower()
        assert posting["employment_type"] == "정규직" or "full" in posting["employment_type"].lower()
    refused = await client.get("/postings/search", params={**asked, "employment": "some"})
    assert refused.status_code == 422


async def test_a_found_posting_can_be_read_whole(client: httpx.AsyncClient) -> None:
    found = (await client.get("/postings/search", params={"q": "데이터 엔지니어", "k": 1})).json()[0]
    posting = (await client.get(f"/postings/{found['posting_id']}")).json()
    assert posting["requirements"]
    assert posting.items() <= found.items()


async def test_an_unknown_posting_is_404(client: httpx.AsyncClient) -> None:
    for posting_id in ("p-999999", "p-0", "p-99999999999999999999", "17", "%00"):
        response = await client.get(f"/postings/{posting_id}")
        assert response.status_code == 404, posting_id
        assert response.json()["error"]["code"] == "posting_not_found"


async def test_a_session_can_be_read(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/generate/invoke", json={"input": {"profile": PROFILE}})).json()["output"]
    session = (await client.get(f"/sessions/{answer['session_id']}")).json()
    assert session["project"] == answer["project"]
    assert session["candidates"] == answer["candidates"]
    assert session["summary"] == answer["summary"]
    assert session["rejected"] == []
    assert session["subject"]["id"] == answer["project"]["subject_id"]
    assert session["profile"]["desired_job"] == PROFILE["desired_job"]


async def test_health_and_readiness(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    response = await client.get("/readyz")
    report = response.json()
    assert response.status_code == 200
    assert report["ready"] is True
    assert report["offline"] is True
    assert report["parts"]["postgres"]["postings"] >= 300
    assert report["parts"]["redis"]["version"]
    async with asyncio.timeout(time_limit()):
        while (model := (await client.get("/readyz")).json()["parts"]["model"])["ok"] is None:
            await asyncio.sleep(0.05)
    assert (model["ok"], model["dimensions"]) == (True, 1536)


async def test_readiness_says_what_is_missing(empty_settings: Settings) -> None:
    async with client_of(empty_settings) as client:
        response = await client.get("/readyz")
        assert response.status_code == 503
        part = response.json()["parts"]["postgres"]
        assert part["ok"] is False
        assert "checkerboard ingest load" in part["message"]
        answer = await client.post("/generate/invoke", json={"input": {"profile": PROFILE}})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_postings"
