"""Settings: from the environment, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from tools.settings import Settings

UNPREFIXED = {
    "database_url",
    "redis_url",
    "openai_api_key",
    "openai_base_url",
    "upstage_api_key",
    "upstage_base_url",
}
VALUES = {
    "models": '{"summarize": {"model": "large"}}',
    "home": "/elsewhere",
    "database_url": "postgresql://db/x",
    "redis_url": "redis://cache",
    "openai_api_key": "sk-1",
    "openai_base_url": "http://gateway/v1",
    "structured_output": "json_object",
    "embedding_dimensions": "256",
    "temperature": "0.5",
    "novelty_similarity": "0.5",
    "parser_confidence": "0.5",
    "parser_processes": "2",
    "ingest_attempts": "5",
    "prompt_tokens": "20000",
    "api_keys": f"web:{'a' * 64}",
    "admin_keys": f"ada:{'b' * 64}",
}


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_has_its_name_in_the_environment(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = field.upper() if field in UNPREFIXED else f"CHECKERBOARD_{field.upper()}"
    is_number = isinstance(Settings.model_fields[field].default, int | float)
    if field == "openai_base_url":
        monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.setenv(name, VALUES.get(field, "3" if is_number else "a-model"))
    assert getattr(Settings(), field) != getattr(Settings.model_construct(), field)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_says_what_it_is(field: str) -> None:
    assert Settings.model_fields[field].description


def test_without_a_key_the_offline_model_answers() -> None:
    assert Settings().offline
    assert not Settings(openai_api_key=SecretStr("sk-1")).offline


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_BASE_URL", "DATABASE_URL", "REDIS_URL"])
def test_a_variable_that_is_set_to_nothing_counts_as_unset(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "")
    assert getattr(Settings(), name.lower()) is None
    assert Settings().offline


def test_a_gateway_without_a_key_is_refused_rather_than_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    with pytest.raises(ValidationError, match="set OPENAI_API_KEY to any word"):
        Settings()


def test_a_copy_with_a_key_is_no_longer_offline() -> None:
    settings = Settings()
    assert settings.offline
    assert not settings.model_copy(update={"openai_api_key": SecretStr("sk-1")}).offline


def test_settings_do_not_change_after_the_start() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().chat_model = "another"  # type: ignore[misc]


def test_a_key_never_shows_in_a_log() -> None:
    settings = Settings(openai_api_key=SecretStr("sk-secret"))
    assert "sk-secret" not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHECKERBOARD_MODEL_TIMEOUT_SECONDS", "0"),
        ("CHECKERBOARD_EMBEDDING_DIMENSIONS", "4001"),
        ("CHECKERBOARD_OUTPUT_RETRIES", "-1"),
        ("CHECKERBOARD_STRUCTURED_OUTPUT", "xml"),
        ("CHECKERBOARD_CONCURRENCY", "many"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_at_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match="1 validation error"):
        Settings()


def test_other_programs_variables_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKERBOARD_COLOUR", "blue")
    monkeypatch.setenv("HOME", "/somewhere")
    assert Settings() == Settings.model_construct()


def test_the_home_is_in_the_checkout_unless_it_is_set() -> None:
    assert Settings().home == Path(__file__).parents[2] / ".checkerboard"
