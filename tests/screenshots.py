"""Photographs the main states of the page for job seekers into docs/page/, from a service that runs.

`make run` in one terminal, and in another `.venv/bin/python -m tests.screenshots [http://localhost:8000]`.
"""

from __future__ import annotations

import asyncio
import io
import sys

from PIL import Image
from playwright.async_api import Page

from tests.browser import looking
from tools.core.settings import CHECKOUT

FOLDER = CHECKOUT / "docs" / "page"
QUALITY = 70
PROJECT = ".columns [data-project]"


async def photograph(page: Page, name: str) -> None:
    """Writes what the window shows as docs/page/`name`.webp."""
    shown = Image.open(io.BytesIO(await page.screenshot(animations="disabled")))
    path = FOLDER / f"{name}.webp"
    shown.save(path, quality=QUALITY, method=6)
    print(f"{path.relative_to(CHECKOUT)}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201 - a program


async def main(address: str) -> None:
    """Takes the pictures."""
    FOLDER.mkdir(exist_ok=True)
    async with looking("ko-KR") as look:
        page = look.page
        await page.goto(f"{address}/?person=java-backend")
        await page.evaluate("document.getElementById('more').open = false")
        await photograph(page, "start")
        await page.click("#go")
        await page.wait_for_selector("#watch .done")
        await photograph(page, "watching")
        await page.wait_for_selector(PROJECT)
        await page.locator(".reason .whole summary").first.click()
        await page.evaluate("document.querySelector('#why').scrollIntoView()")
        await photograph(page, "session")
        await page.goto(f"{address}/search?q=결제 서버 Kafka")
        await photograph(page, "search")
    async with looking("en-GB", width=360, dark=True) as look:
        page = look.page
        await page.goto(f"{address}/?person=android-developer")
        await page.click("#go")
        await page.wait_for_selector(PROJECT)
        await page.evaluate("scrollTo(0, 0)")
        await photograph(page, "phone")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["http://localhost:8000"]))
