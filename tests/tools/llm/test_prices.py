"""What tokens cost."""

from __future__ import annotations

import pytest

from tools.core.settings import Settings
from tools.llm.openai_client import OFFLINE_CHAT_MODEL, OFFLINE_EMBEDDING_MODEL
from tools.llm.tokens import usd


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
    assert usd(OFFLINE_EMBEDDING_MODEL, 1_000, 0) == 0
    for name in (Settings().chat_model, Settings().embedding_model):
        assert usd(name, 1_000, 1_000) is not None
