"""Who watches has in the end what the result has, whatever the model wrote, repeated and broke off before."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from nodes.generate_tasks import generate_tasks
from nodes.propose_subjects import ATTEMPTS, SubjectProposals, propose_subjects
from tests.fakes import Stage, posting
from tests.nodes import test_generate_tasks as plans
from tests.nodes import test_propose_subjects as subjects
from tests.watching import steps_of, watched
from tools.core.contracts import Step, Task
from tools.core.errors import ModelOutputError

bounds = hypothesis.settings(max_examples=40, deadline=None)
PACES = st.integers(7, 400)
TITLES = st.text(alphabet="ABCDEF", min_size=1, max_size=2)
PROPOSALS = st.builds(
    lambda titles, ids: SubjectProposals(
        subjects=[subjects.proposal(title, posting_ids=ids) for title in titles]
    ),
    st.lists(TITLES, max_size=6),
    st.sampled_from([["p-1"], ["p-2", "p-9"], ["p-9"]]),
)


def broken(answer: Any, share: float) -> str:
    text: str = answer.model_dump_json()
    return text[: int(len(text) * share)]


def scripted(answers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Answers, before which others may break off."""
    breaking = st.builds(broken, answers, st.floats(0, 1))
    return st.builds(lambda cut, whole: [*cut, whole], st.lists(breaking, max_size=2), answers)


@bounds
@given(
    turns=st.lists(scripted(PROPOSALS), min_size=ATTEMPTS, max_size=ATTEMPTS),
    rejected=st.lists(TITLES, max_size=3),
    shown_before=st.booleans(),
    chosen=st.booleans(),
    pace=PACES,
)
def test_the_subjects_that_stand_are_those_of_the_result(
    turns: list[list[Any]], rejected: list[str], shown_before: bool, chosen: bool, pace: int
) -> None:
    earlier: dict[str, Any] = {"rejected": [subjects.subject(title) for title in rejected]}
    if shown_before:
        earlier["subjects"] = subjects.SHOWN
        earlier["turn"] = {"chosen": subjects.SHOWN["candidates"][0] if chosen else None}
    stage = Stage(postings=[posting(1), posting(2)], pace=pace)
    update: dict[str, Any] = {"draft": None}
    for turn in turns:
        stage.chat.say(*turn)
        try:
            update = asyncio.run(
                propose_subjects(subjects.state(**earlier, draft=update["draft"]), stage.runtime)
            )
        except ModelOutputError:
            assert watched(stage.events).subjects == {}
            return
        if "subjects" in update:
            break
    watcher = watched(stage.events)
    result = update["subjects"]
    assert watcher.subjects == dict(enumerate([result["current"], *result["candidates"]]))
    proposed = {s["title"] for s in watcher.seen if s != earlier.get("turn", {}).get("chosen")}
    assert not proposed & set(rejected)


TASKS = st.builds(
    lambda title, text: Task(title=title, description=text, skills=["Java"], deliverable="a test"),
    st.text(max_size=5),
    st.text(max_size=20),
)
STEPS = st.lists(st.builds(Step, title=st.text(max_size=5), tasks=st.lists(TASKS, max_size=3)), max_size=4)
PLANS = STEPS.map(
    lambda steps: plans.plan(plans.GOOD, steps=[*steps, Step(title="Last", tasks=[plans.LAST])])
)


@bounds
@given(script=st.lists(scripted(PLANS), min_size=1, max_size=3), pace=PACES)
def test_the_tasks_that_stand_are_those_of_the_result(script: list[list[Any]], pace: int) -> None:
    answers = [answer for turn in script for answer in turn]
    stage = Stage(*answers, postings=plans.POSTINGS, pace=pace)
    update = asyncio.run(generate_tasks(plans.state(), stage.runtime))
    assert watched(stage.events).steps() == steps_of(update["project"])
