"""The Ray engine: the same stages on Ray Data, in pools of actors.

The actors hand on document ids only. The documents are in PostgreSQL, with their claims, attempts and
answers, so a run on Ray behaves as one on a single machine: an actor that dies is replaced, and its
documents go on where they were."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from ingest.pipeline.local_engine import Counts
from ingest.pipeline.run import Ingest, open_ingest
from ingest.pipeline.store import Stage
from tools.core.extras import require_extra
from tools.core.processes import ALLOWED
from tools.core.settings import Settings

AT_ONCE = 64
"""Documents that one actor has at a time."""
_OPEN_SECONDS = 300.0
_NEEDED = re.compile(r"^RAY_|_proxy$", re.I)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pool:
    """The actors of some stages, and the share of a CPU of each."""

    stages: tuple[Stage, ...]
    actors: int
    cpus: float

    def environment(self) -> dict[str, str]:
        """Returns the variables that are set for the actors beside ours. Those that parse files from
        strangers get no keys: Ray cannot remove a variable, but it can empty it. A proxy may be needed to
        reach Upstage."""
        if "parsed" not in self.stages:
            return {}
        return {name: "" for name in os.environ if not (name in ALLOWED or _NEEDED.search(name))}


async def run_on_ray(settings: Settings, ingest: Ingest, counts: Counts) -> int:
    """Collects the sources here, then takes every unfinished document through the stages on the cluster of
    RAY_ADDRESS, or on this machine. Returns how many were set aside.

    Raises:
        MissingExtraError: Ray is not installed.
        CheckerboardError: as `LocalEngine.run`.
    """
    require_extra("ray", "ray", purpose="The engine `ray`", otherwise="leave `--engine` out")
    import ray  # noqa: PLC0415 - an extra: half a gigabyte that few need
    import ray.data  # noqa: PLC0415

    await ingest.collect_and_work((), counts)
    ids = await ingest.store.unfinished()
    if not ids:
        return 0
    await asyncio.to_thread(_process, ray, settings, ids)
    return await ingest.store.count_set_aside(ids)


def _process(ray: Any, settings: Settings, ids: Sequence[int]) -> None:
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    blocks = max(1, -(-len(ids) // AT_ONCE))
    documents = ray.data.from_items([{"id": number} for number in ids], override_num_blocks=blocks)
    for pool in _pools(cpus):
        documents = documents.map_batches(
            StagesActor,
            fn_constructor_args=(_share(settings, pool.actors), pool.stages),
            batch_size=AT_ONCE,
            compute=ray.data.ActorPoolStrategy(size=pool.actors),
            num_cpus=pool.cpus,
            runtime_env={"env_vars": pool.environment()},
        )
    for _ in documents.iter_batches(batch_size=None):
        pass


def _pools(cpus: int) -> list[Pool]:
    """Parsing takes a core; the other stages wait for a provider or a database most of the time."""
    return [
        Pool(("parsed",), max(1, cpus - 1), 0.5 if cpus == 1 else 1.0),
        Pool(("tagged",), max(1, cpus // 4), 0.1),
        Pool(("embedded", "loaded"), 1, 0.1),
    ]


def _share(settings: Settings, actors: int) -> Settings:
    """Returns the settings of one of several actors: the limits of providers hold for all of them
    together."""
    return settings.model_copy(
        update={
            "chat_per_second": settings.chat_per_second / actors,
            "upstage_per_second": settings.upstage_per_second / actors,
            "ingest_workers": max(1, settings.ingest_workers // actors),
            "parser_processes": 1,
        }
    )


class StagesActor:
    """Takes documents through some stages. Its parts are opened once, in an event loop of its
    own."""

    def __init__(self, settings: Settings, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        # Closed by the end of the process, which ends the connections, and with them the claims.
        self._parts = AsyncExitStack()
        self._ingest = self._wait(self._parts.enter_async_context(open_ingest(settings)), _OPEN_SECONDS)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Takes some documents through the stages; those that failed stay where they are."""
        ids = [int(number) for number in batch["id"]]
        runners = [runner for runner in self._ingest.runners() if runner.stage in self._stages]
        self._wait(self._ingest.collect_and_work(runners, Counts(), ids=ids))
        return batch

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)
