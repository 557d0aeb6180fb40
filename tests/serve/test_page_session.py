"""The page of a session, in a real browser: from a job to a project, its proof, the next one, what is kept;
and what becomes of it when runs are reloaded, cancelled, cut off, failed or expired."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import pypdfium2
from playwright.async_api import Page, Route

from serve.page.rendering import _ENVIRONMENT
from serve.page.words import words
from tests.browser import Look, looking, serious
from tests.databases import cloned
from tests.offline import Offline
from tests.serve.processes import answered_calls, eventually, hold, working
from tests.serve.test_kills import GENERATION
from tests.serve.test_workers import workers_of
from tools.core.settings import Settings
from tools.postings.contracts import StoredPosting

PROJECT = ".columns [data-project] h1"
PROBLEM = "#problem:not([hidden])"
SLOW = {"mean_seconds": 600.0, "deviation_seconds": 0}
"""A model that nobody waits for."""


@asynccontextmanager
async def asking(
    address: str, person: str = "java-backend", *, width: int = 1280, language: str = "ko-KR"
) -> AsyncIterator[Look]:
    """A browser in which a sample person has asked for a project: the page of the session."""
    async with looking(language, width=width) as look:
        await look.page.goto(f"{address}/?person={person}")
        await look.page.click("#go")
        await look.page.wait_for_url("**/s/*")
        yield look


async def project(page: Page, *, not_among: tuple[str, ...] = ()) -> str:
    """Waits for a project that is none of these; returns its title."""
    await page.wait_for_function(
        """not => {
            const title = document.querySelector(".columns [data-project] h1")?.innerText;
            return title && !not.includes(title);
        }""",
        arg=list(not_among),
    )
    return await page.inner_text(PROJECT)


async def fits(page: Page, width: int) -> bool:
    """Whether nothing is wider than the screen."""
    await page.set_viewport_size({"width": width, "height": 900})
    return bool(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


async def test_a_person_comes_from_a_job_to_a_project_and_to_the_next_ones(address: str) -> None:
    async with asking(address) as look:
        page = look.page
        first = await project(page)
        assert await page.evaluate("document.activeElement.id") == "project-title"

        # Believe: the quoted words, and no others, are marked in the posting; counted postings can be seen.
        quote = page.locator(".reason .quote").first
        await quote.locator("summary").click()
        words_quoted = (await quote.locator("blockquote").inner_text()).strip()
        marked = await quote.locator("mark").all_inner_texts()
        assert set(marked) == {words_quoted}
        assert len(await quote.locator(".posting").inner_text()) > 200
        count = page.locator(".reason .count").first
        shown = await count.inner_text()
        await page.locator(".reason .which summary").first.click()
        listed = page.locator(".reason .which >> nth=0 >> li")
        assert str(await listed.count()) in shown
        await listed.first.locator("a").click()
        assert await page.locator(".row[open]").count() == 1
        # The market, as a chart and as a table: what is not in the profile says so in words.
        bars = await page.locator(".market tbody tr").all_inner_texts()
        assert len(bars) >= 8
        assert any("할 줄 앎" in bar for bar in bars)
        assert any("새로 익힘" in bar for bar in bars)

        assert await serious(page) == []
        assert await fits(page, 320)
        assert await fits(page, 640)  # a screen of 1280 px at 200 %
        await page.set_viewport_size({"width": 1280, "height": 900})

        # Choose: shorter, by keyboard, and with Kafka; then a candidate; then back, and two side by side.
        await page.focus("[data-name=shorter]")
        await page.keyboard.press("Space")
        within = page.get_by_label("최대 기간")
        assert await within.input_value() == "4"  # of six
        await within.select_option("3주")
        assert await serious(page) == []
        await page.fill("#again [name=skills]", "Kafka")
        await page.click("#again button.first")
        second = await project(page, not_among=(first,))
        assert await page.inner_text(".facts dd >> nth=0") == "3주 · 주 30시간"
        candidate = await page.inner_text(".card h3 >> nth=0")
        await page.click("[data-subject] >> nth=0")
        assert await project(page, not_among=(first, second)) == candidate
        assert await page.locator(".history li").count() == 3
        await page.click(f".history a:has-text('{first}') >> nth=0")
        assert await project(page) == first
        assert await page.locator("#again").count() == 0  # the newest alone can be followed by another
        await page.click(".history .versus >> nth=0")
        await page.wait_for_selector(".compare")
        assert await page.locator(".compare h2 a").all_inner_texts() == [first, candidate]
        assert await serious(page) == []
        assert await fits(page, 320)
        assert look.wrong == []
        assert look.foreign(address) == []


async def test_a_project_is_taken_along_kept_shown_and_deleted(address: str) -> None:
    async with asking(address, language="en-GB") as look:
        page = look.page
        title = await project(page)
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.click("[data-copy]")
        await page.wait_for_selector("[data-copy]:has-text('Copied')")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("# ")
        async with page.expect_download() as download:
            await page.click("a[download]")
        path = await (await download.value).path()
        assert path.read_text(encoding="utf-8") == copied
        printed = pypdfium2.PdfDocument(io.BytesIO(await page.pdf(format="A4")))
        assert len(printed) == 2
        assert "Rules made this project" in printed[0].get_textpage().get_text_range()

        await page.click("#keep")
        await page.wait_for_selector("#link a:not(:empty)")
        kept = await page.get_attribute("#link a", "href")
        await page.click("#share")
        await page.wait_for_selector("#link a[href*=token]")
        shared = await page.get_attribute("#link a", "href")
        assert kept is not None
        assert shared is not None
        async with looking("ko-KR", width=360, dark=True) as other:
            await other.page.goto(shared)
            assert await project(other.page) == title
            assert await other.page.locator("#again, #keep, [data-subject]").count() == 0
            await other.page.goto(kept)
            assert await other.page.inner_text("h1") == title
            assert len(pypdfium2.PdfDocument(io.BytesIO(await other.page.pdf(format="A4")))) == 2
            assert await other.page.locator("#delete").count() == 0
            assert await serious(other.page) == []
            assert other.wrong == []
        await page.goto(address)
        await page.click(".people a[href*='/k/']")
        await page.wait_for_selector("#delete")
        await page.click("#delete")
        await page.wait_for_selector("#kept [role=status]")
        response = await page.goto(kept)
        assert response is not None
        assert response.status == 404
        assert response.headers["x-robots-tag"] == "noindex"
        assert response.headers["cache-control"] == "no-store"


async def test_a_run_is_watched_through_a_reload_and_in_a_second_tab(address: str, offline: Offline) -> None:
    await offline.behave(latency=SLOW)
    async with asking(address, "frontend-student", width=360) as look:
        page = look.page
        await page.wait_for_selector("[data-node=filter_jobs].now")
        assert await page.locator(".nodes .done").count() == 2
        found = await page.inner_text("[data-node=retrieve] .found")
        assert "20" in found
        assert await serious(page) == []

        await page.reload()
        await page.wait_for_selector("[data-node=filter_jobs].now")
        assert await page.inner_text("[data-node=retrieve] .found") == found

        other = await page.context.new_page()
        await other.goto(page.url)
        await other.wait_for_selector("[data-node=filter_jobs].now")
        await other.click("#cancel")
        for tab in (other, page):  # a run that is cancelled in one is so in both
            await tab.wait_for_selector(PROBLEM)
            assert "취소" in await tab.inner_text(PROBLEM)
        assert (await offline.in_flight(0))["cancelled"] >= 1

        await offline.behave()
        await page.click("#problem button")  # goes on with what was paid for
        await project(page)
        await other.reload()
        await project(other)


async def test_a_lost_connection_is_said_and_taken_up_again(address: str, offline: Offline) -> None:
    await offline.behave(latency=SLOW)
    async with asking(address, "ai-student", width=360) as look:
        page = look.page
        await page.wait_for_selector("[data-node=filter_jobs].now")

        async def cut(route: Route) -> None:
            await route.abort()

        # A stream that has begun is not cut by Chromium's emulation of networks: it ends with its page.
        await page.route("**/runs/**", cut)
        await page.reload()
        await page.wait_for_selector("#watch:not([hidden])")
        assert "다시 잇는 중" in await page.inner_text("#connection")
        await page.unroute("**/runs/**")
        network = await page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
        await network.send("Network.emulateNetworkConditions", slow)
        await page.wait_for_selector("[data-node=filter_jobs].now")
        assert await page.inner_text("#connection") == ""
        await page.click("#cancel")
        await page.wait_for_selector(PROBLEM)
        await offline.behave()
        await page.click("#problem button")
        await project(page)


async def test_the_page_goes_on_by_itself_when_the_workers_are_killed(
    embedded: Settings, samples_template: str, offline: Offline
) -> None:
    """Both, so that it loses its stream and its run, whichever of them had the one and the other."""
    await hold(offline, "MarketSummary")
    async with cloned(embedded, samples_template) as own, working(own, "--workers", "2") as service:
        assert service.process
        supervisor = service.process.pid
        await eventually(lambda: len(workers_of(supervisor)) == 2)
        async with asking(str(service.client.base_url).rstrip("/"), "analyst-career-changer") as look:
            page = look.page
            await page.wait_for_selector("[data-node=summarize].now")
            await page.evaluate("window.stayed = true")
            answered = await answered_calls(offline)
            for worker in workers_of(supervisor):
                os.kill(worker, signal.SIGKILL)
            await page.wait_for_selector("#connection:has-text('다시 잇는 중')")
            await offline.reset()
            title = await project(page)
            assert await page.evaluate("window.stayed")
            session = await page.evaluate(
                "session => fetch(`../sessions/${session}`).then(answer => answer.json())",
                page.url.rpartition("/s/")[2].partition("?")[0],
            )
            assert [each["title"] for each in session["history"]] == [title]
            assert sorted(answered + await answered_calls(offline)) == GENERATION


async def test_a_failed_run_says_what_to_do_and_an_expired_session_too(
    address: str, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "MarketSummary"}])
    async with asking(address, "devops-worker", language="en-GB") as look:
        page = look.page
        for _ in range(2):  # who comes back is shown the same as who has watched
            await page.wait_for_selector(PROBLEM)
            assert "model cannot be asked" in await page.inner_text(PROBLEM)
            assert "stopped" in await page.inner_text("#watching")
            assert await page.locator("[data-node=summarize].broke").count() == 1
            assert not await page.is_visible("#growing")  # nothing is to come, so no place is kept for it
            assert await serious(page) == []
            await page.reload()
        await page.wait_for_selector(PROBLEM)
        await offline.behave()
        await page.click("#problem button")
        await project(page)

        session = page.url.rpartition("/s/")[2].partition("?")[0]
        gone = await page.evaluate(
            "session => fetch(`../sessions/${session}`, {method: 'DELETE'}).then(answer => answer.status)",
            session,
        )
        assert gone == 204
        await page.click("#again button.first")
        await page.wait_for_selector(PROBLEM)
        assert "session has ended" in await page.inner_text(PROBLEM)
        await page.reload()
        assert "session has ended" in await page.inner_text("h1")
        await page.click("a.first")
        assert await page.input_value("#desired_job") == "DevOps 엔지니어"  # what was typed is still there


async def test_where_all_places_are_taken_it_is_said_how_long_to_wait(address: str) -> None:
    async with looking("ko-KR", width=360) as look:
        page = look.page
        await page.clock.install()
        error = {"code": "overloaded", "message": "", "details": {}}

        async def overloaded(route: Route) -> None:
            await route.fulfill(status=503, headers={"retry-after": "5"}, json={"error": error})

        await page.route("**/runs", overloaded)
        await page.goto(f"{address}/?person=java-backend")
        await page.click("#go")
        await page.wait_for_selector(PROBLEM)
        assert "5초 뒤에" in await page.inner_text(PROBLEM)
        again = page.locator("#problem button")
        assert await again.is_disabled()
        assert await serious(page) == []
        await page.clock.run_for(5_000)
        assert await again.is_enabled()
        await page.unroute("**/runs")
        await again.click()
        await page.wait_for_url("**/s/*")


async def test_without_a_posting_for_the_job_none_is_said_to_be_for_it(address: str) -> None:
    async with looking("ko-KR", width=360) as look:
        page = look.page
        await page.goto(address)
        await page.fill("#desired_job", "파티시에")
        await page.click("#go")
        await project(page)
        assert "희망 직무에 맞는 공고가 없어" in await page.inner_text("[data-project]")
        assert "가장 가까운 공고" in await page.inner_text("#postings")
        assert "직무에 맞는 공고 " not in await page.inner_text(".side")
        assert await serious(page) == []
        assert await fits(page, 320)


async def test_where_the_model_has_nothing_new_left_the_page_says_how_to_go_on(
    address: str, offline: Offline
) -> None:
    async with asking(address, width=360) as look:
        page = look.page
        first = await project(page)
        candidate = await page.inner_text(".card h3 >> nth=0")
        await offline.behave(faults=[{"kind": "repeat_rejected", "schema": "SubjectProposals"}])
        await page.click("[data-subject] >> nth=0")
        assert await project(page, not_among=(first,)) == candidate
        none_left = page.locator("section[aria-labelledby=candidates]")
        assert "새로운 후보를 더 찾지 못했습니다" in await none_left.inner_text()
        assert await none_left.locator(".card").count() == 0
        # Nothing at all that is new: what there was stays, and it is said what helps.
        await page.click("#again button.first")
        await page.wait_for_selector(PROBLEM)
        assert "기술이나 바라는 점을 바꾸어" in await page.inner_text(PROBLEM)
        assert await page.inner_text(PROJECT) == candidate
        assert await serious(page) == []
        await offline.behave()
        await page.fill("#again [name=skills]", "Kafka")
        await page.click("#again button.first")
        assert await project(page, not_among=(first, candidate))


async def test_a_link_of_a_narrow_screen_leads_to_what_stands_far_below(address: str) -> None:
    async with asking(address, width=360) as look:
        await project(look.page)
        await look.page.get_by_role("navigation", name="이 페이지에서").get_by_text("공고가 찾는 것").click()
        assert look.page.url.endswith("#market")


HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


async def test_hostile_words_of_a_person_and_of_a_model_are_text(address: str) -> None:
    async with looking("ko-KR") as look:
        page = look.page

        async def events(route: Route) -> None:
            subject = {"title": HOSTILE, "description": HOSTILE, "goal": HOSTILE}
            task = {"title": HOSTILE, "description": HOSTILE, "deliverable": HOSTILE, "hours": 1}
            placed = {"attempt": 1, "step": 0, "step_title": HOSTILE, "position": 0, "task": task}
            told = [
                ("node_finished", "retrieve", HOSTILE),
                ("subject", "propose_subjects", {"attempt": 1, "position": 0, "subject": subject}),
                ("task", "generate_tasks", placed),
            ]
            lines = [
                f"event: {kind}\ndata: "
                + json.dumps({"type": kind, "node": node, "elapsed_ms": 1, "data": data})
                + "\n\n"
                for kind, node, data in told
            ]
            await route.fulfill(headers={"content-type": "text/event-stream"}, body="".join(lines))

        await page.route("**/runs/*/events*", events)
        await page.goto(address)
        await page.fill("#desired_job", f"{HOSTILE} 백엔드 개발자")
        await page.fill("#skill", HOSTILE.replace(",", ""))
        await page.click("#go")
        await page.wait_for_selector(".growing .tasks li")
        assert HOSTILE in await page.inner_text(".growing .title")
        assert HOSTILE in await page.inner_text(".growing .tasks h4")
        assert "owned" not in await page.title()
        await page.unroute("**/runs/*/events*")
        await page.reload()
        await project(page)
        assert "owned" not in await page.title()
        assert await page.locator("img[src=x]").count() == 0


def test_hostile_words_of_a_posting_are_text() -> None:
    posting = StoredPosting.model_construct(
        **StoredPosting(posting_id="p-1", source="s", source_id="1", job_title="t").model_dump()
        | {"job_title": HOSTILE, "company": HOSTILE, "requirements": f"{HOSTILE}\nx", "location": HOSTILE}
    )
    template = _ENVIRONMENT.from_string(
        '{% import "_posting.html" as of with context %}{{ of.listed(posting, w, today, quotes, reason) }}'
    )
    shown = template.render(
        posting=posting, w=words("ko"), today=date(2026, 1, 1), quotes=[HOSTILE], reason=HOSTILE
    )
    assert "<img" not in shown
    assert "<script" not in shown
    assert "<mark>&lt;img" in shown
