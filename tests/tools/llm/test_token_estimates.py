"""The estimate of tokens: above the truth, and not by much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.core.settings import Settings
from tools.llm.embedding_models import MORPHEMES
from tools.llm.openai_client import OFFLINE_CHAT_MODEL
from tools.llm.token_estimates import estimated_tokens, usd

KOREAN = (
    "중복 결제를 막는 정산 서버를 만들고, 장애를 일부러 일으켜 한 번만 정산되는지 증명합니다. "
    "초당 500건의 이벤트에서 누락과 중복이 0건이어야 합니다."
)
ENGLISH = (
    "We are looking for an engineer who designs, builds and runs payment services. You will own them "
    "from the first sketch to the pager, and write down what you learn."
)
ROW = (
    '{"posting_id":"p-17","company":"너른들소프트","job_title":"결제 서버 개발자","responsibilities":'
    '"결제 API 설계와 운영\\n정산 배치 개선","requirements":"Java, Spring Boot 개발 경력 3년 이상",'
    '"preferred":"Kafka 운영 경험","skills":["Java","Spring Boot","Kafka"]}'
)


@pytest.mark.parametrize(
    ("text", "cl100k", "o200k"),
    [(KOREAN, 77, 52), (ENGLISH, 34, 34), (ROW, 95, 72), ("", 0, 0)],
    ids=["Korean", "English", "a row of a fence", "nothing"],
)
def test_the_estimate_is_above_what_either_vocabulary_counts_and_below_three_times_it(
    text: str, cl100k: int, o200k: int
) -> None:
    """The counts were taken with OpenAI's vocabularies, cl100k_base and o200k_base."""
    assert cl100k <= estimated_tokens(text) <= 3 * min(cl100k, o200k)


@given(st.text())
def test_no_text_has_more_than_two_and_a_half_times_the_estimate(text: str) -> None:
    """A token is a byte at least. So a full prompt (the default `prompt_tokens`) of the worst noise is
    refused by the model; one of ordinary text never is."""
    assert len(text.encode()) <= 2.5 * estimated_tokens(text)


@given(st.text(), st.text())
def test_rows_that_fit_one_by_one_fit_together(one: str, other: str) -> None:
    assert estimated_tokens(one + other) <= estimated_tokens(one) + estimated_tokens(other)


# What tokens cost.
def test_a_price_is_that_of_the_input_and_that_of_the_output() -> None:
    assert usd("gpt-4o-mini", 1_000_000, 0) == pytest.approx(0.15)
    assert usd("gpt-4o-mini", 0, 1_000_000) == pytest.approx(0.60)
    assert usd("text-embedding-3-small", 1_000_000, 0) == pytest.approx(0.02)


def test_a_batch_costs_half() -> None:
    assert usd("gpt-4o-mini", 1_000_000, 1_000_000, batch=True) == pytest.approx(0.375)


@pytest.mark.parametrize("name", ["gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", "gpt-4o-mini-latest"])
def test_a_version_of_a_model_costs_what_the_model_does(name: str) -> None:
    assert usd(name, 1_000, 1_000) == usd("gpt-4o-mini", 1_000, 1_000)


@pytest.mark.parametrize("name", ["gpt-4o-mini-audio-preview", "gpt-9", "llama-3.1-8b", ""])
def test_the_price_of_another_model_is_not_guessed(name: str) -> None:
    assert usd(name, 1_000, 1_000) is None


def test_the_offline_model_is_free_and_the_default_models_have_a_price() -> None:
    assert usd(OFFLINE_CHAT_MODEL, 1_000, 1_000) == 0
    assert usd(MORPHEMES, 1_000, 0) == 0
    for name in (Settings().chat_model, Settings().embedding_model):
        assert usd(name, 1_000, 1_000) is not None
