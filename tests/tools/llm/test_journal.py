"""Nothing is paid for twice within a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tools.llm.journal import recorded_call

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


class Memory:
    """A journal in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def find(self, question: str) -> bytes | None:
        """As `ResponseJournal.find`."""
        return self.kept.get(question)

    async def record(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.record`."""
        self.kept[question] = answer

    async def forget(self, questions: Sequence[str]) -> None:
        """As `ResponseJournal.forget`."""
        for question in questions:
            del self.kept[question]


class Full(Memory):
    """A journal that is full."""

    async def record(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.record`."""
        raise RedisConnectionError("no room")


class Model:
    """Answers with a number that grows with each question."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> bytes:
        """Answers."""
        self.asked += 1
        return str(self.asked).encode()


@pytest.fixture
def memory() -> Memory:
    return Memory()


async def test_a_question_is_asked_once(memory: Memory) -> None:
    model = Model()
    assert [await recorded_call(memory, ["m", "q"], model) for _ in range(3)] == [b"1"] * 3
    assert model.asked == 1


@given(JSON, JSON)
def test_different_questions_are_asked_each(one: object, other: object) -> None:
    assume(repr(one) != repr(other) and one != other)

    async def work() -> None:
        model, memory = Model(), Memory()
        assert await recorded_call(memory, one, model) == b"1"
        assert await recorded_call(memory, other, model) == b"2"
        assert await recorded_call(memory, one, model) == b"1"
        assert model.asked == 2

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(work())


async def test_parts_of_a_question_do_not_run_into_each_other(memory: Memory) -> None:
    model = Model()
    questions: list[object] = [["ab", "c"], ["a", "bc"], ["abc"], "abc", ["a", "b", "c"], [["ab"], "c"]]
    assert len({await recorded_call(memory, question, model) for question in questions}) == len(questions)


async def test_without_a_journal_every_question_is_asked() -> None:
    model = Model()
    assert [await recorded_call(None, "q", model) for _ in range(3)] == [b"1", b"2", b"3"]


async def test_an_empty_answer_is_an_answer(memory: Memory) -> None:
    asked = 0

    async def ask() -> bytes:
        nonlocal asked
        asked += 1
        return b""

    assert [await recorded_call(memory, "q", ask) for _ in range(2)] == [b"", b""]
    assert asked == 1


async def test_an_answer_that_could_not_be_kept_is_an_error() -> None:
    model = Model()
    with pytest.raises(RedisError):
        await recorded_call(Full(), "q", model)
    assert model.asked == 1


async def test_a_question_that_failed_is_asked_again(memory: Memory) -> None:

    async def fail() -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await recorded_call(memory, "q", fail)
    assert memory.kept == {}
    assert await recorded_call(memory, "q", Model()) == b"1"
