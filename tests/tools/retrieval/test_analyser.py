"""The analyser, in its real process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tools.retrieval.analyser import Analyser


@pytest.fixture(scope="module")
async def analyser() -> AsyncIterator[Analyser]:
    opened = Analyser()
    yield opened
    await opened.aclose()


async def test_words_of_both_languages_are_one_term(analyser: Analyser) -> None:
    terms = [(await analyser.understand(text))["terms"] for text in ("백엔드", "서버", "backend", "back-end")]
    assert all(one == terms[0] for one in terms)
    korean, english = (
        (await analyser.understand("리액트"))["terms"],
        (await analyser.understand("React"))["terms"],
    )
    assert "#React" in korean
    assert korean == english


async def test_what_is_refused_is_neither_searched_for_nor_wished(analyser: Analyser) -> None:
    understood = await analyser.understand("DevOps 말고 백엔드 개발자\nVue.js\nReact는 써 본 적이 없습니다")
    assert understood["families"] == ["backend"]
    assert "#Vue.js" in understood["terms"]
    assert not {"#React", "데브옵스"} & set(understood["terms"])
    assert "DevOps" in understood["refused"]


async def test_the_wish_counts_twice_the_profile_and_that_twice_the_interests(analyser: Analyser) -> None:
    understood = await analyser.understand("백엔드 개발자\nJava\n\n게임")
    assert understood["parts"] == [["백엔드 개발자", 1.0], ["Java", 0.5], ["게임", 0.25]]


@pytest.mark.parametrize("job", ["pastry chef", "제과제빵사", "nurse", "용접공"])
async def test_a_job_outside_of_it_is_told(analyser: Analyser, job: str) -> None:
    understood = await analyser.understand(job)
    assert understood["outside_it"]
    assert not understood["inside_it"]


@pytest.mark.parametrize(
    "job", ["백엔드 개발자", "Platform engineer", "배달 앱 백엔드 개발자", "신입 개발자", "prompt wizard"]
)
async def test_a_job_in_it_or_unknown_is_not(analyser: Analyser, job: str) -> None:
    assert not (await analyser.understand(job))["outside_it"]


async def test_postings_have_terms_and_families(analyser: Analyser) -> None:
    texts = ["풀스택 개발자\nReact와 Spring Boot", "홀 서버 구함"]
    full_stack, _ = await analyser.read(texts)
    assert "fullstack" in full_stack["families"]
    assert full_stack["terms"].startswith("{")


async def test_one_who_leaves_does_not_get_anothers_answer(analyser: Analyser) -> None:
    left = asyncio.create_task(analyser.understand("게임"))
    await asyncio.sleep(0)
    left.cancel()
    assert (await analyser.understand("Kotlin"))["parts"] == [["Kotlin", 1.0]]


async def test_a_process_that_ended_is_replaced(analyser: Analyser) -> None:
    await analyser.start()
    process = analyser._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert (await analyser.understand("Kotlin"))["parts"] == [["Kotlin", 1.0]]
    assert analyser.state == "running"
