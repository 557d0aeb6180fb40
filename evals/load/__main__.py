"""`make load`: how many people the service holds, over real HTTP, with a model that takes its time.

Everything runs on this machine, on loopback, in a home of its own, and ends by itself. See docs/load.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import psutil
import typer
from pydantic import SecretStr

from evals.load.postings import postings
from evals.load.processes import Watch
from evals.load.report import print_table, result
from evals.load.standin_model import MARK
from ingest.load import embed
from local.servers import embedded_servers
from local.servers.files import read_state, server_files
from tools.core.extras import require_extra
from tools.core.settings import CHECKOUT, Settings
from tools.core.terminal import Terminal, exit_on_errors
from tools.llm.embeddings import BATCH
from tools.services import open_services

MEAN_SECONDS, DEVIATION_SECONDS = 40.0, 10.0
"""Of one chat call, as in the original's experiment: every call replaced by a sleep of N(40, 10) s."""
CHATS = 4
"""Chat calls of a generation."""
BURST_SECONDS = 40.0
PATIENCE_SECONDS = 300.0
"""How long a person waits for the comparator's answer; the service ends a run itself by then."""
MARGIN_SECONDS = 30.0
POSTINGS = 2_000
PROFILES = 48
START_SECONDS = 120.0
LONGEST_SECONDS = 1_200.0
WARM_UP_AT_ONCE = 8
_ROUNDS = 6
"""Of the warm-up. The second would do, but a few profiles find other postings in it than in the first."""
PAGE_SECONDS = 60
"""How long Locust's page stays after the last answer."""
_OUTSIDE = ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "LANGSMITH_API_KEY")


class Mode(enum.StrEnum):
    """Who is asked."""

    ASYNC = "async"
    """The service."""
    SYNC = "sync"
    """The comparator, which keeps a thread for each person."""


class Arrival(enum.StrEnum):
    """How people come."""

    STEADY = "steady"
    """Evenly, over one mean generation; each begins again when his or hers is done."""
    BURST = "burst"
    """All within the mean time of one call; once."""


@dataclass(frozen=True)
class Experiment:
    """What is tried."""

    people: int
    workers: int
    mode: Mode
    arrival: Arrival
    time_scale: float
    generations: int
    watching: float
    page: bool

    @property
    def arrival_seconds(self) -> float:
        """How long it takes until all are there."""
        whole = BURST_SECONDS if self.arrival is Arrival.BURST else CHATS * MEAN_SECONDS
        return whole * self.time_scale

    @property
    def patience_seconds(self) -> float:
        """How long a person waits."""
        if self.mode is Mode.SYNC:
            return PATIENCE_SECONDS * self.time_scale
        return PATIENCE_SECONDS + MARGIN_SECONDS

    @property
    def name(self) -> str:
        """Names its result."""
        return f"{self.mode}-{self.people}-{self.workers}w-{self.arrival}-x{self.time_scale:g}"


def main(  # noqa: PLR0917 - options of a command
    people: Annotated[int, typer.Option(min=1, max=20_000)] = 200,
    workers: Annotated[int, typer.Option(min=1, max=16, help="processes of the service")] = 1,
    mode: Annotated[Mode, typer.Option(help="the service, or a synchronous one")] = Mode.ASYNC,
    arrival: Annotated[Arrival, typer.Option(help="evenly and again, or all at once")] = Arrival.STEADY,
    time_scale: Annotated[float, typer.Option(min=0.001, max=1, help="1: calls of N(40, 10) seconds")] = 0.1,
    generations: Annotated[int, typer.Option(min=1, max=100, help="of each person; one in a burst")] = 3,
    watching: Annotated[
        float, typer.Option(min=0, max=1, help="share of people who watch the stream of events")
    ] = 0.1,
    page: Annotated[bool, typer.Option("--page", help="with Locust's page on 127.0.0.1:8089")] = False,
    output: Annotated[Path | None, typer.Option(help="file of the result")] = None,
) -> None:
    """Measures, prints a table and writes the result as JSON. Settings of the service are taken from the
    environment (CHECKERBOARD_…); the stores and the model are its own."""
    require_extra("load", "locust", purpose="The load experiment", otherwise="measure with another client")
    for name in _OUTSIDE:
        os.environ.pop(name, None)
    generations = 1 if arrival is Arrival.BURST else generations
    experiment = Experiment(people, workers, mode, arrival, time_scale, generations, watching, page)
    # Words that are drawn have no meaning to embed by.
    own = Settings(home=Settings().home / "load", offline_embeddings="morphemes")
    with embedded_servers(own) as settings:
        found = asyncio.run(_measure(experiment, settings))
    place = output or own.home / "results" / f"{experiment.name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    print_table([found], Terminal())
    if found["failed"] and mode is Mode.ASYNC:
        raise typer.Exit(1)


