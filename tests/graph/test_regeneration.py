"""Regeneration over many turns: never a repeat, never heavier than what was added."""

from __future__ import annotations

import itertools

import orjson

from serve.context import AppContext, open_app_context
from tests.graph.sessions.test_sessions import BACKEND, error, finished, generated, result
from tests.offline import Offline
from tests.watching import watched
from tools.core.contracts import Answer, Wishes
from tools.core.settings import Settings


def subjects_of(answer: Answer) -> set[str]:
    return {answer.project.title, *(subject.title for subject in answer.candidates)}


async def test_a_hundred_regenerations_never_show_a_repeat_when_the_model_answers_nothing_else(
    settings: Settings, offline: Offline
) -> None:
    # A repeat goes back once, and not twice: a hundred times that is time.
    async with open_app_context(settings.model_copy(update={"output_retries": 1})) as app_context:
        await regenerate_a_hundred_times(app_context, offline)


async def regenerate_a_hundred_times(app_context: AppContext, offline: Offline) -> None:
    first = await generated(app_context)
    session_id, shown = first.session_id, subjects_of(first)
    await offline.behave(faults=[{"kind": "repeat_rejected", "schema": "SubjectProposals"}])
    for number in range(100):
        # Now and then the current subject is built again, so that an answer comes at all.
        again = number % 10 == 9
        wishes = Wishes(subject_id=first.project.subject_id) if again else Wishes()
        events = await finished(app_context.sessions.regenerate(session_id, wishes))
        with_progress = {subject["title"] for subject in watched(events).seen}
        if again:
            answer = result(events)
            assert (answer.candidates, answer.missing) == ([], 3)
            assert with_progress == {first.project.title}
        else:
            assert error(events)["code"] == "model_output_invalid"
            assert error(events)["details"]["cause"] == "repeats"
            assert with_progress == set()
    await offline.reset()
    answer = result(await finished(app_context.sessions.regenerate(session_id, Wishes())))
    assert not shown & subjects_of(answer)


async def test_a_model_that_repeats_now_and_then_is_asked_again(
    app_context: AppContext, offline: Offline
) -> None:
    answer = await generated(app_context)
    shown = subjects_of(answer)
    await offline.behave(
        faults=[{"kind": "repeat_rejected", "schema": "SubjectProposals", "probability": 0.4}], seed=7
    )
    for _ in range(6):
        events = await finished(app_context.sessions.regenerate(answer.session_id, Wishes()))
        if events[-1]["type"] == "result":
            answer = result(events)
            assert not shown & subjects_of(answer)
            shown |= subjects_of(answer)
    assert len(shown) > 8


async def test_a_session_grows_by_what_a_turn_adds_and_no_more(app_context: AppContext) -> None:
    answer = await generated(app_context)
    key = f"checkpoint:{answer.session_id}:"
    sizes, added = [], []
    for _ in range(8):
        sizes.append(len(orjson.dumps(await app_context.services.redis.json().get(key))))
        before = await app_context.sessions.view(answer.session_id)
        answer = result(await finished(app_context.sessions.regenerate(answer.session_id, Wishes())))
        # A turn adds its project to the history, and what it replaced to the rejected, each with
        # its fingerprint (348 characters and an id).
        rejected = [before["subject"], *before["candidates"]]
        added.append(len(orjson.dumps([answer.project.model_dump(), rejected])) + 400 * len(rejected))
    grown = [after - before for before, after in itertools.pairwise(sizes)]
    for growth, turn in zip(grown, added, strict=False):
        # Its current subjects and project replace others of about their size.
        assert growth < turn * 1.5


async def test_the_same_subject_can_be_built_again_with_other_wishes(app_context: AppContext) -> None:
    first = await generated(app_context)
    wishes = Wishes(subject_id=first.project.subject_id, difficulty="beginner")
    events = await finished(app_context.sessions.regenerate(first.session_id, wishes))
    answer = result(events)
    assert answer.project.subject_id == first.project.subject_id
    assert answer.project.difficulty == "beginner"
    view = await app_context.sessions.view(first.session_id)
    assert first.project.subject_id not in {subject["id"] for subject in view["rejected"]}


async def test_wishes_are_kept_when_the_first_run_had_failed(
    app_context: AppContext, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "MarketSummary"}])
    failure = error(await finished(app_context.sessions.generate(BACKEND, "ko")))
    await offline.reset()
    wishes = Wishes(difficulty="advanced", skills=["Rust"])
    events = await finished(app_context.sessions.regenerate(failure["details"]["session_id"], wishes))
    answer = result(events)
    assert answer.project.difficulty == "advanced"
    assert "Rust" in answer.project.skills
