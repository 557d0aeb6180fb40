"""Photographs the main states of the page for job seekers into docs/page/, from a service that runs.

`make run` in one terminal, and in another `.venv/bin/python -m tests.screenshots [http://localhost:8000]`.
"""

from __future__ import annotations

import asyncio
import io
import sys

import pypdfium2
from PIL import Image
from playwright.async_api import Page, Route

from tests.browser import looking
from tools.core.settings import CHECKOUT

FOLDER = CHECKOUT / "docs" / "page"
QUALITY = 70
PROJECT = ".columns [data-project]"
PAPER_SCALE = 1.2
RESUME = """지원 직무: 백엔드 개발자
기술: Java, Spring Boot, MySQL, Redis
경력
2022.03 ~ 2024.02 가람소프트 백엔드 개발자
- 주문 API를 만들고 운영했습니다
자격증
정보처리기사 2021-11
좋아하는 색은 파랑입니다
"""


async def photograph(page: Page, name: str) -> None:
    """Writes what the window shows as docs/page/`name`.webp."""
    keep(Image.open(io.BytesIO(await page.screenshot(animations="disabled"))), name)


def keep(shown: Image.Image, name: str) -> None:
    """Writes a picture as docs/page/`name`.webp."""
    path = FOLDER / f"{name}.webp"
    shown.save(path, quality=QUALITY, method=6)
    print(f"{path.relative_to(CHECKOUT)}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201 - a program


async def print_out(page: Page, name: str) -> None:
    """Writes the pages that a printer would be given, side by side."""
    pages = pypdfium2.PdfDocument(io.BytesIO(await page.pdf(format="A4")))
    sheets = [pages[number].render(scale=PAPER_SCALE).to_pil() for number in range(len(pages))]
    width, height = sheets[0].size
    both = Image.new("RGB", ((width + 1) * len(sheets) - 1, height), "grey")
    for place, sheet in enumerate(sheets):
        both.paste(sheet, ((width + 1) * place, 0))
    keep(both, name)


async def show(page: Page, selector: str) -> None:
    """Scrolls to a part of the page."""
    await page.locator(selector).evaluate("element => element.scrollIntoView()")


async def overloaded(route: Route) -> None:
    """Answers as a service whose places are all taken."""
    error = {"code": "overloaded", "message": "", "details": {}}
    await route.fulfill(status=503, headers={"retry-after": "5"}, json={"error": error})


async def on_a_desk(address: str) -> None:
    """The way of a person from the start to a project, and what may come between."""
    async with looking("ko-KR") as look:
        page = look.page
        await page.goto(f"{address}/?person=java-backend")
        await page.evaluate("document.getElementById('more').open = false")
        await photograph(page, "start")
        watched = asyncio.Event()

        async def hold(route: Route) -> None:
            if route.request.resource_type == "xhr":  # what takes the place of all that was watched
                await watched.wait()
            await route.continue_()

        async def at_work(route: Route) -> None:
            response = await route.fetch()
            runs = [run | {"state": "running"} for run in (await response.json())["runs"]]
            await route.fulfill(response=response, json={"runs": runs})

        # However soon it ends, it is watched from its first event to its last.
        await page.route(lambda url: "/runs?session_id=" in url, at_work)
        await page.route("**/s/*", hold)
        await page.click("#go")
        await page.wait_for_selector("[data-node=generate_tasks].done")
        await photograph(page, "watching")
        watched.set()
        await page.wait_for_selector(PROJECT)
        await page.locator(".reason .whole summary").first.click()
        await show(page, "#why")
        await photograph(page, "session")
        await print_out(page, "paper")
        session = page.url
        first = await page.inner_text(f"{PROJECT} h1")
        await page.click("[data-name=easier]")
        await page.click("#again button.first")
        await page.wait_for_function(
            "first => document.querySelector('.columns h1')?.innerText !== first", arg=first
        )
        await page.click(".history .versus >> nth=0")
        await page.wait_for_selector(".compare")
        await photograph(page, "compare")
        await page.goto(session.partition("/s/")[0] + "/s/ended")
        await photograph(page, "ended")
        await page.goto(f"{address}/search?q=결제 백엔드 카프카&place=서울&years=3")
        await photograph(page, "search")


async def on_a_phone(address: str) -> None:
    """The same in the other language, narrow and dark, and what is rarer."""
    async with looking("en-GB", width=360, dark=True) as look:
        page = look.page
        await page.goto(f"{address}/?person=android-developer")
        await page.click("#go")
        await page.wait_for_selector(PROJECT)
        await page.evaluate("scrollTo(0, 0)")
        await photograph(page, "phone")
        await show(page, "#market")
        await photograph(page, "market")
        await page.goto(f"{address}/?person=ai-student")
        await page.route("**/runs", overloaded)
        await page.click("#go")
        await page.wait_for_selector("#problem:not([hidden])")
        await show(page, "fieldset:last-of-type")
        await photograph(page, "overloaded")
    async with looking("ko-KR", width=360) as look:
        page = look.page
        await page.goto(address)
        await page.click("#resume summary")
        await page.fill("#resume-text", RESUME)
        await page.click("#read-resume")
        await page.wait_for_selector("#resume-done:not([hidden])")
        await show(page, "#resume-done")
        await photograph(page, "resume")
        await page.fill("#desired_job", "파티시에")
        await page.click("#go")
        await page.wait_for_selector(PROJECT)
        await show(page, f"{PROJECT} .goal")
        await photograph(page, "closest")


async def main(address: str) -> None:
    """Takes the pictures."""
    FOLDER.mkdir(exist_ok=True)
    await on_a_desk(address)
    await on_a_phone(address)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["http://localhost:8000"]))
