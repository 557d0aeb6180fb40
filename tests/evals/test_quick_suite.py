"""The quick suite, as CI runs it: nothing leaves the machine, and the gate holds it against the baseline."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langsmith import utils

from evals.datasets.cases import PROFILES, dataset_version, read_cases
from evals.evaluators.evidence import evidence
from evals.report.gate import FAILED, PASSED, gate
from evals.report.statistics import estimates
from evals.runs.results import RESULTS, Result, Score, Summary, read, writing
from evals.runs.suites import METRICS
from tests.evals.suite_runs import ran
from tests.langsmith import langsmith_standin
from tools.core.settings import Settings

BASELINE = RESULTS / "baseline-quick.jsonl"


@dataclass(frozen=True)
class Watched:
    """A run of the quick suite, and whom it spoke to meanwhile."""

    result: Result
    connected: list[Any]
    looked_up: list[Any]
    langsmith: list[tuple[str, str]]


@pytest.fixture(scope="module")
async def quick(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """The quick suite without --upload, in an environment that asks for traces."""
    connected: list[Any] = []
    looked_up: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connecting(self: socket.socket, address: Any) -> None:
        connected.append(address)
        connect(self, address)

    def looking_up(host: Any, *more: Any, **options: Any) -> Any:
        looked_up.append(host)
        return look_up(host, *more, **options)

    with langsmith_standin() as langsmith, pytest.MonkeyPatch.context() as patch:
        for name, value in {**langsmith.environment(), "LANGSMITH_TRACING": "true"}.items():
            patch.setenv(name, value)
        patch.setattr(socket.socket, "connect", connecting)
        patch.setattr(socket, "getaddrinfo", looking_up)
        utils.get_env_var.cache_clear()  # type: ignore[attr-defined]
        assert utils.tracing_is_enabled()
        # The baseline is that of the embedding which everybody has by default.
        own = settings.model_copy(update={"offline_embeddings": "e5"})
        result = await ran(own, tmp_path_factory.mktemp("quick"), suite="quick")
        yield Watched(result, connected, looked_up, list(langsmith.requests))


def test_nothing_leaves_the_machine(quick: Watched, settings: Settings) -> None:
    assert quick.langsmith == []
    own = {settings.openai_base_url, settings.redis_url}
    for address in quick.connected:
        # A path is a socket in a folder of this machine.
        if isinstance(address, tuple):
            assert any(f"{address[0]}:{address[1]}" in str(url) for url in own), address
    assert quick.connected, "the watch saw nothing, so it does not watch"
    assert {str(host) for host in quick.looked_up} <= {"127.0.0.1", "localhost", "::1", "None"}


def test_the_gate_lets_the_code_through(quick: Watched) -> None:
    """Whoever changes what is measured, for the better or by changing the cases, makes a new baseline
    (docs/evaluations.md) and says why."""
    verdict = gate(BASELINE, quick.result.path, METRICS)
    assert verdict.exit_code == PASSED, verdict.text()


def test_the_baselines_are_small_and_of_the_data_set_as_it_is() -> None:
    for name, dataset in (("quick", PROFILES), ("retrieval", PROFILES.with_name("queries.jsonl"))):
        path = RESULTS / f"baseline-{name}.jsonl"
        assert path.stat().st_size < 1_000_000
        assert read(path).header.dataset.version == dataset_version(dataset), "see docs/evaluations.md"


def test_the_gate_stops_a_variant_whose_quotes_stand_in_no_posting(quick: Watched, tmp_path: Path) -> None:
    """A model that makes its evidence up, and a service that lets it."""
    expected = {case.id: case.expect.model_dump(mode="json") for case in read_cases(PROFILES)}
    worse = tmp_path / "worse.jsonl"
    with writing(worse, quick.result.header) as writer:
        cases = []
        for case in quick.result.cases:
            for answer in case.outputs["answers"]:
                for quote in answer["project"]["evidence"]:
                    quote["quote"] = "이 문장은 어떤 공고에도 없습니다."
            anew = {
                one["key"]: Score(**one)
                for one in evidence(case.inputs, case.outputs, expected[case.case_id])
            }
            scores = [anew.get(score.key, score) for score in case.scores]
            cases.append(case.model_copy(update={"scores": scores}))
            writer.write(cases[-1])
        writer.write(Summary(metrics=estimates(cases), seconds=1.0))
    verdict = gate(BASELINE, worse, METRICS)
    assert verdict.exit_code == FAILED
    assert any(failure.startswith("evidence_valid 1.000 → 0.000") for failure in verdict.failures)
