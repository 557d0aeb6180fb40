"""Prints how long the page takes to be seen: Largest Contentful Paint and weight, from a service that runs.

`make run` in one terminal, and in another `.venv/bin/python -m tests.paint [http://localhost:8000]`. Each
page is loaded LOADS times by a browser that has nothing cached; the first load, in which the service fills
its own caches, is not counted.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

from playwright.async_api import Page

from tests.browser import looking, weight

LOADS = 21
PROJECT = ".columns [data-project]"
# An entry that was there before is told to an observer as well.
LARGEST = """() => new Promise(resolve => new PerformanceObserver(list => {
    const entry = list.getEntries().at(-1);
    resolve([entry.startTime, entry.element?.tagName ?? ""]);
}).observe({type: "largest-contentful-paint", buffered: true}))"""


async def measured(page: Page, url: str) -> tuple[list[float], str, int]:
    """Returns the milliseconds to the largest paint of each load, sorted, what is painted, and the page's
    weight."""
    paints, painted = [], ""
    for _ in range(LOADS + 1):
        await page.goto(url, wait_until="networkidle")
        milliseconds, painted = await page.evaluate(LARGEST)
        paints.append(milliseconds)
    return sorted(paints[1:]), painted, await weight(page)


async def main(address: str) -> None:
    """Makes a session and keeps its project, and measures the pages."""
    async with looking("ko-KR") as look:
        page = look.page
        await page.goto(f"{address}/?person=java-backend")
        await page.click("#go")
        await page.wait_for_selector(PROJECT)
        session = page.url
        await page.click("#keep")
        await page.wait_for_selector("#link a:not(:empty)")
        kept = str(await page.get_attribute("#link a", "href"))
        network = await page.context.new_cdp_session(page)
        await network.send("Network.setCacheDisabled", {"cacheDisabled": True})
        pages = {
            "start": address,
            "session": session,
            "kept": kept,
            "search": f"{address}/search?q=백엔드 개발자",
        }
        print(f"{'page':<8} {'median':>8} {'longest':>8} {'weight':>8}  painted last")  # noqa: T201 - a program
        for name, url in pages.items():
            paints, painted, size = await measured(page, url)
            line = f"{name:<8} {statistics.median(paints):5.0f} ms {paints[-1]:5.0f} ms {size / 1000:5.0f} kB"
            print(f"{line}  {painted.lower()}")  # noqa: T201 - a program


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["http://localhost:8000"]))
