"""Settings: from the environment, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from tools.core.settings import Settings, offline_notice

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
    "embedding_send_dimensions": "false",
    "embedding_base_url": "http://gateway/v1",
    "fallback_base_url": "http://gateway/v1",
    "temperature": "0.5",
    "novelty_similarity": "0.5",
    "offline_embeddings": "morphemes",
    "parser_confidence": "0.5",
    "parser_processes": "2",
    "ingest_attempts": "5",
    "prompt_tokens": "20000",
    "cors_origins": "https://app.example.com",
    "api_keys": f"web:{'a' * 64}",
    "admin_keys": f"ada:{'b' * 64}",
    "runs_by": "worker",
    "run_queue": "3",
    "visitors": "true",
    "cookie_secret": "c" * 32,
    "key_requests_per_minute": "3",
    "key_runs_at_once": "3",
    "key_tokens_per_day": "3",
    "key_usd_per_month": "3",
    "visitor_requests_per_minute": "3",
    "visitor_runs_at_once": "3",
    "visitor_tokens_per_day": "3",
    "visitor_usd_per_month": "3",
    "trusted_proxies": "10.0.0.0/8",
    "source_networks": "10.0.0.0/8",
    "log_format": "json",
}
KEYS = ["OPENAI_API_KEY", "CHECKERBOARD_EMBEDDING_API_KEY", "UPSTAGE_API_KEY", "LANGSMITH_API_KEY"]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_has_its_name_in_the_environment(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = field.upper() if field in UNPREFIXED else f"CHECKERBOARD_{field.upper()}"
    is_number = isinstance(Settings.model_fields[field].default, int | float)
    if field == "openai_base_url":
        monkeypatch.setenv("OPENAI_API_KEY", "a key")
    if field == "embedding_base_url":
        monkeypatch.setenv("CHECKERBOARD_EMBEDDING_API_KEY", "a key")
    if field.startswith("fallback_"):
        monkeypatch.setenv("OPENAI_API_KEY", "a key")
        monkeypatch.setenv("CHECKERBOARD_FALLBACK_MODEL", "a-model")
        monkeypatch.setenv("CHECKERBOARD_FALLBACK_API_KEY", "a key")
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
    monkeypatch.delenv("CHECKERBOARD_OFFLINE_EMBEDDINGS")  # the tests' own
    monkeypatch.setenv("CHECKERBOARD_COLOUR", "blue")
    monkeypatch.setenv("HOME", "/somewhere")
    assert Settings() == Settings.model_construct()


def test_the_home_is_in_the_checkout_unless_it_is_set() -> None:
    assert Settings().home == Path(__file__).parents[3] / ".checkerboard"


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    "pasted",
    [
        "sk-1\n",
        "  sk-1\t",
        "sk-1\r\n",
        '"sk-1"',
        "'sk-1' ",
        "\u201csk-1\u201d",
        "\ufeffsk-1\u00a0",
        "\u200bsk-1",
        "Bearer sk-1",
        "bearer  sk-1\n",
        '"Bearer sk-1"',
        "Authorization: Bearer sk-1",
        "Bearer 'sk-1'",
    ],
)
def test_what_is_pasted_around_a_key_is_taken_off(
    name: str, pasted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, pasted)
    key = getattr(Settings(), name.lower().removeprefix("checkerboard_"))
    assert key.get_secret_value() == "sk-1"


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("broken", ["sk-1\nsk-2", "sk\u20111", "내 열쇠", "Bearer ", "sk-\x001"])
def test_what_is_no_key_is_refused_in_words_that_do_not_show_it(
    name: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError, match="this is no key") as refused:
        Settings.model_validate({name.lower().removeprefix("checkerboard_"): broken})
    assert broken not in str(refused.value)


@pytest.mark.parametrize("blank", [" ", "\n", '""', "' '"])
def test_a_blank_key_counts_as_unset(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", blank)
    assert Settings().offline


@pytest.mark.parametrize(
    "pasted",
    [
        "http://gateway/v1/",
        " http://gateway/v1\n",
        '"http://gateway/v1"',
        "http://gateway/v1/chat/completions",
        "http://gateway/v1/embeddings",
    ],
)
def test_what_is_pasted_around_an_address_is_taken_off(pasted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_BASE_URL", pasted)
    assert Settings().openai_base_url == "http://gateway/v1"


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "CHECKERBOARD_EMBEDDING_BASE_URL"])
@pytest.mark.parametrize("broken", ["gateway/v1", "ftp://gateway", "http://", "http://gate way/v1"])
def test_what_is_no_address_is_refused(name: str, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("CHECKERBOARD_EMBEDDING_API_KEY", "sk-2")
    monkeypatch.setenv(name, broken)
    with pytest.raises(ValidationError, match="begins with http"):
        Settings()


@pytest.mark.parametrize(
    ("given", "offline", "embeddings_offline"),
    [
        ({}, True, True),
        ({"openai_api_key": "k"}, False, False),
        ({"embedding_api_key": "k"}, True, False),
        ({"embedding_api_key": "k", "embedding_base_url": "http://e/v1"}, True, False),
        ({"openai_api_key": "k", "embedding_base_url": "offline"}, False, True),
        ({"embedding_base_url": "offline"}, True, True),
        ({"openai_api_key": "k", "embedding_api_key": "k2"}, False, False),
    ],
)
def test_which_of_its_offices_the_offline_model_holds(
    given: dict[str, str], offline: bool, embeddings_offline: bool
) -> None:
    settings = Settings.model_validate(given)
    assert (settings.offline, settings.embeddings_offline) == (offline, embeddings_offline)
    notice = offline_notice(settings)
    assert (notice is not None) == (offline or embeddings_offline)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"openai_api_key": "k", "embedding_base_url": "http://e/v1"},
            "OPENAI_API_KEY is not sent elsewhere",
        ),
        ({"embedding_base_url": "offline", "embedding_api_key": "k"}, "unset one of them"),
    ],
)
def test_an_endpoint_for_embeddings_that_is_half_set_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(given)
