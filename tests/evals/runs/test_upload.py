"""The team's side: data set, experiment and scores in LangSmith, by the real SDK."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client
from pydantic import SecretStr

from evals.datasets.cases import PROFILES, Case, dataset_version, read_cases
from evals.runs.results import Dataset as DatasetLine
from evals.runs.results import read
from evals.runs.suites import SUITES, RunOptions, run_suite
from evals.runs.upload import uploading
from tests.evals.made_results import header
from tests.evals.suite_runs import ENGLISH, THIN, Told
from tests.langsmith import Fault, LangSmith
from tools.core.errors import SetupError
from tools.core.settings import Settings

DATASET = "checkerboard-few"


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of three cases, which the quick suite takes for its own."""
    path = tmp_path / "few.jsonl"
    write(path, [case for case in read_cases(PROFILES) if case.id in (THIN, ENGLISH, "qa-ko-thin-1")])
    suite = replace(SUITES["quick"], pick=lambda cases: list(cases)[:2], dataset=path)
    monkeypatch.setitem(SUITES, "quick", suite)
    return path


def write(path: Path, cases: list[Case]) -> None:
    path.write_text("".join(case.model_dump_json() + "\n" for case in cases), encoding="utf-8")


async def upload(settings: Settings, folder: Path, **wanted: Any) -> tuple[Path, Told]:
    told = Told()
    return await run_suite(settings, RunOptions(folder=folder, upload=True, **wanted), told), told


async def test_an_experiment_appears_with_its_data_set_metadata_runs_and_scores(
    keyed: Settings, standin: LangSmith, few: Path, tmp_path: Path
) -> None:
    path, told = await upload(keyed, tmp_path, repeats=2, name="better-prompt")
    result = read(path)
    assert result.incomplete() is None
    (experiment,) = standin.experiments
    assert experiment.name.startswith("better-prompt-")
    said = result.header
    for key, value in {
        "suite": "quick",
        "variant": "split",
        "commit": said.commit,
        "prompts": said.prompts,
        "models": said.models,
        "parameters": said.parameters,
        "corpus_version": said.corpus.version,
        "cases_version": dataset_version(few),
    }.items():
        assert experiment.metadata[key] == value, key
    # The whole data set is there, the suite's cases of it are run.
    assert len(standin.examples(DATASET)) == 3
    examples = {row["id"]: row["metadata"]["case_id"] for row in standin.examples(DATASET)}
    linked = {run["id"]: examples[run["reference_example_id"]] for run in experiment.runs}
    assert linked == {case.run_id: case.case_id for case in result.cases}
    assert len(linked) == 4
    for run in experiment.runs:
        assert run["inputs"]["profile"]["desired_job"]
        assert run["outputs"]["answers"]
    for case in result.cases:
        for score in case.scores:
            if score.score is not None:
                sent = [f for f in experiment.feedback if (f["run_id"], f["key"]) == (case.run_id, score.key)]
                assert [piece["score"] for piece in sent] == [pytest.approx(score.score, abs=1e-4)], score.key
    assert experiment.scores("stable_kept") == [1.0, 1.0]
    assert "compare?selectedSessions=" in told.url


async def put(settings: Settings, file: Path) -> set[uuid.UUID]:
    """Brings the data set to a file without running anything. The ids of the examples it would run."""
    cases = read_cases(file)
    version = DatasetLine(name=file.stem, version=dataset_version(file), cases=len(cases))
    async with uploading(settings, header(dataset=version), cases, cases) as uploaded:
        return set(uploaded.examples)


async def test_a_changed_case_is_a_new_example_and_earlier_versions_keep_the_old_one(
    keyed: Settings, standin: LangSmith, few: Path
) -> None:
    first_version, before = dataset_version(few), await put(keyed, few)
    assert await put(keyed, few) == before, "nothing has changed"
    first, *others = read_cases(few)
    changed = json.loads(first.model_dump_json())
    changed["inputs"]["profile"]["desired_job"] = "서버 개발자"
    write(few, [Case.model_validate(changed), *others])
    after = await put(keyed, few)
    assert len(after) == 3
    assert len(before & after) == 2

    def examples(version: str) -> dict[uuid.UUID, str]:
        rows = standin.examples(DATASET, version)
        return {uuid.UUID(row["id"]): row["inputs"]["profile"]["desired_job"] for row in rows}

    assert examples("latest") == examples(dataset_version(few))
    assert examples("latest").keys() == after
    assert "서버 개발자" in examples("latest").values()
    assert examples(first_version).keys() == before
    assert "서버 개발자" not in examples(first_version).values()
    # Changed back, it is there again.
    write(few, [first, *others])
    assert len(await put(keyed, few)) == 3
    assert "서버 개발자" not in examples("latest").values()


async def test_what_somebody_added_by_hand_stays_and_a_double_goes(
    keyed: Settings, standin: LangSmith, few: Path
) -> None:
    before = await put(keyed, few)
    client = Client(api_url=standin.url, api_key=standin.key, auto_batch_tracing=False)
    client.create_example({"profile": {}}, dataset_name=DATASET, reference_outputs={})
    double = standin.examples(DATASET)[0]
    client.create_example(double["inputs"], dataset_name=DATASET, metadata=double["metadata"])
    client.close()
    assert await put(keyed, few) == before
    assert len(standin.examples(DATASET)) == 4


@pytest.mark.parametrize("ailment", ["no key", "wrong key", "down"])
async def test_what_is_wrong_with_langsmith_is_said_in_a_line(
    keyed: Settings, standin: LangSmith, few: Path, tmp_path: Path, ailment: str
) -> None:
    said = {
        "no key": "--upload needs LANGSMITH_API_KEY",
        "wrong key": "LangSmith did not take the evaluation: .*Invalid token",
        "down": "LangSmith did not take the evaluation: ",
    }[ailment]
    key = {"no key": None, "wrong key": SecretStr("no"), "down": SecretStr(standin.key)}[ailment]
    if ailment == "down":
        standin.down()
    with pytest.raises(SetupError, match=said):
        await upload(keyed.model_copy(update={"langsmith_api_key": key}), tmp_path, cases=(THIN,))
    assert list(tmp_path.glob("quick*")) == []


async def test_a_langsmith_that_fails_while_cases_run_does_not_end_them(
    keyed: Settings, standin: LangSmith, few: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    standin.fail(Fault("/sessions", method="PATCH", status=401))
    path, _ = await upload(keyed, tmp_path, cases=(THIN,))
    assert read(path).incomplete() is None
    assert "LangSmith was not told that the experiment ended" in caplog.text
