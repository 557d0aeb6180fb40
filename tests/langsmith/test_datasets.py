"""Data sets and experiments in the stand-in, made and read by the real SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from langsmith import AsyncClient, Client, aevaluate, evaluate
from langsmith.evaluation import EvaluationResult
from langsmith.schemas import Dataset, Example, Run
from langsmith.utils import LangSmithConflictError, LangSmithError, LangSmithNotFoundError

from tests.langsmith import LangSmith
from tests.pace import time_limit

NAME = "profiles"
JOBS = ["백엔드 개발자", "데이터 엔지니어", "프론트엔드 개발자"]


@pytest.fixture
def tracing(standin: LangSmith) -> Iterator[Client]:
    """A client that sends runs in the background, as experiments do by default."""
    made = Client(api_url=standin.url, api_key=standin.key)
    yield made
    made.close(timeout=time_limit())


@pytest.fixture
def dataset(client: Client) -> Dataset:
    made = client.create_dataset(NAME, description="지원자", metadata={"suite": "quick"})
    rows = [{"inputs": {"job": job}, "outputs": {"family": job.split()[0]}, "split": "ko"} for job in JOBS]
    client.create_examples(dataset_id=made.id, examples=[_example(row) for row in rows])
    return made


def _example(row: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in row.items() if k != "outputs"}, "reference_outputs": row["outputs"]}


def job(example: Example) -> str:
    assert example.inputs is not None
    return str(example.inputs["job"])


def jobs(client: Client, **asked: Any) -> set[str]:
    return {job(example) for example in client.list_examples(dataset_name=NAME, **asked)}


def test_data_sets_are_made_found_and_deleted(standin: LangSmith, client: Client, dataset: Dataset) -> None:
    assert client.has_dataset(dataset_name=NAME)
    assert not client.has_dataset(dataset_name="others")
    read = client.read_dataset(dataset_name=NAME)
    assert (read.id, read.description, read.example_count) == (dataset.id, "지원자", 3)
    assert [found.name for found in client.list_datasets(metadata={"suite": "quick"})] == [NAME]
    assert list(client.list_datasets(dataset_name_contains="other")) == []
    with pytest.raises(LangSmithConflictError, match="already exists"):
        client.create_dataset(NAME)
    assert [row["inputs"]["job"] for row in standin.examples(NAME)] == JOBS
    client.delete_dataset(dataset_name=NAME)
    with pytest.raises(LangSmithNotFoundError):
        client.read_dataset(dataset_id=dataset.id)


def test_every_change_is_a_version(client: Client, dataset: Dataset) -> None:
    first = client.read_dataset_version(dataset_id=dataset.id, tag="latest")
    client.update_dataset_tag(dataset_id=dataset.id, as_of=first.as_of, tag="v1")
    changed = next(e for e in client.list_examples(dataset_name=NAME) if job(e) == JOBS[0])
    told = client.update_examples(
        dataset_id=dataset.id, updates=[{"id": changed.id, "inputs": {"job": "서버 개발자"}}]
    )
    assert told["count"] == 1
    added = client.create_example({"job": "게임 개발자"}, dataset_id=dataset.id, reference_outputs={})
    removed = next(e for e in client.list_examples(dataset_name=NAME) if job(e) == JOBS[1])
    client.delete_example(removed.id)
    assert jobs(client) == {"서버 개발자", JOBS[2], "게임 개발자"}
    assert jobs(client, as_of="v1") == jobs(client, as_of=first.as_of) == set(JOBS)
    versions = list(client.list_dataset_versions(dataset_name=NAME))
    assert [version.tags for version in versions] == [["latest"], [], [], ["v1"]]
    for later in (timedelta(), timedelta(microseconds=-1)):
        found = client.read_dataset_version(dataset_id=dataset.id, as_of=versions[0].as_of + later)
        assert found == versions[1 if later else 0]
    difference = client.diff_dataset_versions(dataset_name=NAME, from_version="v1", to_version="latest")
    assert difference.examples_added == [added.id]
    assert difference.examples_modified == [changed.id]
    assert difference.examples_removed == [removed.id]
    with pytest.raises(LangSmithNotFoundError):
        client.read_dataset_version(dataset_id=dataset.id, tag="v2")
    with pytest.raises(LangSmithNotFoundError):
        list(client.list_examples(dataset_name=NAME, as_of=first.as_of - timedelta(days=1)))


async def test_examples_are_found_by_what_they_are(
    client: Client, async_client: AsyncClient, dataset: Dataset
) -> None:
    made = await async_client.create_example(
        {"job": "보안 엔지니어"}, dataset_id=dataset.id, metadata={"family": "security"}
    )
    assert jobs(client, metadata={"family": "security"}) == jobs(client, splits=["base"]) == {"보안 엔지니어"}
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["base", "ko"]
    assert client.read_example(made.id).inputs == {"job": "보안 엔지니어"}
    client.create_dataset("without examples")
    assert [found.id for found in client.list_examples(example_ids=[made.id])] == [made.id]
    # What changed last comes first.
    assert next(client.list_examples(dataset_name=NAME)).id == made.id
    assert len(jobs(client, limit=2)) == 2
    with pytest.raises(LangSmithConflictError):
        client.create_example({"job": "다른"}, dataset_id=dataset.id, example_id=made.id)
    with pytest.raises(LangSmithError, match="does not read filters"):
        jobs(client, filter='eq(id, "x")')


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    return {"key": "right", "score": outputs["family"] == reference_outputs["family"], "comment": "직군"}


def share(runs: list[Run], examples: list[Example]) -> EvaluationResult:
    told = {run.outputs["family"] for run in runs if run.outputs}
    return EvaluationResult(key="share", score=len(told) / len(examples))


@pytest.mark.filterwarnings("ignore:The following arguments are no longer used:DeprecationWarning")
async def test_an_experiment_appears_with_its_runs_and_scores(
    standin: LangSmith, tracing: Client, dataset: Dataset
) -> None:
    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"family": inputs["job"].split()[0] if "데이터" not in inputs["job"] else "기획"}

    async def quick(run: Run, example: Example | None) -> EvaluationResult:
        assert example is not None
        return EvaluationResult(key="quick", score=run.reference_example_id == example.id)

    results = await aevaluate(
        target,
        data=NAME,
        evaluators=[right, quick],
        summary_evaluators=[share],
        experiment_prefix="quick",
        metadata={"commit": "32fc4aa", "model": "offline"},
        max_concurrency=2,
        client=tracing,
    )
    assert len([row async for row in results]) == 3
    await asyncio.to_thread(tracing.flush)
    (experiment,) = standin.experiments
    assert experiment.name == results.experiment_name
    assert experiment.name.startswith("quick-")
    assert experiment.metadata["commit"] == "32fc4aa"
    assert experiment.metadata["dataset_splits"] == ["ko"]
    assert experiment.dataset_id == str(dataset.id)
    assert {run["reference_example_id"] for run in experiment.runs} == {
        row["id"] for row in standin.examples(NAME, experiment.metadata["dataset_version"])
    }
    assert sorted(experiment.scores("right")) == [0, 1, 1]
    assert experiment.scores("quick") == [1, 1, 1]
    assert experiment.scores("share") == [1]
    wrong = next(piece for piece in experiment.feedback if piece["key"] == "right" and not piece["score"])
    (run,) = (run for run in experiment.runs if run["id"] == wrong["run_id"])
    assert run["inputs"] == {"job": "데이터 엔지니어"}
    assert run["outputs"] == {"family": "기획"}
    assert run["feedback_stats"]["right"] == {"n": 1, "avg": 0.0}
    project = tracing.read_project(project_name=experiment.name, include_stats=True)
    assert project.feedback_stats is not None
    assert set(project.feedback_stats) == {"right", "quick"}
    assert project.feedback_stats["right"]["avg"] == pytest.approx(2 / 3)
    assert project.session_feedback_stats == {"share": {"n": 1, "avg": 1.0}}
    assert [p.name for p in tracing.list_projects(reference_dataset_name=NAME)] == [experiment.name]


def test_a_synchronous_experiment_on_a_version_appears_too(
    standin: LangSmith, tracing: Client, dataset: Dataset
) -> None:
    as_of = tracing.read_dataset_version(dataset_id=dataset.id, tag="latest").as_of
    tracing.create_example(
        {"job": "게임 개발자"}, dataset_id=dataset.id, reference_outputs={"family": "게임"}
    )
    evaluate(
        lambda inputs: {"family": inputs["job"].split()[0]},
        data=tracing.list_examples(dataset_id=dataset.id, as_of=as_of),
        evaluators=[right],
        num_repetitions=2,
        client=tracing,
    )
    tracing.flush()
    (experiment,) = standin.experiments
    assert len(experiment.runs) == 6
    assert experiment.scores("right") == 6 * [1]