async def _measure(experiment: Experiment, settings: Settings) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        assert settings.openai_base_url is not None  # noqa: S101 - the offline model's
        model = await stack.enter_async_context(_standin_model(settings.openai_base_url))
        settings = settings.model_copy(
            update={
                "openai_base_url": model.url,
                "openai_api_key": SecretStr("load"),
                "embedding_base_url": None,
            }
        )
        await _load_postings(settings)
        service = await stack.enter_async_context(_service(experiment, settings))
        client = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS))
        )
        profiles = _profiles()[: experiment.people * experiment.generations]
        if experiment.mode is Mode.ASYNC:
            await _warm_up(client, service.url, model.url, profiles)
        latency = {
            "mean_seconds": MEAN_SECONDS * experiment.time_scale,
            "deviation_seconds": DEVIATION_SECONDS * experiment.time_scale,
        }
        async with client.put(_control(model.url, "latency"), json=latency) as response:
            response.raise_for_status()
        folder = settings.home / "run"
        requests = folder / "load.jsonl"
        plan = {
            "host": "127.0.0.1",
            "port": service.url.rpartition(":")[2],
            "watching": experiment.watching if experiment.mode is Mode.ASYNC else 0,
            "profiles": profiles,
            "generations": experiment.generations,
            "people": experiment.people,
            "limit_seconds": experiment.patience_seconds,
            "requests": str(requests),
            "mark": MARK,
            "first_number": 2 * len(profiles),
        }
        (folder / "load-plan.json").write_text(json.dumps(plan, ensure_ascii=False))
        began = time.perf_counter()
        people = await _people(experiment, folder / "load-plan.json")
        watch = Watch(
            {
                **_workers(service.process.pid, experiment),
                "postgresql": [_pid("postgres", settings)],
                "redis": [_pid("redis", settings)],
                "model": [model.process.pid],
                "people": [people.pid],
            }
        )
        watching = asyncio.create_task(watch.run(service.url))
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await people.wait()
        finally:
            await _end(people)
            watching.cancel()
            await asyncio.wait({watching})
        wall = time.perf_counter() - began
        async with client.get(_control(model.url, "counts")) as response:
            counts = await response.json()
        lines = [json.loads(line) for line in requests.read_text().splitlines()]
        return result(
            {**asdict(experiment), "arrival_seconds": experiment.arrival_seconds},
            lines,
            counts,
            watch,
            wall_seconds=wall,
            overrides={
                k: v
                for k, v in os.environ.items()
                if k.startswith("CHECKERBOARD_") and k != "CHECKERBOARD_HOME"
            },
        )


@dataclass(frozen=True)
class _Part:
    process: asyncio.subprocess.Process
    url: str


@contextlib.asynccontextmanager
async def _standin_model(upstream: str) -> AsyncIterator[_Part]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "evals.load.standin_model",
        upstream,
        stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe
        async with asyncio.timeout(START_SECONDS):
            url = (await process.stdout.readline()).decode().strip()
        yield _Part(process, url)
    finally:
        await _end(process)


