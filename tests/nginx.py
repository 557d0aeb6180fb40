"""A real nginx before services, with the example of the docs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import urlsplit

import httpx
import pytest

from tests.pace import time_limit
from tests.places import new_folder, passing_folder
from tests.serve.processes import free_port
from tools.core.debian import unpack_debian
from tools.core.errors import SetupError
from tools.core.settings import CHECKOUT

EXAMPLE = CHECKOUT / "docs" / "nginx.conf"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""What nginx has folders for, and makes them at its start."""


@asynccontextmanager
async def behind_nginx(services: Sequence[str], **changed: str) -> AsyncIterator[str]:
    """Runs nginx with the example before `services`, addresses of two; yields its address.

    `changed` are values of directives, where a test cannot wait as long as the example does.
    """
    program, port = _program(), free_port()
    with passing_folder() as folder:
        text = EXAMPLE.read_text(encoding="utf-8")
        places = dict(zip(("127.0.0.1:8001", "127.0.0.1:8002"), services, strict=True))
        for example, service in places.items():
            text = _replaced(text, f"server {example};", f"server {urlsplit(service).netloc};")
        text = _replaced(text, "listen 8080;", f"listen 127.0.0.1:{port};")
        for directive, value in changed.items():
            text, found = re.subn(rf"\b{directive} [^;]+;", f"{directive} {value};", text)
            assert found == 1, directive
        own = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
        text = _replaced(text, "http {", f"http {{ access_log off; {own}")
        config = folder / "nginx.conf"
        config.write_text(text, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            program, "-p", folder, "-c", config, "-e", "stderr",
            "-g", f"daemon off; pid {folder}/pid; lock_file {folder}/lock;",
        )  # fmt: skip
        try:
            await _listens(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), time_limit())


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


async def _listens(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(time_limit()), httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "nginx ended"
            try:
                await client.get(f"http://127.0.0.1:{port}/healthz", timeout=time_limit())
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
            else:
                return


@cache
def _program() -> str:
    """The program; got by apt where it is not installed."""
    if installed := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
        return installed
    folder = new_folder()
    try:
        unpack_debian(("nginx",), folder)
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"not tested behind nginx: {error}")
    return str(folder / "usr/sbin/nginx")
