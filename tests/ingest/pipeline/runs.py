"""Runs of the ingest, here and in processes that can be killed, and the documents they are given."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ingest.pipeline.local_engine import Counts
from ingest.pipeline.run import open_ingest
from ingest.pipeline.store import status
from tests.pace import time_limit
from tools.core.database import open_pool
from tools.core.settings import Settings

_LONG_AGO_SECONDS = 3600

POSTING = """# 도토리상점 채용: 서버 개발자 {n}

## 담당업무
- 주문 API {n}번 구간의 설계와 개발
- 결제 연동 모듈 {n}의 장애 대응

## 자격요건
- Java와 Spring Boot로 서비스를 {n}년 이상 운영한 분
- MySQL 질의를 실행 계획으로 살펴본 분

## 우대사항
- Kafka를 다뤄 본 분
"""
MENU = "오늘의 점심\n김치찌개와 계란말이\n내일의 점심\n비빔밥\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Writes a file that rests: a folder's source waits for files that were changed just now."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    then = time.time() - _LONG_AGO_SECONDS
    os.utime(path, (then, then))
    return path


def write_postings(folder: Path, number: int) -> None:
    """Writes so many postings, each of its own text."""
    for n in range(number):
        write(folder, f"{n:03}.md", POSTING.format(n=n))


async def ingested(settings: Settings, *specs: str | Path) -> Counts:
    """Runs the ingest here, to its end."""
    counts = Counts()
    sources = [f"folder:{spec}" if isinstance(spec, Path) else spec for spec in specs]
    async with open_ingest(settings, sources) as parts:
        await parts.tidy()
        await parts.collect_and_work(parts.runners(), counts)
    return counts


async def stages(settings: Settings) -> dict[str, int]:
    """How many documents there are at each stage, `set aside` among them."""
    pool = await open_pool(settings)
    async with pool:
        found = await status(pool)
    counted: dict[str, int] = {}
    for row in found["sources"]:
        counted[row["stage"]] = counted.get(row["stage"], 0) + row["documents"]
    return counted


async def aside(settings: Settings) -> dict[str, str]:
    """The code of each document that was set aside, by its id."""
    pool = await open_pool(settings)
    async with pool:
        found = await status(pool)
    return {row["source_id"]: row["error"]["code"] for row in found["set_aside"]}


async def rows(settings: Settings, statement: str) -> list[dict[str, Any]]:
    """The rows of a statement."""
    pool = await open_pool(settings)
    async with pool, pool.connection() as connection:
        return await (await connection.execute(statement)).fetchall()


def _main(settings: Settings, sources: Sequence[str]) -> None:
    asyncio.run(ingested(settings, *sources))


@asynccontextmanager
async def running(settings: Settings, *specs: str | Path) -> AsyncIterator[BaseProcess]:
    """Runs the ingest in a process of its own; kills it at the end if it still runs."""
    sources = [f"folder:{spec}" if isinstance(spec, Path) else spec for spec in specs]
    context = multiprocessing.get_context("forkserver")
    # Imports once what every run needs.
    context.set_forkserver_preload(["tests.ingest.pipeline.runs"])
    process = context.Process(target=_main, args=(settings, sources), daemon=True)
    await asyncio.to_thread(process.start)
    try:
        yield process
    finally:
        await killed(process)


async def killed(process: BaseProcess) -> None:
    """Ends a process as a power cut would."""
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    await asyncio.to_thread(process.join, time_limit())
    assert process.exitcode is not None, "it lives on"


async def until(condition: Any) -> None:
    """Waits until the coroutine function returns something true."""
    async with asyncio.timeout(time_limit()):
        while not await condition():
            await asyncio.sleep(0.05)
