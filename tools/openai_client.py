"""The one HTTP client under every model call of a process."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
from pydantic import SecretStr

from tools.settings import Settings

OFFLINE_CHAT_MODEL = "checkerboard-offline"
OFFLINE_EMBEDDING_MODEL = "checkerboard-offline-embedding"


def open_http_client(settings: Settings) -> Any:
    """Returns an httpx client over aiohttp: a sixth of the CPU of the default transport.

    Its connection limit is the worker's concurrency; a call that finds none free within ten
    seconds fails rather than queue for ever.
    """
    return openai.DefaultAioHttpClient(
        limits=httpx2.Limits(
            max_connections=settings.concurrency,
            max_keepalive_connections=settings.concurrency,
            keepalive_expiry=30,
        ),
        timeout=httpx2.Timeout(settings.model_timeout_seconds, connect=5, pool=10),
    )


def connection(settings: Settings, http_client: Any) -> dict[str, Any]:
    """Returns the arguments that ChatOpenAI and OpenAIEmbeddings share.

    Retries of 429, time-outs and 5xx happen in the client alone, which honours `Retry-After`; no
    layer above it retries them again.
    """
    return {
        "api_key": settings.openai_api_key or SecretStr("offline"),
        "base_url": settings.openai_base_url,
        "http_async_client": http_client,
        "timeout": settings.model_timeout_seconds,
        "max_retries": settings.model_retries,
    }


def chat_model_name(settings: Settings) -> str:
    """The chat model that answers: the configured one, or the offline model."""
    return OFFLINE_CHAT_MODEL if settings.offline else settings.chat_model


def embedding_model_name(settings: Settings) -> str:
    """The model that embeds: the configured one, or the offline model."""
    return OFFLINE_EMBEDDING_MODEL if settings.offline else settings.embedding_model
