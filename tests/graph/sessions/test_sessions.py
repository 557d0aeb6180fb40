"""The contract of a session, on the real Redis, PostgreSQL and offline model."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

import orjson
import pytest

from graph.sessions.sessions import Event
from serve.context import AppContext, open_app_context
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tools.core.contracts import Answer, Profile, Wishes
from tools.core.settings import Settings

BACKEND = Profile(
    desired_job="백엔드 개발자", career_stage="job_seeker", skills=["Java", "Spring Boot", "MySQL"]
)
SCHEMAS = ("embeddings", "JobVerdicts", "MarketSummary", "SubjectProposals", "ProjectPlan")
ALL_NODES = ["build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks"]


async def finished(events: Any) -> list[Event]:
    return [event async for event in events]


def nodes_run(events: list[Event]) -> list[str]:
    return [event["node"] for event in events if event["type"] == "node_started"]


def result(events: list[Event]) -> Answer:
    assert events[-1]["type"] == "result", events[-1]
    return Answer.model_validate(events[-1]["data"])


def error(events: list[Event]) -> dict[str, Any]:
    assert events[-1]["type"] == "error", events[-1]["type"]
    return dict(events[-1]["data"])


async def generated(app_context: AppContext, profile: Profile = BACKEND) -> Answer:
    return result(await finished(app_context.sessions.generate(profile, "ko")))


async def test_a_profile_becomes_a_project_through_six_nodes(app_context: AppContext) -> None:
    events = await finished(app_context.sessions.generate(BACKEND, "ko"))
    assert nodes_run(events) == ALL_NODES
    answer = result(events)
    assert len(answer.postings) == 20
    assert len(answer.candidates) == 3
    kept = {posting.posting_id for posting in answer.postings if posting.kept}
    assert kept
    for subject in answer.candidates:
        assert set(subject.posting_ids) <= kept


async def test_every_quote_stands_in_its_posting(app_context: AppContext) -> None:
    answer = await generated(app_context)
    postings = await app_context.services.postings.by_ids(
        [quote.posting_id for quote in answer.project.evidence]
    )
    assert answer.project.evidence
    for quote in answer.project.evidence:
        folded = re.sub(r"\s+", " ", postings[quote.posting_id].text())
        assert re.sub(r"\s+", " ", quote.quote).strip() in folded


async def test_the_answer_names_what_made_it(app_context: AppContext) -> None:
    versions = (await generated(app_context)).versions
    assert versions["offline"] is True
    for node in ("filter_jobs", "summarize", "propose_subjects", "generate_tasks"):
        assert versions[node]["prompt"].startswith("sha256:")
        assert versions[node]["model"] == app_context.services.chat.model_name
    assert versions["retrieve"]["corpus_revision"] >= 1


async def test_the_answer_comes_in_the_language_of_the_request(app_context: AppContext) -> None:
    events = await finished(app_context.sessions.generate(Profile(desired_job="Backend developer"), "en"))
    project = result(events).project
    hangul = re.compile("[가-힣]")
    assert not hangul.search(project.title)
    assert not hangul.search(project.steps[0].tasks[0].title)
    assert hangul.search((await generated(app_context)).project.title)


async def test_regeneration_runs_from_the_summary_on(app_context: AppContext, offline: Offline) -> None:
    first = await generated(app_context)
    await offline.reset()
    events = await finished(app_context.sessions.regenerate(first.session_id, Wishes()))
    assert nodes_run(events) == ["propose_subjects", "generate_tasks"]
    schemas = [call["schema"] for call in (await offline.calls())["calls"]]
    # The embedding is the novelty check's.
    assert sorted(schemas) == ["ProjectPlan", "SubjectProposals", "embeddings"]
    again = result(events)
    assert again.summary == first.summary
    assert again.postings == first.postings


async def test_regeneration_repeats_nothing_that_was_shown(app_context: AppContext) -> None:
    answer = await generated(app_context)
    shown = [answer.project.title, *(subject.title for subject in answer.candidates)]
    for _ in range(5):
        answer = result(await finished(app_context.sessions.regenerate(answer.session_id, Wishes())))
        shown += [answer.project.title, *(subject.title for subject in answer.candidates)]
    assert len(set(shown)) == len(shown) == 24


async def test_a_chosen_candidate_is_built_while_the_next_are_proposed(
    app_context: AppContext, offline: Offline
) -> None:
    first = await generated(app_context)
    chosen = first.candidates[1]
    # Both model calls last that long: one after the other they would take twice that.
    await offline.behave(latency={"mean_seconds": scaled(0.3), "deviation_seconds": 0})
    events = await finished(app_context.sessions.regenerate(first.session_id, Wishes(subject_id=chosen.id)))
    started = {e["node"]: e["elapsed_ms"] for e in events if e["type"] == "node_started"}
    ended = {e["node"]: e["elapsed_ms"] for e in events if e["type"] == "node_finished"}
    assert set(started) == {"propose_subjects", "generate_tasks"}
    assert max(started.values()) < min(ended.values())
    answer = result(events)
    assert answer.project.subject_id == chosen.id
    assert len(answer.candidates) == 3
    assert chosen.title not in {subject.title for subject in answer.candidates}


async def test_what_was_not_chosen_is_rejected_and_what_was_chosen_is_not(app_context: AppContext) -> None:
    first = await generated(app_context)
    chosen, *others = first.candidates
    await finished(app_context.sessions.regenerate(first.session_id, Wishes(subject_id=chosen.id)))
    view = await app_context.sessions.view(first.session_id)
    rejected = {subject["id"] for subject in view["rejected"]}
    assert rejected == {first.project.subject_id, *(other.id for other in others)}
    assert view["subject"]["id"] == chosen.id
    assert [project["subject_id"] for project in view["history"]] == [first.project.subject_id, chosen.id]


async def test_the_wished_difficulty_is_followed(app_context: AppContext) -> None:
    first = await generated(app_context)
    for difficulty in ("beginner", "advanced"):
        wishes = Wishes(difficulty=difficulty)
        answer = result(await finished(app_context.sessions.regenerate(first.session_id, wishes)))
        assert answer.project.difficulty == difficulty


async def test_a_project_takes_no_more_weeks_than_are_wished_for(app_context: AppContext) -> None:
    first = await generated(app_context)
    assert first.project.duration_weeks > 2
    events = await finished(app_context.sessions.regenerate(first.session_id, Wishes(weeks=2)))
    answer = result(events)
    assert answer.project.duration_weeks <= 2
    assert answer.warnings == []
    view = await app_context.sessions.view(first.session_id)
    assert view["wishes"] == {"difficulty": None, "weeks": 2, "skills": [], "feedback": None}
    chosen = Wishes(subject_id=answer.candidates[0].id, weeks=1)
    again = result(await finished(app_context.sessions.regenerate(first.session_id, chosen)))
    assert again.project.duration_weeks == 1


async def test_a_session_from_before_there_were_weeks_to_wish_for_goes_on(app_context: AppContext) -> None:
    first = await generated(app_context)
    wished = Wishes(difficulty="beginner")
    await finished(app_context.sessions.regenerate(first.session_id, wished))
    state = "$.checkpoint.channel_values.turn"
    redis = app_context.services.redis
    assert await redis.json().delete(f"checkpoint:{first.session_id}:", f"{state}.weeks") == 1
    view = await app_context.sessions.view(first.session_id)
    assert view["wishes"] == {"difficulty": "beginner", "weeks": None, "skills": [], "feedback": None}
    answer = result(await finished(app_context.sessions.regenerate(first.session_id, Wishes(weeks=2))))
    assert answer.project.duration_weeks <= 2


async def test_another_worker_goes_on_with_a_session(settings: Settings, app_context: AppContext) -> None:
    first = await generated(app_context)
    async with open_app_context(settings) as other:
        answer = result(await finished(other.sessions.regenerate(first.session_id, Wishes())))
    assert answer.summary == first.summary


async def test_the_state_comes_back_from_redis_as_it_went_in(app_context: AppContext) -> None:
    """JSON primitives only: what is richer comes back as something else."""
    answer = await generated(app_context)
    view = await app_context.sessions.view(answer.session_id)
    assert orjson.loads(orjson.dumps(view)) == view
    assert view["profile"] == BACKEND.model_dump()
    assert view["project"] == answer.project.model_dump()
    assert view["summary"] == answer.summary.model_dump()


async def test_every_key_of_a_session_expires_and_none_is_added_by_a_turn(app_context: AppContext) -> None:
    answer = await generated(app_context)
    sizes = []
    for _ in range(4):
        keys = [key async for key in app_context.services.redis.scan_iter(f"*{answer.session_id}*")]
        sizes.append(len(keys))
        for key in keys:
            assert 0 < await app_context.services.redis.ttl(key) <= 60 * 60
        await finished(app_context.sessions.regenerate(answer.session_id, Wishes()))
    assert len(set(sizes)) == 1


async def test_an_unknown_session_is_not_found(app_context: AppContext) -> None:
    events = await finished(app_context.sessions.regenerate("0" * 32, Wishes()))
    assert error(events)["code"] == "session_not_found"


async def test_an_unknown_subject_is_named_and_the_session_stays_usable(app_context: AppContext) -> None:
    first = await generated(app_context)
    events = await finished(app_context.sessions.regenerate(first.session_id, Wishes(subject_id="sub-none")))
    assert error(events)["code"] == "subject_not_found"
    assert result(await finished(app_context.sessions.regenerate(first.session_id, Wishes())))


async def test_no_postings_says_which_command_to_run(empty_settings: Settings) -> None:
    async with open_app_context(empty_settings) as app_context:
        events = await finished(app_context.sessions.generate(BACKEND, "ko"))
    assert error(events)["code"] == "no_postings"
    assert "checkerboard ingest load" in error(events)["message"]


@pytest.mark.parametrize(
    ("schema", "failing"),
    [
        ("embeddings", "retrieve"),
        ("JobVerdicts", "filter_jobs"),
        ("MarketSummary", "summarize"),
        ("SubjectProposals", "propose_subjects"),
        ("ProjectPlan", "generate_tasks"),
    ],
)
async def test_a_failed_run_is_finished_without_paying_again(
    app_context: AppContext, offline: Offline, schema: str, failing: str
) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": schema}])
    events = await finished(app_context.sessions.generate(BACKEND, "ko"))
    failure = error(events)
    assert failure["code"] == "model_unavailable"
    assert nodes_run(events)[-1] == failing

    # Only its behaviour is reset; the counters go on.
    await offline.behave()
    result(await finished(app_context.sessions.regenerate(failure["details"]["session_id"], Wishes())))
    counted = await offline.calls()
    answered = Counter(call["schema"] for call in counted["calls"] if call["outcome"] == "answered")
    assert answered == dict.fromkeys(SCHEMAS, 1), "what was answered before the failure is not paid for again"


async def test_a_turn_that_failed_leaves_nothing_running_beside_the_next(
    app_context: AppContext, offline: Offline
) -> None:
    first = await generated(app_context)
    await offline.behave(faults=[{"kind": "server_error", "schema": "ProjectPlan"}])
    error(await finished(app_context.sessions.regenerate(first.session_id, Wishes())))
    await offline.reset()
    events = await finished(app_context.sessions.regenerate(first.session_id, Wishes()))
    assert nodes_run(events) == ["propose_subjects", "generate_tasks"]


async def test_a_subject_that_repeats_goes_back_and_never_gets_out(
    app_context: AppContext, offline: Offline
) -> None:
    first = await generated(app_context)
    shown = {first.project.title, *(subject.title for subject in first.candidates)}
    await offline.behave(faults=[{"kind": "repeat_rejected", "schema": "SubjectProposals", "times": 1}])
    events = await finished(app_context.sessions.regenerate(first.session_id, Wishes()))
    assert nodes_run(events) == ["propose_subjects", "propose_subjects", "generate_tasks"]
    answer = result(events)
    assert not shown & {answer.project.title, *(subject.title for subject in answer.candidates)}


async def test_quotes_that_do_not_stand_are_sent_back(app_context: AppContext, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "unknown_posting", "schema": "ProjectPlan", "times": 1}])
    assert (await generated(app_context)).project.evidence
    assert (await offline.calls())["by_schema"]["ProjectPlan"] == 2


async def test_a_project_without_evidence_goes_out_and_says_so(
    app_context: AppContext, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "unknown_posting", "schema": "ProjectPlan"}])
    answer = result(await finished(app_context.sessions.generate(BACKEND, "ko")))
    assert answer.project.evidence == []
    assert {"quote_not_in_posting", "too_few_quotes"} <= {warning.code for warning in answer.warnings}
    # It was sent back as often as a wrong answer is.
    assert (await offline.calls())["by_schema"]["ProjectPlan"] == 3


async def test_a_listener_who_leaves_stops_the_model_call(app_context: AppContext, offline: Offline) -> None:
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    listener = asyncio.create_task(finished(app_context.sessions.generate(BACKEND, "ko")))
    await offline.working_on("JobVerdicts")
    listener.cancel()
    assert (await offline.in_flight(0))["cancelled"] == 1


async def test_a_slow_model_ends_in_a_typed_error_within_the_limit(
    settings: Settings, offline: Offline
) -> None:
    hasty = settings.model_copy(update={"run_timeout_seconds": scaled(0.5)})
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    async with open_app_context(hasty) as app_context:
        events = await finished(app_context.sessions.generate(BACKEND, "ko"))
    assert error(events)["code"] == "model_unavailable"
    assert events[-1]["elapsed_ms"] < time_limit() * 1_000 / 2


async def test_a_run_that_begins_after_the_worker_has_stopped_goes_elsewhere(settings: Settings) -> None:
    """What is handed over in that moment would be stopped by nobody, and be waited for."""
    async with open_app_context(settings, working=False) as context:
        await context.sessions.aclose()
        events = await finished(context.sessions.generate(BACKEND, "ko"))
    assert error(events)["code"] == "worker_stopping"
