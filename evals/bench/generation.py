"""`make bench`: CPU per generation and per node, against the offline model at zero latency.

Two measurements, because CPU is counted per process:

- the whole service, over HTTP: CPU seconds of the serving process, over many concurrent generations;
- each node, in this process, one run at a time: CPU seconds between its start and its end.

Figures are milliseconds of CPU. They depend on the machine; compare them on one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import aiohttp
import psutil
import typer
from rich.table import Table

from graph.sessions.sessions import PROGRESS_MESSAGES
from ingest.load import load_samples_where_empty
from local.servers import embedded_servers
from serve.context import AppContext, open_app_context
from tools.core.contracts import Profile
from tools.core.settings import Settings
from tools.core.terminal import Terminal, exit_on_errors
from tools.services import open_services

GENERATIONS = 200
CONCURRENCY = 16
WARM_UP = 20
SEQUENTIAL = 0.3
"""Runs of the per-node measurement, for each generation of the other."""
PROFILE = {"desired_job": "백엔드 개발자", "skills": ["Java", "Spring Boot", "MySQL"]}
START_SECONDS = 60.0


def main(
    generations: Annotated[int, typer.Option(min=10, help="how many are measured")] = GENERATIONS,
) -> None:
    """Measures and prints."""
    # Whatever the shell has configured: no key is used, no money spent, no database of yours touched.
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DATABASE_URL", "REDIS_URL", "CHECKERBOARD_API_KEYS"):
        os.environ.pop(name, None)
    with embedded_servers(Settings()) as settings:
        asyncio.run(_samples(settings))
        service = asyncio.run(_service(settings, generations))
        nodes = asyncio.run(_nodes(settings, round(SEQUENTIAL * generations)))
    table = Table(title=f"CPU per generation ({generations} over HTTP, {CONCURRENCY} at once; offline model)")
    table.add_column("what")
    table.add_column("ms of CPU", justify="right")
    table.add_row("the serving process, whole", f"{service['cpu_ms']:.1f}")
    table.add_row("generations a second", f"{service['per_second']:.1f}")
    for name in PROGRESS_MESSAGES:
        table.add_row(f"  {name}", f"{statistics.median(nodes[name]):.1f}")
    table.add_row("  between nodes (graph, checkpoint, answer)", f"{statistics.median(nodes['rest']):.1f}")
    Terminal().print(table)


async def _samples(settings: Settings) -> None:
    async with open_services(settings) as services:
        await load_samples_where_empty(services)


async def _service(settings: Settings, generations: int) -> dict[str, float]:
    """Returns the serving process's CPU per generation, ms, and how many it did a second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("checkerboard")), "serve", "--port", str(port)]
    server = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | {"CHECKERBOARD_HOME": str(settings.home)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            await _ready(client)
            await _generate(client, WARM_UP)
            process = psutil.Process(server.pid)
            before, began = _cpu_seconds(process), time.perf_counter()
            await _generate(client, generations)
            cpu, wall = _cpu_seconds(process) - before, time.perf_counter() - began
    finally:
        server.terminate()
        async with asyncio.timeout(START_SECONDS):
            await server.wait()
    return {"cpu_ms": cpu / generations * 1000, "per_second": generations / wall}


async def _ready(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                async with client.get("/readyz") as response:
                    if response.status == 200:  # noqa: PLR2004 - an HTTP status
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


async def _generate(client: aiohttp.ClientSession, count: int) -> None:
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one() -> None:
        async with gate, client.post("/generate/invoke", json={"input": {"profile": PROFILE}}) as response:
            response.raise_for_status()
            await response.read()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _nodes(settings: Settings, runs: int) -> dict[str, list[float]]:
    """Returns each node's CPU of every run, ms; `rest` is what runs outside the nodes."""
    costs: dict[str, list[float]] = defaultdict(list)
    async with open_app_context(settings) as app_context:
        for number in range(WARM_UP + runs):
            run = await _one_run(app_context)
            if number >= WARM_UP:
                for name, cost in run.items():
                    costs[name].append(cost)
    return costs


async def _one_run(app_context: AppContext) -> dict[str, float]:
    costs: dict[str, float] = {}
    began = started = time.process_time()
    async for event in app_context.sessions.generate(Profile.model_validate(PROFILE), "ko"):
        if event["type"] == "node_started":
            started = time.process_time()
        elif event["type"] == "node_finished":
            costs[event["node"]] = (time.process_time() - started) * 1000
        elif event["type"] == "error":
            raise RuntimeError(event["data"])
    costs["rest"] = (time.process_time() - began) * 1000 - sum(costs.values())
    return costs


if __name__ == "__main__":
    with exit_on_errors():
        typer.run(main)