@contextlib.asynccontextmanager
async def _service(experiment: Experiment, settings: Settings) -> AsyncIterator[_Part]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if experiment.mode is Mode.SYNC:
        command = [sys.executable, "-m", "evals.load.synchronous", str(port)]
    else:
        program = str(Path(sys.executable).with_name("checkerboard"))
        command = [program, "serve", "--port", str(port), "--workers", str(experiment.workers)]
    assert settings.openai_api_key is not None  # noqa: S101 - set above
    environment = {
        "DATABASE_URL": str(settings.database_url),
        "REDIS_URL": str(settings.redis_url),
        "OPENAI_BASE_URL": str(settings.openai_base_url),
        "OPENAI_API_KEY": settings.openai_api_key.get_secret_value(),
        "CHECKERBOARD_HOME": str(settings.home),
    }
    with (settings.home / "run" / "load-service.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | environment, stdout=log, stderr=log, cwd=CHECKOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            if experiment.mode is Mode.ASYNC:
                await _until(f"{url}/readyz", lambda state: state["parts"]["search"]["analyser"] == "running")
            else:
                await _until(f"{url}/healthz", lambda _: True)
            yield _Part(process, url)
        finally:
            await _end(process)


async def _people(experiment: Experiment, plan: Path) -> asyncio.subprocess.Process:
    people = Path(str(files("evals.load") / "people.py"))
    rate = experiment.people / experiment.arrival_seconds
    page = ["--autostart", "--autoquit", str(PAGE_SECONDS), "--web-host", "127.0.0.1"]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", str(people), "--plan", str(plan)),
        *("--users", str(experiment.people), "--spawn-rate", str(rate), "--host", "http://127.0.0.1"),
        *("--loglevel", "ERROR", "--exit-code-on-error", "0"),
        *(page if experiment.page else ["--headless", "--only-summary", "--reset-stats"]),
        stdout=asyncio.subprocess.DEVNULL,
        cwd=CHECKOUT,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(START_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until(url: str, ready: Callable[[Any], bool]) -> None:
    """Waits until the service is ready. It searches by meaning alone until its analyser runs: what a profile
    finds would change, and with it what the model is asked."""
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as client:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with client.get(url) as response:
                    if response.ok and ready(await response.json()):
                        return
            await asyncio.sleep(0.1)


async def _load_postings(settings: Settings) -> None:
    async with open_services(settings) as services:
        if sum((await services.postings.sources()).values()) == POSTINGS:
            return
        wanted = postings(POSTINGS)
        for first in range(0, POSTINGS, BATCH):
            batch = wanted[first : first + BATCH]
            await embed(services, batch)
            await services.writer.upsert(batch)


def _profiles() -> list[dict[str, Any]]:
    """Returns the profiles that people have, but for their marks."""
    cases = (
        json.loads(line) for line in (files("evals") / "datasets" / "profiles.jsonl").read_text().splitlines()
    )
    korean = [case["inputs"]["profile"] for case in cases if case["inputs"].get("language", "ko") == "ko"]
    return korean[:PROFILES]


async def _warm_up(
    client: aiohttp.ClientSession, service: str, model: str, profiles: Sequence[Mapping[str, Any]]
) -> None:
    """Has the model learn every answer: asks everything until nothing is new to it."""
    at_once = asyncio.Semaphore(WARM_UP_AT_ONCE)

    async def ask(number: int) -> None:
        profile = dict(profiles[number % len(profiles)])
        profile["desired_job"] = f"{profile['desired_job']} {MARK % number}"
        async with (
            at_once,
            client.post(f"{service}/generate/invoke", json={"input": {"profile": profile}}) as got,
        ):
            if not got.ok:
                raise RuntimeError(f"the service answers {got.status}: {await got.text()}")

    for round_ in range(_ROUNDS):
        async with client.put(
            _control(model, "latency"), json={"mean_seconds": 0, "deviation_seconds": 0}
        ) as response:
            response.raise_for_status()
        await asyncio.gather(*(ask(round_ * len(profiles) + number) for number in range(len(profiles))))
        async with client.get(_control(model, "counts")) as response:
            unknown = (await response.json())["unknown"]
        if not unknown:
            return
    raise RuntimeError(f"{unknown} questions differ by more than the mark: the model would be measured")


def _control(model: str, what: str) -> str:
    return f"{model.removesuffix('/v1')}/load/{what}"


def _workers(pid: int, experiment: Experiment) -> dict[str, list[int]]:
    if experiment.workers == 1:
        return {"service": [pid]}
    workers = [child.pid for child in psutil.Process(pid).children()]
    return {f"service, worker {number}": [worker] for number, worker in enumerate(workers, start=1)}


def _pid(server: str, settings: Settings) -> int:
    state = read_state(server_files(server, settings.home).state)
    assert state is not None and state.running is not None  # noqa: S101 - we have joined it
    return state.running.pid


if __name__ == "__main__":
    with exit_on_errors():
        typer.run(main)
