"""Sessions against a model of them: whatever is asked in whatever order, what a session shows is what
a few sets and lists say it must.

The service is the real one, with its Redis, its PostgreSQL and the offline model. The machine is
synchronous, so it has an event loop of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from graph.sessions.sessions import Event
from serve.context import AppContext, open_app_context
from tests.graph.sessions.test_sessions import BACKEND, error, finished, generated, result
from tests.offline import Offline
from tests.watching import watched
from tools.core.contracts import Answer, Wishes
from tools.core.errors import SessionNotFoundError
from tools.core.settings import Settings

T = TypeVar("T")
Fault = tuple[str, str]

UNAVAILABLE: Fault = ("server_error", "SubjectProposals")
INVALID: Fault = ("schema_violation", "SubjectProposals")
REPEATING: Fault = ("repeat_rejected", "SubjectProposals")
NO_PROJECT: Fault = ("server_error", "ProjectPlan")
INVALID_PROJECT: Fault = ("schema_violation", "ProjectPlan")
FAULTS = (UNAVAILABLE, INVALID, REPEATING, NO_PROJECT, INVALID_PROJECT)
CODES = {
    "server_error": "model_unavailable",
    "schema_violation": "model_output_invalid",
    "repeat_rejected": "model_output_invalid",
}
PICKS = st.integers(0, 11)


@dataclass
class Known:
    """What a session must be, by what was asked of it and what it answered."""

    titles: set[str] = field(default_factory=set)
    """Of every subject it has ever shown."""
    shown: set[str] = field(default_factory=set)
    """Ids of what has been its subject or a candidate."""
    current: str | None = None
    candidates: list[str] = field(default_factory=list)
    chosen: set[str] = field(default_factory=set)
    history: list[str] = field(default_factory=list)
    owed: bool = False
    """Whether a choice failed halfway: what was answered then is not asked again, so that the same
    choice may succeed with a model that fails there."""

    def show(self, subjects: list[dict[str, Any]], chosen: str | None) -> None:
        """Takes note of subjects that a run has just shown; only the chosen one was there before."""
        for subject in subjects:
            if subject["id"] != chosen:
                assert subject["title"] not in self.titles, f"shown again: {subject['title']}"
                self.titles.add(subject["title"])

    def move(self, subjects: list[dict[str, Any]]) -> None:
        """The first is the subject now, the others are the candidates."""
        self.current, *self.candidates = [subject["id"] for subject in subjects]
        self.shown |= {self.current, *self.candidates}

    def rejected(self) -> set[str]:
        """Everything that was recommended and not chosen."""
        return self.shown - {self.current, *self.candidates} - self.chosen


class World:
    """The service on an event loop of its own."""

    def __init__(self, runner: asyncio.Runner, app_context: AppContext, offline: Offline) -> None:
        self.do = runner.run
        self.app_context = app_context
        self.offline = offline

    def events(self, asked: Any, fault: Fault | None = None) -> list[Event]:
        """Returns a run's events, the fault being in force while it is at work."""

        async def run() -> list[Event]:
            if fault:
                await self.offline.behave(faults=[{"kind": fault[0], "schema": fault[1]}])
            events = await finished(asked)
            if fault:
                await self.offline.reset()
            return events

        return self.do(run())

    def refused(self, asked: Coroutine[Any, Any, Any]) -> bool:
        """Whether the session is not found."""
        try:
            self.do(asked)
        except SessionNotFoundError:
            return True
        return False

    def keys(self, session_id: str) -> list[bytes]:
        """Every key of a session in Redis."""

        async def scan() -> list[bytes]:
            return [
                key async for key in self.app_context.services.redis.scan_iter(f"*{session_id}*", count=1_000)
            ]

        return self.do(scan())


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()

        async def opened() -> World:
            # A call that fails is not asked again: the retries are the client's, and cost time here.
            own = settings.model_copy(update={"model_retries": 0})
            app_context = await stack.enter_async_context(open_app_context(own))
            offline = await stack.enter_async_context(Offline.of(settings))
            await offline.reset()
            return World(runner, app_context, offline)

        try:
            yield runner.run(opened())
        finally:
            runner.run(stack.aclose())


