"""Nothing is paid for twice within a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tools.llm import journal
from tools.llm.journal import recorded_call

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


class Memory:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def find(self, question: str) -> bytes | None:
        """As `ResponseJournal.find`."""
        return self.kept.get(question)

    async def keep(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.keep`."""
        self.kept[question] = answer


class Full(Memory):
    """A ledger that keeps nothing."""

    async def keep(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.keep`."""
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
def memory() -> Iterator[Memory]:
    kept = Memory()
    token = journal.current.set(kept)
    yield kept
    journal.current.reset(token)


def with_ledger(kept: Memory, work: Callable[[], Awaitable[None]]) -> None:
    """Does `work` under a ledger, on a loop of its own."""

    async def run() -> None:
        journal.current.set(kept)
        await work()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(run())


async def test_a_question_is_asked_once(memory: Memory) -> None:
    journal.current.set(memory)
    model = Model()
    assert [await recorded_call(["m", "q"], model) for _ in range(3)] == [b"1"] * 3
    assert model.asked == 1


@given(JSON, JSON)
def test_different_questions_are_asked_each(one: object, other: object) -> None:
    assume(repr(one) != repr(other) and one != other)

    async def work() -> None:
        model = Model()
        assert await recorded_call(one, model) == b"1"
        assert await recorded_call(other, model) == b"2"
        assert await recorded_call(one, model) == b"1"
        assert model.asked == 2

    with_ledger(Memory(), work)


async def test_parts_of_a_question_do_not_run_into_each_other(memory: Memory) -> None:
    journal.current.set(memory)
    model = Model()
    questions: list[object] = [["ab", "c"], ["a", "bc"], ["abc"], "abc", ["a", "b", "c"], [["ab"], "c"]]
    assert len({await recorded_call(question, model) for question in questions}) == len(questions)


async def test_without_a_ledger_every_question_is_asked() -> None:
    journal.current.set(None)
    model = Model()
    assert [await recorded_call("q", model) for _ in range(3)] == [b"1", b"2", b"3"]


async def test_an_empty_answer_is_an_answer(memory: Memory) -> None:
    journal.current.set(memory)
    asked = 0

    async def ask() -> bytes:
        nonlocal asked
        asked += 1
        return b""

    assert [await recorded_call("q", ask) for _ in range(2)] == [b"", b""]
    assert asked == 1


async def test_an_answer_that_could_not_be_kept_is_an_error() -> None:
    journal.current.set(Full())
    model = Model()
    with pytest.raises(RedisError):
        await recorded_call("q", model)
    assert model.asked == 1


async def test_a_question_that_failed_is_asked_again(memory: Memory) -> None:
    journal.current.set(memory)

    async def fail() -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await recorded_call("q", fail)
    assert memory.kept == {}
    assert await recorded_call("q", Model()) == b"1"
