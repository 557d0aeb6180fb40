"""A headless Chromium for tests that look at pages."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Request, async_playwright

from evals.posters.chromium import FLAGS, find_chromium
from tests.pace import time_limit
from tools.core.errors import SetupError


@dataclass
class Look:
    """A page, and what its browser has noted: the addresses it asked, and what went wrong."""

    page: Page
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def failed(self, request: Request) -> None:
        """Notes a request that got no answer; one that the page gave up, as it may a stream, is none."""
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"{request.url}: {request.failure}")

    def foreign(self, address: str) -> list[str]:
        """What was asked elsewhere than at `address`."""
        return [url for url in self.asked if not url.startswith((f"{address}/", "data:", "blob:"))]


@asynccontextmanager
async def looking(
    language: str = "ko-KR", *, width: int = 1280, dark: bool = False, scripts: bool = True
) -> AsyncIterator[Look]:
    """Opens a browser with a new, empty profile. Who has none may go without these tests; CI may not."""
    try:
        program = find_chromium()
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"pages are not looked at: {error}")
    with tempfile.TemporaryDirectory() as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile,
                executable_path=program,
                args=FLAGS,
                locale=language,
                viewport={"width": width, "height": 900},
                color_scheme="dark" if dark else "light",
                java_script_enabled=scripts,
            )
            context.set_default_timeout(time_limit() * 1000)
            look = Look(await context.new_page())
            look.page.on("request", lambda request: look.asked.append(request.url))
            look.page.on("pageerror", lambda error: look.wrong.append(str(error)))
            look.page.on("requestfailed", look.failed)
            look.page.on("console", lambda said: said.type == "error" and look.wrong.append(said.text))
            try:
                yield look
            finally:
                await context.close()


async def weight(page: Page) -> int:
    """Returns the bytes of the document and of all that it has loaded but streams, fetched anew: what the
    browser tells of its own requests misses what it had in a cache."""
    names = """["navigation", "resource"]
        .flatMap(kind => performance.getEntriesByType(kind)).map(one => one.name)"""
    loaded = [name for name in dict.fromkeys(await page.evaluate(names)) if "/events" not in name]
    return sum([len(await (await page.request.get(name)).body()) for name in loaded])


async def serious(page: Page) -> list[str]:
    """Returns what axe-core finds on a page that is serious or critical: the rule, and where."""
    found = (await Axe().run(page, options={"resultTypes": ["violations"]})).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
