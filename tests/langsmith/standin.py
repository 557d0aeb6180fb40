"""LangSmith on loopback: its prompt hub, its traces, its data sets and its experiments."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from langsmith.prompt_cache import async_prompt_cache_singleton, prompt_cache_singleton

from tests.langsmith.datasets import LATEST, Datasets
from tests.langsmith.experiments import Experiment, Experiments
from tests.langsmith.hub import Hub
from tests.langsmith.manifests import Messages, chat
from tests.langsmith.runs import Runs
from tests.langsmith.server import Answer, Call, Server


class LangSmith(Server):
    """The stand-in. `url` and `key` are what LANGSMITH_ENDPOINT and LANGSMITH_API_KEY name."""

    def __init__(self) -> None:
        super().__init__()
        self._last = datetime.now(UTC)
        tenant = str(uuid.uuid4())
        self.hub = Hub(tenant, self._now)
        self._datasets = Datasets(tenant, self._now)
        # Either needs the other, so one of them is looked up late.
        self._experiments = Experiments(tenant, self._now, lambda run: self._runs.has(run))  # noqa: PLW0108
        self._runs = Runs(self._experiments.project, self._experiments.take, self._experiments.stats)
        self.ingest: Literal["zstd", "multipart", "batch"] = "zstd"
        """How clients are told to send runs in the background, when they first ask."""

    def commit(self, name: str, prompt: Messages | Mapping[str, Any], *, tags: Iterable[str] = ()) -> str:
        """Puts a new commit into the hub as if somebody had saved it there. `prompt` is a manifest or
        messages; `tags` move to it. Returns the commit's hash."""
        manifest = dict(prompt) if isinstance(prompt, Mapping) else chat(prompt)
        with self.lock:
            return self.hub.commit(name, manifest, tags=tags)

    def environment(self) -> dict[str, str]:
        """Variables under which a process takes this for LangSmith."""
        return {"LANGSMITH_ENDPOINT": self.url, "LANGSMITH_API_KEY": self.key}

    @property
    def runs(self) -> list[dict[str, Any]]:
        """All runs that came in, in the order they began, as the API has them; their `metadata` lie
        beside their `inputs`, `outputs`, `tags` and `error`."""
        with self.lock:
            return self._runs.rows()

    @property
    def attachments(self) -> dict[tuple[str, str], bytes]:
        """Files attached to runs, by the run's id and their name."""
        with self.lock:
            return dict(self._runs.attachments)

    @property
    def feedback(self) -> list[dict[str, Any]]:
        """All feedback, oldest first."""
        with self.lock:
            return list(self._experiments.feedback.values())

    @property
    def experiments(self) -> list[Experiment]:
        """The experiments on data sets, oldest first."""
        with self.lock:
            return [
                Experiment(
                    row["name"],
                    row["extra"].get("metadata", {}),
                    row["reference_dataset_id"],
                    [run for run in self.runs if run["session_id"] == row["id"] and not run["parent_run_id"]],
                    [piece for piece in self.feedback if piece.get("session_id") == row["id"]],
                )
                for row in self._experiments.projects.values()
                if row["reference_dataset_id"]
            ]

    def examples(self, dataset: str, as_of: str = LATEST) -> list[dict[str, Any]]:
        """The examples of a data set's version, in the order they came in."""
        with self.lock:
            return list(self._datasets.named(dataset).at(as_of).rows.values())

    def answer(self, call: Call) -> Answer | None:
        if call.parts == ["info"]:
            return Answer(self._info())
        for room in (self.hub, self._runs, self._experiments, self._datasets):
            answer = room.answer(call)
            if answer is not None:
                return answer
        return None

    def _info(self) -> dict[str, Any]:
        return {
            "version": "0.18.0",
            "instance_flags": {
                "dataset_examples_multipart_enabled": True,
                "zstd_compression_enabled": self.ingest == "zstd",
                "ch_query_enabled": True,
                "sdb_query_enabled": True,
            },
            "batch_ingest_config": {
                "use_multipart_endpoint": self.ingest != "batch",
                "size_limit": 100,
                "size_limit_bytes": 20_971_520,
                "scale_up_qsize_trigger": 1000,
                "scale_up_nthreads_limit": 16,
                "scale_down_nempty_trigger": 4,
            },
        }

    def _now(self) -> datetime:
        """The time, later at every call, because versions are told apart by it."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last


@contextmanager
def langsmith_standin() -> Iterator[LangSmith]:
    """Yields a running stand-in. The SDK's caches of prompts, which are the process's and know a prompt
    by its name alone, are emptied before and after."""
    forget_prompts()
    with LangSmith() as standin:
        yield standin
    forget_prompts()


def forget_prompts() -> None:
    """Empties the SDK's caches of prompts and ends their thread."""
    for cache in (prompt_cache_singleton, async_prompt_cache_singleton):
        cache.clear()
        cache.shutdown()
