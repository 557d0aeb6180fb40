"""The same stages on a Ray cluster of two nodes, each with processes of its own, on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.pipeline.local_engine import Counts
from ingest.pipeline.ray_engine import _pools, run_on_ray
from ingest.pipeline.run import open_ingest
from tests.ingest.pipeline.runs import MENU, aside, rows, stages, write, write_postings
from tests.offline import Offline
from tools.core.settings import Settings

NUMBER = 5


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    # It would look for the address of its makers' usage statistics.
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # On a slow machine a process of Ray takes long to start; only one that never does is an error.
    for limit in ("worker_register_timeout_seconds", "raylet_start_wait_time_s"):
        monkeypatch.setenv(f"RAY_{limit}", "900")
    monkeypatch.setenv("RAY_health_check_timeout_ms", "300000")
    import ray  # noqa: PLC0415 - slow to import, and only this test needs it
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    small = {"num_cpus": 1, "object_store_memory": 80_000_000}
    nodes = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    nodes.add_node(**small)
    ray.init(address=nodes.address, log_to_driver=False)
    yield ray
    ray.shutdown()
    nodes.shutdown()


def test_actors_that_read_files_know_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("OPENAI_API_KEY", "DATABASE_URL", "NOBODY_KNOWS_MY_NAME")
    for name in (*secrets, "https_proxy"):
        monkeypatch.setenv(name, "sk-secret")
    [reading, *others] = _pools(4)
    taken = {**os.environ, **reading.environment()}
    assert [taken[name] for name in secrets] == ["", "", ""]
    assert (taken["PATH"], taken["https_proxy"]) == (os.environ["PATH"], "sk-secret")
    assert [pool.environment() for pool in others] == [{}, {}], "they ask providers"


@pytest.mark.filterwarnings("default")
async def test_two_nodes_take_the_documents_to_the_end(
    empty_settings: Settings, offline: Offline, tmp_path: Path, cluster: Any
) -> None:
    write_postings(tmp_path, NUMBER)
    write(tmp_path, "menu.txt", MENU)
    settings = empty_settings
    async with open_ingest(settings, [f"folder:{tmp_path}"]) as parts:
        assert await run_on_ray(settings, parts, Counts()) == 1
    assert len([node for node in cluster.nodes() if node["Alive"]]) == 2
    assert await stages(settings) == {"loaded": NUMBER, "set aside": 1}
    assert await aside(settings) == {"menu.txt": "not_a_posting"}
    found = await rows(settings, "select source_id from postings order by source_id")
    assert [row["source_id"] for row in found] == [f"{n:03}.md" for n in range(NUMBER)]
    assert (await offline.calls())["by_schema"]["PostingPositions"] == NUMBER + 1
