"""The one HTTP client under every model call of a process."""

from __future__ import annotations

import functools
from typing import Any

import httpx2
import openai
from pydantic import SecretStr

from tools.proxies import proxy_for
from tools.settings import Settings

OPENAI_URL = "https://api.openai.com/v1"
"""Where the client goes that is given no other address."""
OFFLINE_CHAT_MODEL = "checkerboard-offline"
OFFLINE_EMBEDDING_MODEL = "checkerboard-offline-embedding"


def open_http_client(settings: Settings) -> Any:
    """Returns an httpx client over aiohttp: a sixth of the CPU of the default transport.

    Its connection limit is the worker's concurrency; a call that finds none free within ten
    seconds fails rather than queue for ever.

    Raises:
        SetupError: the environment names a proxy that cannot be used.
    """
    return openai.DefaultAioHttpClient(
        proxy=proxy_for(settings.openai_base_url or OPENAI_URL),
        # The proxy is chosen above; without this the client would look for others, and for those to be
        # trusted it is told here instead.
        trust_env=False,
        verify=httpx2.create_ssl_context(),
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
        "http_client": _never_asked(),
        "timeout": settings.model_timeout_seconds,
        "max_retries": settings.model_retries,
    }


@functools.cache
def _never_asked() -> httpx2.Client:
    """The synchronous client that LangChain would make for itself beside ours, and never asks: making it, it
    fails on proxies that it does not know."""
    return httpx2.Client(trust_env=False)


def chat_model_name(settings: Settings) -> str:
    """The chat model that answers: the configured one, or the offline model."""
    return OFFLINE_CHAT_MODEL if settings.offline else settings.chat_model


def embedding_model_name(settings: Settings) -> str:
    """The model that embeds: the configured one, or the offline model."""
    return OFFLINE_EMBEDDING_MODEL if settings.offline else settings.embedding_model
