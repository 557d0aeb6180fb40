"""The settings of the service, from the environment."""

from __future__ import annotations

import ipaddress
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tools.core.api_keys import parse_key_lists


class ModelChoice(BaseModel):
    """A chat model and its parameters, by the names that OpenAI's API gives them. What is null is left
    to the service's settings, and after those to the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None

    def over(self, other: ModelChoice) -> ModelChoice:
        """Returns this choice, with what it leaves open taken from `other`."""
        return other.model_copy(update=self.model_dump(exclude_none=True))

    def parameters(self) -> dict[str, Any]:
        """Returns what is chosen besides the model, for a request's body."""
        return self.model_dump(exclude={"model"}, exclude_none=True)


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
"""Words separated by commas or spaces."""
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_words)]
"""Networks of IP addresses, separated by commas or spaces."""


_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^\s/?#@*]+")
_QUOTES = "\"'`“”‘’"
_PADDING = " \t\r\n\f\v\u00a0\u200b\u2060\ufeff"
"""White space that a paste, an .env file or a secret's last line leaves around a value."""
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_SHORTEST_SECRET = 32
"""Characters. Hexadecimal digits have four bits each, so 128 together."""
OFFLINE = "offline"
"""In place of an endpoint's URL: the offline model."""


def _stripped(value: object) -> object:
    """Returns a value without the white space and quotes around it; None where nothing is left."""
    if isinstance(value, SecretStr):
        secret = _stripped(value.get_secret_value())
        return None if secret is None else SecretStr(str(secret))
    if not isinstance(value, str):
        return value
    text = value.strip(_PADDING)
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip(_PADDING)
    return text or None


def _key(value: SecretStr | None) -> SecretStr | None:
    """Returns a key as it is put into a header."""
    if value is None:
        return None
    key = re.sub(r"^(?:authorization:\s*)?bearer(?:\s+|$)", "", value.get_secret_value(), flags=re.IGNORECASE)
    key = str(_stripped(key) or "")
    if not _PRINTABLE.fullmatch(key):
        # The value is not shown: it is a key.
        raise ValueError(
            "this is no key: it has line breaks, letters beyond ASCII or nothing in it. Copy it anew, alone."
        )
    return SecretStr(key)


def _secret(value: SecretStr | None) -> SecretStr | None:
    """Returns a secret that cannot be guessed."""
    if value is not None and len(value.get_secret_value()) < _SHORTEST_SECRET:
        raise ValueError(
            f"this is too short: at least {_SHORTEST_SECRET} characters, as `openssl rand -hex 32` prints."
        )
    return value


def _url(value: str | None) -> str | None:
    """Returns the address of an API, without a route."""
    if value is None or value == OFFLINE:
        return value
    if not re.match(r"https?://[^\s/]", value, re.IGNORECASE) or re.search(r"\s", value):
        raise ValueError("this is no address: it begins with http:// or https://")
    return re.sub(r"/(?:chat/completions|embeddings)?/*$", "", value)


def _proxies(value: tuple[str, ...]) -> tuple[str, ...]:
    """Returns addresses and networks of proxies; none of the word `none`."""
    if value == ("none",):
        return ()
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            # A name is not what a connection comes from, and `*` would believe whoever makes up a header.
            raise ValueError(
                f"{network!r} is no address or network of a proxy, such as 10.0.0.7 or 10.0.0.0/8. `none` "
                "trusts no proxy."
            ) from error
    return value


Key = Annotated[SecretStr | None, BeforeValidator(_stripped), AfterValidator(_key)]
"""A key of an API, without white space, quotes and `Bearer `."""
Url = Annotated[str | None, BeforeValidator(_stripped), AfterValidator(_url)]
"""The address of an OpenAI-compatible API."""
Proxies = Annotated[Words, AfterValidator(_proxies)]
"""Addresses and networks (CIDR) of proxies; empty for `none`."""
Dollars = Annotated[Decimal | None, Field(ge=0, max_digits=12, decimal_places=2)]
"""US dollars and cents."""

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that the rooms are in: the checkout, unless this is an installed copy."""


def default_home() -> Path:
    """Returns `.checkerboard/` in the checkout, so that two clones are two services; for an installed copy
    `checkerboard` in the user's data folder."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".checkerboard"
    return platformdirs.user_data_path("checkerboard")


