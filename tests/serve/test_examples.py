"""The examples in Python and JavaScript that README.md shows, as programs of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests import readme
from tests.browser import Look, looking
from tests.cutting import cutting
from tests.pace import time_limit
from tests.serve.conftest import served
from tools.core.settings import Settings

README = readme.text_of("README.md")
JAVASCRIPT = readme.block(README, "js")


async def printed(address: str, *command: str) -> str:
    """Runs a program; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(word.replace("http://localhost:8000", address) for word in command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), time_limit())
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    return out.decode().strip()


async def test_the_example_in_python_prints_a_title(address: str) -> None:
    assert await printed(address, sys.executable, "-c", readme.block(README, "python"))


async def test_the_client_of_the_docs_prints_events_and_a_title(address: str) -> None:
    said = await printed(address, sys.executable, "-c", readme.block(readme.text_of(readme.API), "python"))
    *events, title = said.splitlines()
    assert events[0].split() == ["queued"]
    assert events[-1].split() == ["result"]
    assert title


async def test_the_example_in_javascript_follows_a_run_and_prints_a_title(address: str) -> None:
    node = shutil.which("node")
    if node is None and not os.environ.get("CI"):
        pytest.skip("node is not installed")
    assert node is not None
    async with cutting(address) as proxy:
        proxy.cut_after = [3, 0, 5]
        said = await printed(proxy.address, node, "--input-type=module", "-e", JAVASCRIPT)
        assert proxy.streams == 4
    check_followed(said.splitlines())


async def test_the_example_in_javascript_runs_in_the_page_of_another_site(settings: Settings) -> None:
    async with page_of_another_site() as (site, look):
        allowed = settings.model_copy(update={"cors_origins": (site,)})
        async with served(allowed) as address, cutting(address) as proxy:
            proxy.cut_after = [2]
            await look.page.goto(site)
            code = JAVASCRIPT.replace("http://localhost:8000", proxy.address)
            said: list[str] = []
            look.page.on("console", lambda message: said.append(message.text))
            await look.page.evaluate(f"async () => {{ {code} }}")
            assert proxy.streams == 2
        check_followed([line for line in said if not line.startswith("Failed to load resource")])


def check_followed(lines: list[str]) -> None:
    """Each event was told once, each with its id; then the title."""
    *events, title = lines
    types, ids = [line.split()[0] for line in events], [line.split()[-1] for line in events]
    assert (types[0], types[-1]) == ("queued", "result")
    assert types.count("node_finished") == 6
    assert len(set(ids)) == len(ids)
    assert title
    assert title != "undefined"


@asynccontextmanager
async def page_of_another_site() -> AsyncIterator[tuple[str, Look]]:
    """A site with one empty page, and a browser."""

    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>another site</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{any:.*}", empty)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
        async with looking() as look:
            yield site.name, look
    finally:
        await runner.cleanup()
