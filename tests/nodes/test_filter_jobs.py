"""filter_jobs: which postings are for the desired job."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from langgraph.runtime import Runtime

from nodes.filter_jobs import JobVerdicts, Verdict, filter_jobs, progress_message
from tests.fakes import Stage, posting
from tools.core.contracts import Profile
from tools.core.errors import ModelUnavailableError, NoPostingsError

POSTINGS = [posting(n) for n in range(1, 8)]


def state(*numbers: int, language: str = "ko") -> Any:
    return {
        "profile": Profile(desired_job="백엔드 개발자", skills=["Java"]).model_dump(),
        "language": language,
        "retrieved": [{"posting_id": f"p-{n}"} for n in numbers],
    }


def verdicts(**fits: bool) -> JobVerdicts:
    """`p1=True` is a verdict on p-1."""
    return JobVerdicts(
        verdicts=[
            Verdict(posting_id=f"p-{key[1:]}", fits=value, reason=f"because {key}")
            for key, value in fits.items()
        ]
    )


async def test_the_postings_for_the_desired_job_are_kept_and_the_others_dropped_each_with_why() -> None:
    stage = Stage(verdicts(p1=True, p2=False, p3=True), postings=POSTINGS)
    update = await filter_jobs(state(1, 2, 3), stage.runtime)
    assert update["relevant"] == {
        "kept": [
            {"posting_id": "p-1", "reason": "because p1"},
            {"posting_id": "p-3", "reason": "because p3"},
        ],
        "dropped": [{"posting_id": "p-2", "reason": "because p2"}],
        "closest_only": False,
    }


async def test_what_is_kept_stands_nearest_first_however_the_model_orders_its_verdicts() -> None:
    stage = Stage(verdicts(p3=True, p1=True, p2=True), postings=POSTINGS)
    update = await filter_jobs(state(1, 2, 3), stage.runtime)
    assert [row["posting_id"] for row in update["relevant"]["kept"]] == ["p-1", "p-2", "p-3"]


async def test_the_model_reads_the_desired_job_the_profile_and_every_posting_as_data() -> None:
    stage = Stage(verdicts(p1=True, p2=True), postings=POSTINGS)
    await filter_jobs(state(1, 2), stage.runtime)
    [(purpose, blocks)] = stage.chat.asked
    assert purpose == "filter_jobs"
    assert blocks["request"] == [{"desired_job": "백엔드 개발자", "language": "ko"}]
    assert blocks["profile"] == [{"skills": ["Java"]}]
    assert [row["posting_id"] for row in blocks["postings"]] == ["p-1", "p-2"]
    assert blocks["postings"][0] == {
        "posting_id": "p-1",
        "company": "Company 1",
        "job_title": "Backend developer",
        "lines": ["Design and run payment API number 1", "Three years of Java", "Kafka in production"],
    }


async def test_of_a_long_posting_the_model_reads_what_tells_of_the_work_whoever_asks() -> None:
    """Introductions and hiring steps are passed over, and the person's own technologies do not decide."""
    work = "Kafka와 Spring Boot로 주문 서버를 설계하고 장애에 대응합니다"
    long = posting(
        1,
        responsibilities="\n".join(
            ["저희 팀을 소개합니다 " + "함께 성장해요 " * 20, *["문서를 정리합니다 " * 8] * 9, work]
        ),
        requirements="서류 전형과 두 번의 면접이 있습니다",
    )
    stage = Stage(verdicts(p1=True), postings=[long])
    await filter_jobs(state(1), stage.runtime)
    [(_, blocks)] = stage.chat.asked
    lines = blocks["postings"][0]["lines"]
    assert work in lines
    assert sum(map(len, lines)) <= 250
    assert not [line for line in lines if "소개" in line or "면접" in line]


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        (verdicts(p1=True), "no verdict for: p-2"),
        (verdicts(p1=True, p2=True, p9=True), "no such posting was given: p-9"),
        (
            JobVerdicts(verdicts=[*verdicts(p1=True, p2=True).verdicts, *verdicts(p2=False).verdicts]),
            "more than one verdict for: p-2",
        ),
    ],
)
async def test_verdicts_that_do_not_match_the_postings_one_to_one_go_back(
    first: JobVerdicts, complaint: str
) -> None:
    stage = Stage(first, verdicts(p1=False, p2=True), postings=POSTINGS)
    update = await filter_jobs(state(1, 2), stage.runtime)
    assert stage.chat.refusals == [[f"verdicts: {complaint}"]]
    assert [row["posting_id"] for row in update["relevant"]["kept"]] == ["p-2"]


