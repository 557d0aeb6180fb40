"""Runs of a suite: what fails is a result, what is broken off is readable, what is wrong is said at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from evals.datasets.cases import PROFILES, Family, read_cases
from evals.evaluators import form
from evals.evaluators.base import Score
from evals.retrieval.search_suites import read_queries
from evals.runs import corpus, suites
from evals.runs.results import read
from evals.runs.suites import SUITES, RunOptions, quick, run_suite
from evals.runs.variants import Variant
from tests.evals.suite_runs import ENGLISH, THIN, TWO_TURNS, Told, ran, scores
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tools.core.contracts import Answer
from tools.core.errors import InvalidRequestError, SetupError
from tools.core.settings import Settings


async def test_a_result_has_everything_to_repeat_it_and_to_judge_it(
    settings: Settings, tmp_path: Path
) -> None:
    result = await ran(settings, tmp_path, TWO_TURNS)
    header, (case,) = result.header, result.cases
    assert result.incomplete() is None
    assert (header.suite, header.variant, header.offline, header.repeats) == ("quick", "split", True, 1)
    assert header.dataset.name == "profiles"
    assert (header.corpus.files, header.corpus.version) == (
        ["postings.jsonl", "hostile_postings.jsonl"],
        corpus._version(settings, corpus.CORPUS),
    )
    assert header.prompts["version"]
    assert header.models["embedding"]
    assert header.packages["langgraph"]
    outputs = case.outputs
    first, *later = [Answer.model_validate(answer) for answer in outputs["answers"]]
    assert len(later) == len(outputs["turns"]) == 2
    assert all(turn["error"] is None for turn in outputs["turns"])
    assert set(outputs["postings"]) == {posting.posting_id for posting in first.postings}
    assert {posting["family"] for posting in outputs["postings"].values()} >= {"모바일"}
    assert len(outputs["seconds"]) == 3
    assert {call["turn"] for call in outputs["calls"]} == {0, 1, 2}
    chats = [call for call in outputs["calls"] if call["purpose"] != "embedding"]
    assert all(call["input_tokens"] > 0 and call["usd"] == 0 and not call["replayed"] for call in chats)
    assert scores(result, "evaluated") == [1.0]
    assert scores(result, "evidence_valid") == [1.0]
    assert result.summary is not None
    assert result.summary.metrics["answered"].mean == 1.0


async def test_a_model_that_fails_is_a_result_and_the_next_case_is_run(
    settings: Settings, tmp_path: Path, offline: Offline
) -> None:
    hasty = settings.model_copy(update={"model_retries": 0})
    await offline.behave(faults=[{"kind": "server_error", "schema": "JobVerdicts", "times": 1}])
    result = await ran(hasty, tmp_path, THIN, ENGLISH, concurrency=1)
    failed, answered = result.cases
    assert result.incomplete() is None
    assert failed.outputs["error"]["code"] == "model_unavailable"
    assert failed.outputs["answers"] == []
    assert answered.outputs["error"] is None
    assert scores(result, "answered") == [0.0, 1.0]


@pytest.mark.parametrize("variant", ["split", "baseline"])
async def test_a_model_that_hangs_ends_the_case_and_not_the_run(
    settings: Settings, tmp_path: Path, offline: Offline, variant: Variant
) -> None:
    await offline.behave(latency={"mean_seconds": FOR_EVER})
    hasty = settings.model_copy(update={"run_timeout_seconds": scaled(0.5)})
    result = await ran(hasty, tmp_path, THIN, ENGLISH, variant=variant)
    assert result.incomplete() is None
    assert {case.outputs["error"]["code"] for case in result.cases} == {"model_unavailable"}
    assert all(case.outputs["seconds"][0] >= scaled(0.5) for case in result.cases)


async def test_a_run_that_is_broken_off_keeps_what_it_had(
    settings: Settings, tmp_path: Path, offline: Offline, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    wanted = RunOptions(cases=(THIN, TWO_TURNS, ENGLISH), folder=tmp_path, name="broken", concurrency=2)
    working = asyncio.create_task(run_suite(settings, wanted, told))
    async with asyncio.timeout(time_limit()):
        await told.first.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert not [task for task in asyncio.all_tasks() if "run_suite" in repr(task) or "run_case" in repr(task)]
    assert "run failed" not in caplog.text, "it went on, on services that were closed"
    result = read(tmp_path / "broken.jsonl")
    assert result.summary is None
    assert [case.case_id for case in result.cases] == told.done_cases
    assert result.incomplete() == f"broken broke off: it has {len(told.done_cases)} of 3 results"


async def test_repeats_are_told_apart_and_their_stability_is_scored_once(
    settings: Settings, tmp_path: Path
) -> None:
    result = await ran(settings, tmp_path, THIN, repeats=2)
    assert [case.repeat for case in result.cases] == [0, 1]
    assert scores(result, "stable_kept") == [1.0]
    assert scores(result, "stable_subjects") != []
    assert result.header.repeats == 2


async def test_two_runs_at_once_share_the_corpus_and_write_files_of_their_own(
    settings: Settings, tmp_path: Path
) -> None:
    one, other = await asyncio.gather(ran(settings, tmp_path, THIN), ran(settings, tmp_path, ENGLISH))
    assert one.path != other.path
    assert one.header.corpus == other.header.corpus
    assert [case.case_id for case in (*one.cases, *other.cases)] == [THIN, ENGLISH]


async def test_the_baseline_answers_the_same_case_in_the_same_shape(
    settings: Settings, tmp_path: Path
) -> None:
    """Whatever reads the one reads the other: evaluators, comparison, report."""
    result = await ran(settings, tmp_path, TWO_TURNS, variant="baseline")
    (case,) = result.cases
    assert result.header.variant == case.outputs["variant"] == "baseline"
    assert case.outputs["error"] is None
    first, second, third = [Answer.model_validate(answer) for answer in case.outputs["answers"]]
    assert all(posting.kept for posting in first.postings)
    assert first.summary.skills == []
    assert first.session_id == second.session_id == third.session_id
    chats = [call for call in case.outputs["calls"] if call["purpose"] != "embedding"]
    assert [(call["turn"], call["purpose"]) for call in chats] == [
        (turn, "whole_answer") for turn in (0, 1, 2)
    ]
    chosen = case.outputs["turns"][1]["wishes"]["subject_id"]
    assert chosen in [candidate.id for candidate in second.candidates]
    assert third.project.subject_id == chosen
    assert set(result.header.prompts) == {"version", "whole_answer.en", "whole_answer.ko"}
    assert scores(result, "schema_valid") == [1.0]
    assert scores(result, "evaluated") == [1.0]


async def test_an_evaluator_that_fails_is_seen_and_hides_no_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(inputs: object, outputs: object, reference_outputs: object) -> list[Score]:
        raise KeyError("tasks")

    monkeypatch.setattr(suites, "ALL", [broken, form.form])
    result = await ran(settings, tmp_path, THIN)
    (said,) = [score for score in result.cases[0].scores if score.key == "evaluated"]
    assert (said.score, said.comment) == (0.5, "broken: KeyError('tasks')")
    assert scores(result, "answered") == [1.0]
    assert "an evaluator failed" in caplog.text


async def test_queries_are_searched_and_those_that_are_named_only(settings: Settings, tmp_path: Path) -> None:
    names = [query.id for query in await read_queries()][:3]
    result = await ran(settings, tmp_path, *names, suite="retrieval")
    assert [case.case_id for case in result.cases] == names
    assert result.header.dataset.cases == 3
    assert result.summary is not None
    assert 0 < result.summary.metrics["ndcg@10"].mean <= 1


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"suite": "quik"}, "There is no suite quik; there are quick, full, "),
        ({"cases": ("backend-ko-thin-2",)}, f"no case backend-ko-thin-2 in profiles.jsonl. There are {THIN}"),
        ({"suite": "retrieval", "cases": ("nothing-like-it",)}, "no case nothing-like-it in queries.jsonl"),
        ({"suite": "retrieval", "upload": True}, "The suite retrieval does not go with --upload"),
        (
            {"suite": "retrieval", "repeats": 2, "variant": "baseline"},
            "does not go with --variant, --repeats",
        ),
        ({"suite": "given"}, "needs --postings and --profiles"),
        ({"suite": "given", "cases": ("x",)}, "The suite given does not go with --case"),
        ({"postings": (Path("x"),)}, "The suite quick does not go with --postings"),
        ({"name": "../elsewhere"}, "../elsewhere is no name"),
        ({"name": "taken"}, "taken.jsonl is there already"),
    ],
)
async def test_what_cannot_be_run_is_refused_before_anything_is_opened(
    settings: Settings, tmp_path: Path, wanted: dict[str, Any], said: str
) -> None:
    (tmp_path / "taken.jsonl").touch()
    nowhere = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    with pytest.raises(InvalidRequestError) as refusal:
        await run_suite(nowhere, RunOptions(folder=tmp_path, **wanted), Told())
    assert said in refusal.value.message


async def test_the_suite_of_added_cases_says_how_to_add_one(settings: Settings, tmp_path: Path) -> None:
    empty = replace(SUITES["added"], dataset=tmp_path / "none.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SUITES, "added", empty)
        with pytest.raises(InvalidRequestError, match="checkerboard eval add` makes one"):
            await run_suite(settings, RunOptions(suite="added", folder=tmp_path), Told())


async def test_a_database_that_is_down_is_said_in_a_line(settings: Settings, tmp_path: Path) -> None:
    nowhere = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    with pytest.raises(SetupError, match="PostgreSQL does not answer"):
        await run_suite(nowhere, RunOptions(folder=tmp_path), Told())
    assert list(tmp_path.iterdir()) == []


def test_the_quick_suite_has_every_family_both_languages_and_hostile_ones() -> None:
    picked = quick(read_cases(PROFILES))
    families = [case.expect.family for case in picked if "hostile" not in case.tags]
    assert sorted(map(str, families)) == sorted(get_args(Family))
    assert {case.inputs.language for case in picked if "hostile" in case.tags} == {"ko", "en"}
    assert sum(case.inputs.language == "en" for case in picked) >= 4
    assert sum(bool(case.inputs.turns) for case in picked) >= 8