class Settings(BaseSettings):
    """Every setting of the service. docs/configuration.md has the same list, and a test compares."""

    model_config = SettingsConfigDict(
        env_prefix="CHECKERBOARD_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        # What is refused may be a key.
        hide_input_in_errors=True,
    )

    home: Path = Field(default_factory=default_home, description="where the embedded parts keep their data")
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="your PostgreSQL with pgvector; unset: the embedded one",
    )
    redis_url: str | None = Field(
        None,
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
        description="your Redis with JSON and Search; unset: the embedded one",
    )
    openai_api_key: Key = Field(
        None,
        validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"),
        description="key for the model's API; unset: the offline model",
    )
    openai_base_url: Url = Field(
        None,
        validation_alias=AliasChoices("OPENAI_BASE_URL", "openai_base_url"),
        description="an OpenAI-compatible gateway",
    )
    chat_model: str = Field("gpt-4o-mini", description="chat model of every node")
    embedding_model: str = Field(
        "text-embedding-3-small", description="embedding model of postings and queries"
    )
    embedding_dimensions: int | None = Field(
        None, ge=64, le=4000, description="dimensions of an embedding; unset: the model's own, or 1536"
    )
    embedding_send_dimensions: bool = Field(
        True,
        description="whether the API is asked for these dimensions; false where it takes no such wish: they "
        "are the model's own then",
    )
    embedding_batch: int = Field(128, ge=1, le=2048, description="texts in one request for embeddings")
    embedding_base_url: Url = Field(
        None,
        description="an OpenAI-compatible gateway for embeddings alone, or `offline` for the offline model's;"
        " unset: the chat model's, or OpenAI's where there is a key for embeddings",
    )
    embedding_api_key: Key = Field(None, description="key for it; unset: the chat model's")
    offline_embeddings: Literal["e5", "morphemes"] = Field(
        "e5",
        description="how the offline model embeds: `e5` by meaning (multilingual-e5-small, where there is a "
        "wheel of it), `morphemes` by words, a hundred times faster",
    )
    fallback_model: str | None = Field(
        None,
        description="chat model that answers while the one that is asked is down; unset: none, and runs fail "
        "meanwhile",
    )
    fallback_base_url: Url = Field(
        None,
        description="an OpenAI-compatible gateway for it alone; unset: the chat model's, or OpenAI's where "
        "there is a key for it",
    )
    fallback_api_key: Key = Field(None, description="key for it; unset: the chat model's")
    temperature: float | None = Field(
        None, ge=0, le=2, description="of the chat model; unset: the model's own, as reasoning models want"
    )
    models: dict[str, ModelChoice] = Field(
        {},
        description="a model and parameters of their own for a node, as JSON: "
        '`{"generate_tasks": {"model": "gpt-4.1", "temperature": 0.4}}`',
    )
    judge_model: str | None = Field(
        None, description="chat model that judges in evaluations; unset: the chat model"
    )
    structured_output: Literal["json_schema", "json_object"] = Field(
        "json_schema", description="how the model is held to a schema; some gateways know only `json_object`"
    )
    model_timeout_seconds: float = Field(90.0, gt=0, description="limit of one model call, seconds")
    model_retries: int = Field(2, ge=0, le=10, description="retries of a call on 429, time-out and 5xx")
    model_circuit_seconds: float = Field(
        10.0,
        gt=0,
        le=600,
        description="how long a model that is down is not asked, until one call tries it, seconds",
    )
    prompt_tokens: int = Field(
        88_000,
        ge=16_000,
        description="longest prompt, tokens by an upper estimate; postings beyond are left out",
    )
    output_retries: int = Field(2, ge=0, le=5, description="times an invalid answer goes back to the model")
    run_timeout_seconds: float = Field(300.0, gt=0, description="limit of one whole run, seconds")
    drain_seconds: float = Field(
        30.0, ge=0, description="how long a worker that is told to stop lets its runs go on, seconds"
    )
    novelty_similarity: float | None = Field(
        None,
        gt=0,
        le=1,
        description="cosine from which two subjects count as the same; unset: the embedding model's own",
    )
    concurrency: int = Field(
        4_000,
        ge=1,
        description="people in flight: runs at the same time, over all workers; what is more is told to come "
        "again. The model connections of a worker follow from it",
    )
    run_queue: int | None = Field(
        None,
        ge=1,
        description="runs of POST /runs that may wait for a place; what is more is told to come again; "
        "unset: as many as there are places",
    )
    runs_by: Literal["serve", "worker"] = Field(
        "serve",
        description="who does the runs of POST /runs: the workers of `checkerboard serve`, or those of "
        "`checkerboard worker` alone",
    )
    database_pool: int = Field(10, ge=1, description="PostgreSQL connections of one worker")
    database_timeout_seconds: float = Field(
        10.0, gt=0, description="limit of one statement of a request to PostgreSQL, seconds"
    )
    redis_pool: int = Field(50, ge=1, description="Redis connections of one worker")
    api_keys: SecretStr | None = Field(
        None, description="who may call: name:sha256 of each key, separated by commas; unset: everybody"
    )
    admin_keys: SecretStr | None = Field(
        None,
        description="who may change prompts and models: name:sha256, as above; unset: nobody",
    )
    hosts: Words = Field(
        (),
        description="names under which a service without API keys is asked; unset: those of this machine "
        "alone, at loopback; `*`: any",
    )
    cors_origins: Words = Field(
        (),
        description="origins (`https://app.example.com`) whose pages may call; `*`, with API keys only: all",
    )
    visitors: bool = Field(
        False,
        description="whether people without a key may use the pages where API keys or hosts are set; unset: "
        "on this machine alone",
    )
    key_requests_per_minute: int | None = Field(
        None, ge=0, description="limit of a key that has none of its own: requests; unset or 0: none"
    )
    key_runs_at_once: int | None = Field(
        None, ge=0, description="the same: runs in flight, those that wait among them; unset or 0: none"
    )
    key_tokens_per_day: int | None = Field(
        None, ge=0, description="the same: the model's tokens; unset or 0: none"
    )
    key_usd_per_month: Dollars = Field(
        None, description="the same: what the model costs, in USD; unset or 0: none"
    )
    visitor_requests_per_minute: int | None = Field(
        None,
        ge=0,
        description="limit of an address from which people come without a key: requests; 0: none; unset: 300 "
        "where API keys or hosts are set, none on this machine alone",
    )
    visitor_runs_at_once: int | None = Field(
        None, ge=0, description="the same: runs in flight; 0: none; unset: 100, or none, as above"
    )
    visitor_tokens_per_day: int | None = Field(
        None, ge=0, description="the same: the model's tokens; unset or 0: none"
    )
    visitor_usd_per_month: Dollars = Field(
        None, description="the same: what the model costs, in USD; unset or 0: none"
    )
    trusted_proxies: Proxies = Field(
        ("127.0.0.1", "::1"),
        description="addresses and networks (CIDR) of proxies that are believed in `X-Forwarded-For` and "
        "`X-Forwarded-Proto`; `none`: nobody",
    )
    cookie_secret: Annotated[SecretStr | None, BeforeValidator(_stripped), AfterValidator(_secret)] = Field(
        None,
        description="signs cookies of visitors and links that show a session; unset: made once, and kept in "
        "PostgreSQL",
    )
    kept_days: float = Field(30, gt=0, le=3650, description="life of a project that was kept, days")
    log_format: Literal["console", "json"] = Field(
        "console", description="lines of the log: for people, or an object of JSON each"
    )
    langsmith_api_key: Key = Field(
        None,
        validation_alias=AliasChoices("LANGSMITH_API_KEY", "langsmith_api_key"),
        description="key for LangSmith: its prompt hub and evaluations",
    )
    langsmith_endpoint: str | None = Field(
        None,
        validation_alias=AliasChoices("LANGSMITH_ENDPOINT", "langsmith_endpoint"),
        description="where LangSmith's API is; unset: its cloud",
    )
    hub_prompts: Words = Field(
        (),
        description="names of the prompts in LangSmith's hub: a pattern such as "
        "`checkerboard-{purpose}-{language}`, or `filter_jobs.ko=name`, each with a `:tag` if you like; "
        "what is not named is bundled",
    )
    session_ttl_minutes: float = Field(60, gt=0, description="life of an unused session, minutes")
    cache_megabytes: int = Field(
        64, ge=0, description="Redis memory for the cache of searches, over all workers; 0: nothing is cached"
    )
    parsers: Words = Field(
        ("upstage", "local"),
        description="the order in which parsers of images are asked: `upstage`, `local`, `vision`; "
        "the next is asked when one cannot or is unsure",
    )
    parser_confidence: float = Field(
        0.6,
        ge=0,
        le=1,
        description="confidence below which the next parser is asked and a document is flagged",
    )
    parser_processes: int | None = Field(
        None, ge=1, description="processes of the local parser; unset: one a core"
    )
    upstage_api_key: Key = Field(
        None,
        validation_alias=AliasChoices("UPSTAGE_API_KEY", "upstage_api_key"),
        description="key for Upstage Document Parse; unset: it is passed over",
    )
    upstage_base_url: str = Field(
        "https://api.upstage.ai/v1",
        validation_alias=AliasChoices("UPSTAGE_BASE_URL", "upstage_base_url"),
        description="where Upstage's API is",
    )
    upstage_per_second: float = Field(2.0, gt=0, description="requests to Upstage, per second")
    vision_model: str | None = Field(
        None, description="chat model that reads images, at the model's API; unset: it is passed over"
    )
    tessdata: Path | None = Field(
        None, description="folder of Tesseract's data (kor, eng, Hangul); unset: the usual places"
    )
    chat_per_second: float = Field(20.0, gt=0, description="chat calls of ingest, per second")
    ingest_workers: int = Field(8, ge=1, le=256, description="documents that are tagged at the same time")
    ingest_attempts: int = Field(3, ge=1, description="tries of a stage before a document is set aside")
    sources: Words = Field((), description="what `ingest run` collects when no source is named")
    source_networks: Networks = Field(
        (),
        description="networks that are not public in which sources may be all the same, such as "
        "`10.1.0.0/16`; unset: none",
    )
    contact: str | None = Field(None, description="your e-mail or page, shown to the sites that sources read")
    jasoseol_permission: str | None = Field(
        None, description="who permitted you to collect 자소설닷컴, and when; unset: that source is off"
    )
    raw: Path | None = Field(
        None, description="folder of raw files, by content hash; unset: in CHECKERBOARD_HOME"
    )

    @model_validator(mode="after")
    def _check_gateways_have_keys(self) -> Settings:
        if self.openai_base_url is not None and self.openai_api_key is None:
            raise ValueError(
                "OPENAI_BASE_URL is set without OPENAI_API_KEY, so the offline model would answer. "
                "Where the gateway needs no key, set OPENAI_API_KEY to any word."
            )
        if self.embedding_base_url not in (None, OFFLINE) and self.embedding_api_key is None:
            raise ValueError(
                "CHECKERBOARD_EMBEDDING_BASE_URL is set without CHECKERBOARD_EMBEDDING_API_KEY, and "
                "OPENAI_API_KEY is not sent elsewhere. Where the gateway needs no key, set it to any word."
            )
        if self.embedding_base_url == OFFLINE and self.embedding_api_key is not None:
            raise ValueError(
                "CHECKERBOARD_EMBEDDING_BASE_URL is `offline` beside a CHECKERBOARD_EMBEDDING_API_KEY: unset "
                "one of them."
            )
        return self

    @model_validator(mode="after")
    def _check_fallback(self) -> Settings:
        own = (self.fallback_base_url, self.fallback_api_key)
        if self.fallback_model is None and own != (None, None):
            raise ValueError(
                "CHECKERBOARD_FALLBACK_BASE_URL and CHECKERBOARD_FALLBACK_API_KEY are of use only beside a "
                "CHECKERBOARD_FALLBACK_MODEL."
            )
        if self.fallback_model is not None and self.offline:
            raise ValueError(
                "CHECKERBOARD_FALLBACK_MODEL is set without OPENAI_API_KEY, so the offline model answers, "
                "which needs no other in its place."
            )
        if self.fallback_base_url == OFFLINE:
            raise ValueError(
                "CHECKERBOARD_FALLBACK_BASE_URL is `offline`, and rules are no answer in a model's place. "
                "Name the address of a gateway."
            )
        if self.fallback_base_url is not None and self.fallback_api_key is None:
            raise ValueError(
                "CHECKERBOARD_FALLBACK_BASE_URL is set without CHECKERBOARD_FALLBACK_API_KEY, and "
                "OPENAI_API_KEY is not sent elsewhere. Where the gateway needs no key, set it to any word."
            )
        return self

    @model_validator(mode="after")
    def _check_key_lists(self) -> Settings:
        callers, admins = (
            keys.get_secret_value() if keys else None for keys in (self.api_keys, self.admin_keys)
        )
        if callers is None:
            # Pydantic skips an empty variable, which would let everybody in.
            callers = os.environ.get("CHECKERBOARD_API_KEYS")
        parse_key_lists(callers, admins)
        return self

    @model_validator(mode="after")
    def _check_origins(self) -> Settings:
        if wrong := [origin for origin in self.cors_origins if not _ORIGIN.fullmatch(origin)]:
            raise ValueError(
                f"CHECKERBOARD_CORS_ORIGINS: {wrong[0]!r} is no origin. One is a scheme and a host, such as "
                "https://app.example.com, without a path or a last slash."
            )
        if "*" in self.cors_origins and self.api_keys is None:
            raise ValueError(
                "CHECKERBOARD_CORS_ORIGINS=* lets every web page call, so it needs CHECKERBOARD_API_KEYS."
            )
        return self

    @property
    def offline(self) -> bool:
        """Whether the offline model answers, because there is no key. Embeddings are set separately."""
        return self.openai_api_key is None

    @property
    def embeddings_offline(self) -> bool:
        """Whether the offline model embeds: where it answers too, or where the settings say so."""
        return self.embedding_api_key is None and (self.offline or self.embedding_base_url is not None)


def variable(field: str) -> str:
    """Returns the name of the environment variable that a field of `Settings` is read from."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"CHECKERBOARD_{field.upper()}"


def offline_notice(settings: Settings) -> str | None:
    """Returns what the offline model does, in a sentence; None where it is not used."""
    if settings.offline and settings.embeddings_offline:
        return "offline: no OPENAI_API_KEY, so the rule-based offline model answers and embeds"
    if settings.offline:
        return (
            "offline: no OPENAI_API_KEY, so the rule-based offline model answers; "
            f"{settings.embedding_model} embeds"
        )
    if settings.embeddings_offline:
        return (
            "the offline model embeds, as CHECKERBOARD_EMBEDDING_BASE_URL asks; "
            f"{settings.chat_model} answers"
        )
    return None
