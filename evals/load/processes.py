"""CPU and memory of each process of a load test, and how late the service's loop is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil

EVERY_SECONDS = 1.0


@dataclass
class Watched:
    """What was seen of one part."""

    began: float = 0.0
    cpu_seconds: float = 0.0
    first_bytes: int = 0
    most_bytes: int = 0
    most_files: int = 0


@dataclass
class Watch:
    """Watches parts, each a process with all that it has started, for as long as it runs.

    `late_seconds` are the answer times of `/healthz`, which does nothing: how long the loop of the worker
    that took the request let it wait.
    """

    parts: Mapping[str, Iterable[int]]
    seen: dict[str, Watched] = field(default_factory=dict)
    late_seconds: list[float] = field(default_factory=list)

    async def run(self, url: str) -> None:
        """Looks once a second, until it is cancelled."""
        self.look()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_on())
            group.create_task(self._ask(url))

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.look()

    def look(self) -> None:
        """Adds what there is to see now."""
        for name, roots in self.parts.items():
            cpu, resident, files = _of_trees(roots)
            seen = self.seen.get(name)
            if seen is None:
                self.seen[name] = Watched(cpu, 0.0, resident, resident, files)
                continue
            seen.cpu_seconds = max(seen.cpu_seconds, cpu - seen.began)
            seen.most_bytes = max(seen.most_bytes, resident)
            seen.most_files = max(seen.most_files, files)

    async def _ask(self, url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            while True:
                began = time.perf_counter()
                try:
                    async with client.get(f"{url}/healthz", headers={"connection": "close"}) as response:
                        await response.read()
                except aiohttp.ClientError:
                    pass
                self.late_seconds.append(time.perf_counter() - began)
                await asyncio.sleep(EVERY_SECONDS / 4)

    def report(self, wall_seconds: float, generations: int, people: int) -> dict[str, dict[str, Any]]:
        """Returns, by part: cores used on average, ms of CPU a generation, the most memory (MB), what each of
        the people took of it (kB), and the most open files."""
        return {
            name: {
                "cores": round(seen.cpu_seconds / wall_seconds, 3),
                "cpu_ms_per_generation": round(seen.cpu_seconds * 1_000 / max(1, generations), 1),
                "most_mb": round(seen.most_bytes / 1e6, 1),
                "kb_per_person": round((seen.most_bytes - seen.first_bytes) / people / 1e3, 1),
                "most_files": seen.most_files,
            }
            for name, seen in self.seen.items()
        }


def _of_trees(roots: Iterable[int]) -> tuple[float, int, int]:
    """Returns CPU seconds, resident bytes and open files of processes and all that they have started."""
    cpu, resident, files = 0.0, 0, 0
    for root in roots:
        try:
            tree = psutil.Process(root)
            for process in (tree, *tree.children(recursive=True)):
                times = process.cpu_times()
                cpu += times.user + times.system
                resident += process.memory_info().rss
                files += process.num_fds()
        except psutil.NoSuchProcess:
            continue
    return cpu, resident, files
