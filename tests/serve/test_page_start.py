"""The start of the page for job seekers, and its search, in a real browser."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.browser import looking, serious, weight
from tests.offline import Offline

JOB = "#desired_job"


@pytest.mark.parametrize(
    ("language", "heading", "offline", "job"),
    [
        ("ko-KR", "공고에서 찾습니다", "규칙으로 답합니다", "백엔드 개발자"),
        ("en-GB", "in job postings", "rules answer", "Backend developer"),
    ],
)
async def test_the_start_asks_for_a_job_and_skills_and_says_what_it_knows(
    address: str, language: str, heading: str, offline: str, job: str
) -> None:
    async with looking(language, width=360, dark=True) as look:
        page = look.page
        await page.goto(address)
        assert heading in await page.inner_text("h1")
        assert offline in await page.inner_text(".notice")
        # How many postings there are, and how new the newest.
        assert re.search(r"\d{3}.*20\d\d-\d\d-\d\d", await page.inner_text("footer"))

        await page.click(f"button[data-job='{job}']")
        assert await page.input_value(JOB) == job
        await page.fill("#skill", "Java, k8s")
        await page.press("#skill", "Enter")
        await page.fill("#skill", "Redis")
        await page.click("#add-skill")
        chips = page.locator("#skills li span")
        assert await chips.all_inner_texts() == ["Java", "k8s", "Redis"]
        await page.click("#skills li:nth-child(2) button")
        assert await page.locator("#known-skills option").count() > 200

        await page.reload()  # what was typed in this tab stays
        assert await page.input_value(JOB) == job
        assert await chips.all_inner_texts() == ["Java", "Redis"]

        await page.click("#more summary")
        await page.click("button[data-add=experiences]")
        await page.fill("[data-group=experiences] [data-field=company]", "가람")
        assert await serious(page) == []
        await page.click("[data-group=experiences] [data-remove]")
        assert await page.locator(".entry").count() == 0
        # Nothing is wider than a phone.
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360

        await page.fill(JOB, "!!")
        await page.click("#go")
        assert await page.is_visible("#desired_job-wrong")
        assert await page.get_attribute(JOB, "aria-invalid") == "true"
        assert look.wrong == []
        assert look.foreign(address) == []


async def test_a_sample_person_fills_in_the_form(address: str) -> None:
    async with looking("ko-KR") as look:
        await look.page.goto(address)
        people = look.page.locator(".people a")
        assert await people.count() == 6
        await people.nth(0).click()
        assert await look.page.input_value(JOB) == "백엔드 개발자"
        assert await look.page.locator("#skills li").count() == 8
        assert await look.page.locator("[data-group=projects] .entry").count() == 2
        assert await look.page.input_value("[data-group=projects] [data-field=title] >> nth=0") != ""
        assert look.wrong == []


async def test_the_other_language_and_the_pages_for_developers_are_a_click_away(address: str) -> None:
    async with looking("ko-KR") as look:
        await look.page.goto(f"{address}/?person=ai-student")
        links = await look.page.eval_on_selector_all("footer a", "links => links.map(link => link.href)")
        async with httpx.AsyncClient() as client:
            assert [(await client.get(link)).status_code for link in links] == [200] * 4
        await look.page.click("header nav a[hreflang=en]")
        assert "next project" in await look.page.inner_text("h1")
        assert "person=ai-student" in look.page.url
        await look.page.click("header nav a")
        assert "Search" in await look.page.inner_text("h1")


async def test_search_says_why_each_posting_was_found(address: str) -> None:
    async with looking("ko-KR", width=320) as look:
        page = look.page
        await page.goto(f"{address}/search")
        await page.fill("#q", "결제 서버 Kafka")
        await page.press("#q", "Enter")
        await page.wait_for_selector(".hits li")
        hits = page.locator(".hits > li")
        assert await hits.count() == 20
        # Why: the skill, the words, the family of jobs, and its place by meaning and by words.
        why = (
            await hits.nth(0).get_by_role("list", name="찾은 까닭").get_by_role("listitem").all_inner_texts()
        )
        assert any(line.startswith("같은 뜻의 말") and "서버" in line for line in why)
        assert "직무 백엔드 개발" in why
        assert any(re.fullmatch(r"가까운 순서 뜻으로 \d+번째 · 말로 \d+번째", line) for line in why)
        assert "서버" in await hits.nth(0).locator("mark").all_inner_texts()
        assert await page.get_by_text("같은 기술 Kafka").count() > 0
        await page.focus("#q")
        await page.keyboard.press("Tab")  # to its button, to the conditions, to the first posting
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        assert len(await hits.nth(0).locator(".posting").inner_text()) > 100
        assert await serious(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        assert look.wrong == []
        assert look.foreign(address) == []


async def test_a_search_is_narrowed_down_without_scripts(address: str) -> None:
    async with looking("en-GB", width=360, scripts=False) as look:
        page = look.page
        await page.goto(f"{address}/search")
        await page.fill("#q", "payment backend")
        await page.click("form summary")
        await page.fill("[name=place]", "Seoul")
        await page.fill("[name=years]", "1")
        await page.select_option("[name=employment]", "full_time")
        await page.click("button.first")
        about = await page.locator(".hits > li > .about").all_inner_texts()
        assert len(about) >= 5
        assert all("서울" in line or "Seoul" in line for line in about)
        assert all("정규직" in line or "Full-time" in line for line in about)
        assert await page.input_value("[name=place]") == "Seoul"  # what was asked for is still there to see
        # Two cannot come: the number of years is said to be wrong, beside its field, and nothing is searched.
        await page.fill("[name=years]", "61")
        await page.evaluate("document.querySelector('form').noValidate = true")
        await page.click("button.first")
        assert await page.get_attribute("[name=years]", "aria-invalid") == "true"
        assert "0 to 60" in await page.inner_text("#years-wrong")
        assert await page.locator(".hits").count() == 0
        # Nothing meets the conditions: one link searches without them.
        await page.goto(f"{address}/search?q=payment&place=Atlantis")
        assert "Nothing was found" in await page.inner_text("#found")
        await page.click("#found + p a")
        assert await page.locator(".hits > li").count() == 20
        await page.click("section > p > a.button")  # more of them
        assert await page.locator(".hits > li").count() == 40


async def test_a_search_for_a_job_outside_it_says_so(client: httpx.AsyncClient) -> None:
    response = await client.get("/search", params={"q": "파티시에", "lang": "ko"})
    assert "이 서비스는 IT 공고를 다룹니다" in response.text
    response = await client.get("/search", params={"q": "백엔드 개발자", "lang": "ko"})
    assert "이 서비스는 IT 공고를 다룹니다" not in response.text


async def test_a_search_that_fails_keeps_what_was_typed(client: httpx.AsyncClient, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "embeddings"}])
    response = await client.get("/search", params={"q": "한 번도 찾은 적 없는 말", "years": "3"})
    assert response.status_code == 503
    assert 'value="한 번도 찾은 적 없는 말"' in response.text
    assert 'value="3"' in response.text
    assert "모델이 답하지 않습니다" in response.text


async def test_a_search_is_shown_as_text(client: httpx.AsyncClient) -> None:
    response = await client.get("/search", params={"q": "<img src=x onerror=alert(1)>\u0007"})
    assert response.status_code == 200
    assert "<img src=x" not in response.text


@pytest.mark.parametrize("path", ["/", "/search", "/s/nobody-s"])
async def test_a_browser_runs_and_loads_nothing_but_ours(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "http" not in response.text.replace("https://", "http").replace("http-equiv", "") or path == "/"


async def test_the_page_weighs_little(address: str) -> None:
    """All that a browser loads for a page, without fonts."""
    async with looking() as look:
        page = look.page
        await page.goto(f"{address}/?person=java-backend")
        await page.click("#go")
        await page.wait_for_selector(".columns [data-project]")
        await page.click("#keep")
        await page.wait_for_selector("#link a:not(:empty)")
        kept = await page.get_attribute("#link a", "href")
        pages = (f"{address}/?person=java-backend", page.url, str(kept), f"{address}/search?q=백엔드&k=40")
        for url in pages:
            await page.goto(url, wait_until="networkidle")
            assert 10_000 < await weight(page) < 150_000, url


async def test_a_resume_fills_in_the_form_for_correction(address: str) -> None:
    async with looking("ko-KR", width=360) as look:
        page = look.page
        await page.goto(address)
        await page.click("#resume summary")
        await page.fill(
            "#resume-text", "지원 직무: 백엔드 개발자\n기술: Java, Spring Boot, MySQL\n자격증: 정보처리기사"
        )
        await page.click("#read-resume")
        await page.wait_for_selector("#resume-done:not([hidden])")
        assert "백엔드" in await page.input_value(JOB)
        assert "Java" in await page.locator("#skills li span").all_inner_texts()
        assert await page.is_visible("#more [name=introduction]")  # open, to be looked at and corrected
        assert "/runs" not in "".join(look.asked)  # nothing else is asked before
        assert await serious(page) == []
        assert look.wrong == []
