"""The pages for developers, in a real browser: they show what they promise and ask no other host."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from serve import cli
from tests.browser import Look, looking
from tests.offline import FOR_EVER, Offline
from tests.serve.conftest import served
from tools.core.settings import Settings

JOB = "input[name=desired_job]"
RUN = "button.first"
PROJECT = "#project:not([hidden])"


async def shown(look: Look, selector: str) -> str:
    return await look.page.inner_text(selector)


@pytest.mark.parametrize("path", ["/playground/", "/generate/playground/", "/regenerate/playground/"])
async def test_the_playground_makes_a_project_and_another_one(address: str, path: str) -> None:
    async with looking("ko-KR", width=360, dark=True) as look:
        await look.page.goto(address + path)
        await look.page.fill(JOB, "백엔드 개발자")
        await look.page.fill("input[name=skills]", "Java, Spring Boot")
        await look.page.select_option("select[name=career_stage]", "job_seeker")
        await look.page.click(RUN)
        await look.page.wait_for_selector(PROJECT)
        assert await look.page.locator("#progress .done").count() == 6
        first = await shown(look, "#project h2")
        assert await look.page.locator("#project blockquote").count() > 0
        assert await look.page.locator("#project ol li").count() >= 8

        chosen = await shown(look, "#project p button")
        await look.page.click("#project p button")
        await look.page.wait_for_function(
            "title => document.querySelector('#project h2').innerText === title", arg=chosen
        )
        await look.page.click("#project > button")
        await look.page.wait_for_function(
            "titles => !titles.includes(document.querySelector('#project h2').innerText)", arg=[first, chosen]
        )
        assert await look.page.is_hidden("#problem")
        # Nothing is wider than a phone.
        assert await look.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert look.wrong == []
        assert look.foreign(address) == []


async def test_the_playground_says_what_is_wrong(address: str, offline: Offline) -> None:
    async with looking("en-GB") as look:
        await look.page.goto(f"{address}/playground/")
        await look.page.fill(JOB, "!!")
        await look.page.click(RUN)
        await look.page.wait_for_selector("#problem:not([hidden])")
        assert "profile.desired_job" in await shown(look, "#problem")

        await offline.behave(faults=[{"kind": "server_error", "schema": "MarketSummary"}])
        await look.page.fill(JOB, "QA")
        await look.page.click(RUN)
        await look.page.wait_for_selector("#problem:not([hidden])")
        assert "model" in (await shown(look, "#problem")).lower()
        assert await look.page.is_enabled(RUN)


async def test_cancelling_in_the_playground_stops_the_run(address: str, offline: Offline) -> None:
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    async with looking() as look:
        await look.page.goto(f"{address}/playground/")
        await look.page.fill(JOB, "QA")
        await look.page.click(RUN)
        await offline.working_on("JobVerdicts")
        await look.page.click("#cancel")
        assert (await offline.in_flight(0))["cancelled"] == 1
        assert await look.page.is_enabled(RUN)


async def test_a_posting_with_markup_is_shown_as_text(address: str) -> None:
    async with looking() as look:
        await look.page.goto(f"{address}/playground/")
        text = await look.page.evaluate("element('p', {}, '<img src=x onerror=alert(1)>').innerHTML")
        assert text == "&lt;img src=x onerror=alert(1)&gt;"


async def test_with_keys_the_playground_asks_for_one(settings: Settings) -> None:
    hashed = hashlib.sha256(b"secret").hexdigest()
    async with served(settings.model_copy(update={"api_keys": SecretStr(f"ada:{hashed}")})) as address:
        async with looking("en-GB") as look:
            await look.page.goto(f"{address}/playground/")
            await look.page.fill(JOB, "QA")
            await look.page.click(RUN)
            await look.page.wait_for_selector("#problem:not([hidden])")
            assert "API key" in await shown(look, "#problem")
            await look.page.fill("input[name=key]", "secret")
            await look.page.click(RUN)
            await look.page.wait_for_selector(PROJECT)
        async with httpx.AsyncClient(base_url=address) as client:
            assert (await client.get("/generate/playground/")).status_code == 401


async def test_the_documentation_shows_every_operation(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        spec: dict[str, Any] = (await client.get("/openapi.json")).json()
    operations = [name for path in spec["paths"].values() for name in path]
    async with looking() as look:
        await look.page.goto(f"{address}/docs")
        await look.page.wait_for_selector(".opblock")
        assert await look.page.locator(".opblock").count() == len(operations)
        await look.page.click(".opblock-post .opblock-summary-control")
        await look.page.wait_for_selector(".opblock-body .example")
        assert "desired_job" in await shown(look, ".opblock-body")
        assert look.wrong == []
        assert look.foreign(address) == []


async def test_the_documentation_can_try_a_route(address: str) -> None:
    async with looking() as look:
        await look.page.goto(f"{address}/docs#/health/healthz")
        await look.page.click("#operations-health-healthz .try-out__btn")
        await look.page.click("#operations-health-healthz .execute")
        await look.page.wait_for_selector("#operations-health-healthz .live-responses-table .highlight-code")
        assert '"status": "ok"' in await shown(look, "#operations-health-healthz .live-responses-table")
        assert look.foreign(address) == []


async def test_every_address_that_a_start_names_answers(
    address: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    cli._print_addresses("127.0.0.1", int(address.rpartition(":")[2]), settings)
    named = re.findall(r"http://\S+", capsys.readouterr().err)
    assert len(named) == 5
    assert named[1] == f"{named[0]}/"  # the page for job seekers comes first
    async with httpx.AsyncClient() as client:
        assert [(await client.get(url)).status_code for url in named] == [200] * 5


@pytest.mark.parametrize("path", ["/", "/playground/", "/docs"])
async def test_a_browser_may_load_nothing_from_elsewhere(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "http" not in response.text.replace("http-equiv", "")


@pytest.mark.parametrize(
    "path", ["", "%00", "..%2fpages.py", "../words.yaml", "../templates/start.html", "x" * 5_000, "%ff"]
)
async def test_only_what_pages_load_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/static/{path}")).status_code == 404
