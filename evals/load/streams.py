"""What idle readers of a run's events cost the worker that serves them.

    python -m evals.load.streams http://127.0.0.1:8000 PID 1000

Asks a service that runs (`PID` is its worker's process) for one run, whose model should be slow (the
offline model's latency), and reads its events so many times at once. Prints the worker's memory for each
reader, and its processor time while they are silent.
"""

from __future__ import annotations

import argparse
import asyncio

import aiohttp
import psutil

from tools.core.terminal import Terminal

SILENT_SECONDS = 30.0


async def measure(url: str, process: psutil.Process, number: int) -> str:
    """Returns what was measured, in words."""
    limits = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=limits) as client:
        asked = {"kind": "generate", "input": {"profile": {"desired_job": "백엔드 개발자"}}}
        async with client.post("/runs", json=asked) as response:
            response.raise_for_status()
            run_id = (await response.json())["run_id"]
        before = process.memory_info().rss
        readers = []
        for _ in range(number):
            reader = await client.get(f"/runs/{run_id}/events")
            reader.raise_for_status()
            await reader.content.readuntil(b"event: queued")
            readers.append(reader)
        memory = process.memory_info().rss - before
        began = process.cpu_times()
        await asyncio.sleep(SILENT_SECONDS)
        ended = process.cpu_times()
        busy = ended.user + ended.system - began.user - began.system
        for reader in readers:
            reader.close()
        async with client.delete(f"/runs/{run_id}") as response:
            response.raise_for_status()
    share = busy / SILENT_SECONDS
    return f"{number} readers: {memory / number / 1_000:.1f} kB each, {share:.1%} of a core while silent"


def main() -> None:
    """Measures, and prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("pid", type=int)
    parser.add_argument("streams", type=int, nargs="?", default=1_000)
    options = parser.parse_args()
    told = asyncio.run(measure(options.url, psutil.Process(options.pid), options.streams))
    Terminal().print(told)


if __name__ == "__main__":
    main()