async def test_a_posting_the_model_never_judges_is_dropped_and_says_so() -> None:
    stage = Stage(verdicts(p1=True), postings=POSTINGS)
    update = await filter_jobs(state(1, 2, language="en"), stage.runtime)
    assert update["relevant"]["dropped"] == [{"posting_id": "p-2", "reason": "not judged"}]


async def test_a_posting_the_model_makes_up_is_not_kept() -> None:
    stage = Stage(verdicts(p1=True, p9=True), postings=POSTINGS)
    update = await filter_jobs(state(1), stage.runtime)
    assert [row["posting_id"] for row in update["relevant"]["kept"]] == ["p-1"]


@pytest.mark.parametrize(
    ("language", "reason"),
    [("ko", "입력이 너무 길어 읽지 않음"), ("en", "not read, because the input was too long")],
)
async def test_a_posting_for_which_there_is_no_room_is_not_kept_and_the_reason_is_not_a_judgement(
    language: str, reason: str
) -> None:
    stage = Stage(verdicts(p1=True), postings=POSTINGS)
    tight = stage.runtime.context.settings.model_copy(update={"prompt_tokens": 1})
    runtime = Runtime(context=dataclasses.replace(stage.runtime.context, settings=tight))
    update = await filter_jobs(state(1, 2, 3, language=language), runtime)
    assert update["relevant"]["dropped"] == [{"posting_id": f"p-{n}", "reason": reason} for n in (2, 3)]
    assert update["omitted_postings"] == {"filter_jobs": ["p-2", "p-3"]}
    assert "2" in progress_message(update, "en")


async def test_when_none_fits_the_five_nearest_are_kept_and_it_says_so() -> None:
    none = verdicts(**{f"p{n}": False for n in range(1, 8)})
    update = await filter_jobs(state(*range(1, 8)), Stage(none, postings=POSTINGS).runtime)
    assert update["relevant"]["closest_only"] is True
    assert [row["posting_id"] for row in update["relevant"]["kept"]] == ["p-1", "p-2", "p-3", "p-4", "p-5"]
    assert [row["posting_id"] for row in update["relevant"]["dropped"]] == ["p-6", "p-7"]
    assert progress_message(update, "en") == "none is for the desired job; going on with the 5 nearest"
    assert "5건" in progress_message(update, "ko")


async def test_a_posting_that_was_deleted_since_is_left_out() -> None:
    stage = Stage(verdicts(p1=True), postings=POSTINGS)
    update = await filter_jobs(state(1, 99), stage.runtime)
    assert stage.chat.refusals == []
    assert update["relevant"]["dropped"] == []


async def test_without_any_posting_left_the_model_is_not_asked() -> None:
    stage = Stage(postings=POSTINGS)
    with pytest.raises(NoPostingsError):
        await filter_jobs(state(98, 99), stage.runtime)
    assert stage.chat.asked == []


async def test_a_model_that_fails_is_not_hidden() -> None:
    with pytest.raises(ModelUnavailableError):
        await filter_jobs(state(1), Stage(ModelUnavailableError(), postings=POSTINGS).runtime)


async def test_the_answer_names_the_prompt_and_the_model() -> None:
    update = await filter_jobs(state(1), Stage(verdicts(p1=True), postings=POSTINGS).runtime)
    made_by = update["versions"]["filter_jobs"]
    assert made_by["model"] == "scripted"
    assert made_by["prompt"].startswith("sha256:")


async def test_one_line_says_how_many_fit() -> None:
    stage = Stage(verdicts(p1=True, p2=False), postings=POSTINGS)
    update = await filter_jobs(state(1, 2), stage.runtime)
    assert progress_message(update, "en") == "1 of 2 fit the desired job"
    assert progress_message(update, "ko") == "2건 중 1건이 희망 직무에 맞음"
