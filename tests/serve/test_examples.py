"""The examples in Python and JavaScript that README.md shows, as programs of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys

import pytest

from tests import readme
from tests.pace import time_limit

README = readme.text_of("README.md")


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


async def test_the_example_in_javascript_prints_a_title(address: str) -> None:
    node = shutil.which("node")
    if node is None and not os.environ.get("CI"):
        pytest.skip("node is not installed")
    assert node is not None
    code = readme.block(README, "js")
    title = await printed(address, node, "--input-type=module", "-e", code)
    assert title
    assert title != "undefined"