class SessionMachine(RuleBasedStateMachine):
    """Asks anything of any session in any order."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Known] = {}
        self.gone: set[str] = set()

    def pick(self, number: int) -> tuple[str, Known]:
        return list(self.known.items())[number % len(self.known)]

    def turn(
        self, session_id: str, known: Known, chosen: str | None = None, fault: Fault | None = None
    ) -> list[Event]:
        """Regenerates, and learns from the answer."""
        asked = self.world.app_context.sessions.regenerate(session_id, Wishes(subject_id=chosen))
        events = self.world.events(asked, fault)
        if events[-1]["type"] == "result":
            known.show(subjects(events), chosen)
            self.learn(known, result(events), chosen)
        return events

    def learn(self, known: Known, answer: Answer, chosen: str | None) -> None:
        """Takes over what an answer says."""
        if chosen:
            assert answer.project.subject_id == chosen
            known.chosen.add(chosen)
        known.owed = False
        known.history.append(answer.project.subject_id)
        known.move([{"id": answer.project.subject_id}, *({"id": c.id} for c in answer.candidates)])

    @initialize()
    def a_first_session(self) -> None:
        self.generate()

    @precondition(lambda self: len(self.known) < 3)
    @rule()
    def generate(self) -> None:
        events = self.world.events(self.world.app_context.sessions.generate(BACKEND, "ko"))
        answer = result(events)
        assert answer.session_id not in self.known.keys() | self.gone
        known = self.known[answer.session_id] = Known()
        known.show(subjects(events), None)
        self.learn(known, answer, None)

    @precondition(lambda self: self.known)
    @rule(number=PICKS)
    def regenerate(self, number: int) -> None:
        session_id, known = self.pick(number)
        result(self.turn(session_id, known))
        assert len(known.candidates) == 3

    @precondition(lambda self: self.known)
    @rule(number=PICKS, candidate=PICKS)
    def choose(self, number: int, candidate: int) -> None:
        session_id, known = self.pick(number)
        if known.candidates:
            chosen = known.candidates[candidate % len(known.candidates)]
            result(self.turn(session_id, known, chosen))

    @precondition(lambda self: self.known)
    @rule(number=PICKS)
    def build_the_current_one_again(self, number: int) -> None:
        session_id, known = self.pick(number)
        result(self.turn(session_id, known, known.current))

    @precondition(lambda self: self.known)
    @rule(number=PICKS, stale=st.booleans())
    def choose_what_is_no_candidate(self, number: int, stale: bool) -> None:
        session_id, known = self.pick(number)
        former = sorted(known.shown - {known.current, *known.candidates})
        events = self.turn(session_id, known, former[0] if stale and former else "sub-none")
        assert error(events)["code"] == "subject_not_found"

    @precondition(lambda self: self.known)
    @rule(number=PICKS, fault=st.sampled_from(FAULTS))
    def regenerate_in_vain(self, number: int, fault: Fault) -> None:
        session_id, known = self.pick(number)
        events = self.turn(session_id, known, fault=fault)
        assert error(events)["code"] == CODES[fault[0]]
        if fault in (NO_PROJECT, INVALID_PROJECT):
            known.show(subjects(events), None)
            known.move(subjects(events))

    @precondition(lambda self: self.known)
    @rule(number=PICKS, fault=st.sampled_from(FAULTS))
    def choose_in_vain(self, number: int, fault: Fault) -> None:
        session_id, known = self.pick(number)
        if known.candidates:
            owed = known.owed
            events = self.turn(session_id, known, known.candidates[0], fault)
            if events[-1]["type"] == "error":
                assert error(events)["code"] == CODES[fault[0]]
                known.owed = fault[0] == "server_error"
            else:  # the project does not depend on the next candidates
                assert owed or (fault == REPEATING and not known.candidates)

    @precondition(lambda self: self.known)
    @rule(number=PICKS)
    def delete(self, number: int) -> None:
        session_id, _ = self.pick(number)
        self.world.do(self.world.app_context.sessions.forget(session_id))
        assert self.world.keys(session_id) == []
        self.goes(session_id)

    @precondition(lambda self: self.known)
    @rule(number=PICKS)
    def expire(self, number: int) -> None:
        session_id, _ = self.pick(number)
        keys = self.world.keys(session_id)
        assert keys
        self.world.do(self.world.app_context.services.redis.delete(*keys))
        self.goes(session_id)

    def goes(self, session_id: str) -> None:
        del self.known[session_id]
        self.gone.add(session_id)

    @precondition(lambda self: self.gone)
    @rule(number=PICKS)
    def ask_what_is_gone(self, number: int) -> None:
        session_id = sorted(self.gone)[number % len(self.gone)]
        sessions = self.world.app_context.sessions
        events = self.world.events(sessions.regenerate(session_id, Wishes()))
        assert error(events)["code"] == "session_not_found"
        assert self.world.refused(sessions.forget(session_id))
        assert self.world.keys(session_id) == []

    @invariant()
    def sessions_show_what_they_must(self) -> None:
        sessions = self.world.app_context.sessions
        for session_id in self.gone:
            assert self.world.refused(sessions.view(session_id))
        for session_id, known in self.known.items():
            view = self.world.do(sessions.view(session_id))
            assert view["subject"]["id"] == known.current
            assert [subject["id"] for subject in view["candidates"]] == known.candidates
            rejected = [subject["id"] for subject in view["rejected"]]
            assert len(set(rejected)) == len(rejected)
            # A chosen subject that was followed by another: see the test beneath.
            assert set(rejected) - known.chosen == known.rejected()
            assert [project["subject_id"] for project in view["history"]] == known.history
            assert view["project"]["subject_id"] == known.history[-1]


def subjects(events: list[Event]) -> list[dict[str, Any]]:
    return [subject for _, subject in sorted(watched(events).subjects.items())]


def test_a_session_is_what_its_model_says(world: World) -> None:
    machine = type("Machine", (SessionMachine,), {"world": world})
    # Not shrunk: a dozen steps can be read as they are, and shrinking would take minutes.
    bounds = hypothesis.settings(
        max_examples=8,
        stateful_step_count=12,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=bounds)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("choosing", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_turn_that_failed_is_followed_by_one_that_does_not(
    app_context: AppContext, offline: Offline, fault: Fault, choosing: bool
) -> None:
    first = await generated(app_context)
    wishes = Wishes(subject_id=first.candidates[0].id if choosing else None)
    await offline.behave(faults=[{"kind": fault[0], "schema": fault[1]}])
    await finished(app_context.sessions.regenerate(first.session_id, wishes))
    await offline.reset()
    result(await finished(app_context.sessions.regenerate(first.session_id, Wishes())))


async def test_what_was_chosen_is_never_called_rejected(app_context: AppContext) -> None:
    first = await generated(app_context)
    chosen = first.candidates[0].id
    for wishes in (Wishes(subject_id=chosen), Wishes()):
        await finished(app_context.sessions.regenerate(first.session_id, wishes))
    view = await app_context.sessions.view(first.session_id)
    assert chosen not in {subject["id"] for subject in view["rejected"]}


async def test_an_unknown_subject_is_refused_where_nothing_was_proposed_yet(
    app_context: AppContext, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "MarketSummary"}])
    session_id = error(await finished(app_context.sessions.generate(BACKEND, "ko")))["details"]["session_id"]
    await offline.reset()
    events = await finished(app_context.sessions.regenerate(session_id, Wishes(subject_id="sub-none")))
    assert error(events)["code"] == "subject_not_found"
