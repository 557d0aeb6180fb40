"""The clients of the model's API: which models answer, where, by which key, and one HTTP client for all.

Gateways bend OpenAI's protocol. The HTTP client corrects that before OpenAI's client parses the answer: a
completion gets OpenAI's form, an error that comes with status 200 gets the status it means, an answer that is
none becomes an error, and an error that waiting would not mend is marked so that it is not retried. What is
plain passes as it is.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx2
import openai
import orjson
from pydantic import SecretStr

from tools.core.errors import SetupError
from tools.core.proxies import proxy_for
from tools.core.settings import Settings
from tools.llm.model_answers import NoAnswerError, as_openai_completion
from tools.llm.model_errors import UNREADABLE, Endpoint, is_error, read_error
from tools.llm.streamed_completion import StreamedCompletion

OPENAI_URL = "https://api.openai.com/v1"
"""Where the client goes by default."""
CALLS_AT_ONCE = 2
"""Calls that one run makes at the same time: for the next subjects, and for the project of a chosen one."""
CONNECT_SECONDS = 30.0
"""How long a connection may take: milliseconds, unless the API is down, or this process is late, which is no
fault of the API's."""
MERGE_SECONDS = 0.1
"""What a stream brings within this time is read at once: a reader sees no difference, and a provider sends
fifty events a second."""
_END_SECONDS = 0.5
"""How long the connection may stay open behind the last event, for it to be used again."""
OFFLINE_CHAT_MODEL = "checkerboard-offline"


def open_http_client(settings: Settings) -> Any:
    """Returns an httpx client over aiohttp: a sixth of the CPU of the default transport.

    Its connection limit is what all people in flight can need, so that no call waits for a connection: a run
    asks two questions at a time at most. Those who are too many wait before their run (`serve/admission.py`).

    Raises:
        SetupError: the environment names a proxy that cannot be used.
    """
    proxy, mounts = _proxies(settings)
    return ModelHttpClient(
        proxy=proxy,
        mounts=mounts,
        # Without this the client would look for proxies itself; the certificates, too, are chosen here.
        trust_env=False,
        verify=httpx2.create_ssl_context(),
        limits=httpx2.Limits(
            max_connections=CALLS_AT_ONCE * settings.concurrency,
            max_keepalive_connections=CALLS_AT_ONCE * settings.concurrency,
            keepalive_expiry=30,
        ),
        timeout=httpx2.Timeout(settings.model_timeout_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
    )


def _proxies(settings: Settings) -> tuple[str | None, dict[str, None]]:
    """Returns the proxy of the models' APIs, and those that are reached without it."""
    apis = (chat_endpoint, embedding_endpoint, fallback_endpoint)
    urls = [api(settings).base_url or OPENAI_URL for api in apis]
    proxies = {url: proxy_for(url) for url in urls}
    if len(used := set(proxies.values()) - {None}) > 1:
        raise SetupError(
            "HTTP_PROXY and HTTPS_PROXY name different proxies for the APIs of the chat model, the embedding "
            "model and the fallback. Name one proxy for all, or put the host of one API into NO_PROXY."
        )
    direct = [httpx2.URL(url) for url, proxy in proxies.items() if proxy is None]
    return next(iter(used), None), {f"all://{url.netloc.decode()}": None for url in direct}


def chat_endpoint(settings: Settings) -> Endpoint:
    """Returns where the chat model is."""
    return Endpoint(
        settings.openai_base_url,
        settings.openai_api_key or SecretStr("offline"),
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        "CHECKERBOARD_CHAT_MODEL",
    )


def embedding_endpoint(settings: Settings) -> Endpoint:
    """Returns where the embedding model is: at the chat model's endpoint, unless it has a key or an endpoint
    of its own. A key of its own goes to OpenAI where no endpoint is named, never to the chat model's."""
    model = "CHECKERBOARD_EMBEDDING_MODEL"
    base_url, key = settings.embedding_base_url, settings.embedding_api_key
    if base_url is None and key is None:
        return replace(chat_endpoint(settings), model_setting=model)
    return Endpoint(
        base_url or OPENAI_URL,
        key or SecretStr("offline"),
        "CHECKERBOARD_EMBEDDING_BASE_URL",
        "CHECKERBOARD_EMBEDDING_API_KEY",
        model,
    )


def fallback_endpoint(settings: Settings) -> Endpoint:
    """Returns where the fallback model is: at the chat model's endpoint, unless it has a key or an endpoint
    of its own; as `embedding_endpoint`."""
    model = "CHECKERBOARD_FALLBACK_MODEL"
    base_url, key = settings.fallback_base_url, settings.fallback_api_key
    if key is None:
        return replace(chat_endpoint(settings), model_setting=model)
    return Endpoint(
        base_url or OPENAI_URL,
        key,
        "CHECKERBOARD_FALLBACK_BASE_URL",
        "CHECKERBOARD_FALLBACK_API_KEY",
        model,
    )


def connection(settings: Settings, http_client: Any, endpoint: Endpoint) -> dict[str, Any]:
    """Returns the arguments with which ChatOpenAI reaches a chat model.

    `tools.llm.model_api` posts and retries, whether an answer is streamed or not: 429, time-outs and 5xx,
    honouring `Retry-After`. No layer above does, nor LangChain's own streaming, which would go round it.
    """
    return {
        "api_key": endpoint.api_key,
        "base_url": endpoint.base_url,
        "http_async_client": http_client,
        "http_client": _unused_client(),
        "timeout": settings.model_timeout_seconds,
        "max_retries": settings.model_retries,
        "disable_streaming": True,
    }


def open_client(settings: Settings, http_client: Any, endpoint: Endpoint) -> openai.AsyncOpenAI:
    """Returns OpenAI's own client for an endpoint; it retries as `connection` says."""
    return openai.AsyncOpenAI(
        api_key=endpoint.api_key.get_secret_value(),
        base_url=endpoint.base_url,
        http_client=http_client,
        timeout=settings.model_timeout_seconds,
        max_retries=settings.model_retries,
    )


@functools.cache
def _unused_client() -> httpx2.Client:
    """Returns a synchronous client, which LangChain wants and never uses. Its own would fail on proxies that
    it does not know."""
    return httpx2.Client(trust_env=False)


def chat_model_name(settings: Settings) -> str:
    """The chat model that answers: the configured one, or the offline model."""
    return OFFLINE_CHAT_MODEL if settings.offline else settings.chat_model


_BAD_GATEWAY = 502
_ERROR = 400


class ModelHttpClient(openai.DefaultAioHttpClient):
    """An httpx client whose answers have OpenAI's form."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        """As httpx's."""
        response = await super().send(request, stream=stream, **more)
        if response.status_code >= _ERROR:
            return _error(request, response.status_code, await response.aread(), response.headers)
        return response if stream else _corrected(request, response)

    async def send_streamed(self, request: httpx2.Request, heard: Callable[[str], None]) -> httpx2.Response:
        """Sends a request for a streamed completion; returns it whole, as `send` would. Meanwhile `heard` is
        called with all that the model has written so far, at most every MERGE_SECONDS.

        Raises:
            httpx2.RequestError: it could not be sent, or the stream broke off.
        """
        response = await self.send(request, stream=True)
        try:
            if response.status_code >= _ERROR:
                return response
            answer = await _read_stream(response, heard)
        finally:
            # Also where the call is cancelled: the model stops to write for nobody.
            await response.aclose()
        if not answer.is_whole:
            raise httpx2.RemoteProtocolError("the stream broke off", request=request)
        headers = {"content-type": "application/json"}
        whole = httpx2.Response(response.status_code, content=answer.body(), headers=headers, request=request)
        return _corrected(request, whole)


async def _read_stream(response: httpx2.Response, heard: Callable[[str], None]) -> StreamedCompletion:
    answer = StreamedCompletion()
    pieces = response.aiter_bytes()
    async for piece in pieces:
        answer.feed(piece)
        if text := answer.text:
            heard(text)
        if answer.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    async for _ in pieces:
                        pass
            return answer
        if not answer.is_whole:
            await _wait_unread(response)
    answer.close()
    return answer


async def _wait_unread(response: httpx2.Response) -> None:
    """Waits while nothing is read, so that what comes meanwhile is one read of the kernel's buffer: reading
    each event alone is more than half of what a stream costs."""
    socket = connection_of(response)
    if socket is None or socket.is_closing():
        await asyncio.sleep(MERGE_SECONDS)
        return
    socket.pause_reading()
    try:
        await asyncio.sleep(MERGE_SECONDS)
    finally:
        if not socket.is_closing():
            socket.resume_reading()


def connection_of(response: httpx2.Response) -> asyncio.ReadTransport | None:
    """Returns the connection that a streamed answer comes by; None where it has come. httpx shows it to
    nobody, so this looks under two wrappers; a test holds that it is found."""
    stream: Any = response.stream
    while stream is not None and not hasattr(stream, "_aiohttp_response"):
        stream = getattr(stream, "_stream", None)
    connection = stream and stream._aiohttp_response.connection
    return connection.transport if connection else None


def _corrected(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """Returns an answer with a status of success as it is meant."""
    content, changed = response.content, False
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            # A byte order mark, half a surrogate pair, NaN.
            text = content.decode("utf-8-sig")
            body, changed = _without_surrogates(json.loads(text, parse_constant=lambda _: None)), True
        except (ValueError, RecursionError):
            return _unreadable(request, response, "it is no JSON")
    if is_error(body):
        return _error(request, response.status_code, content, response.headers)
    if not isinstance(body, dict):
        return _unreadable(request, response, "it is no JSON object")
    if not request.url.path.endswith("/chat/completions"):
        return _answer(request, response, body) if changed else response
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("error"):
        return _error(request, response.status_code, orjson.dumps(choices[0]["error"]), response.headers)
    try:
        completion = as_openai_completion(body)
    except NoAnswerError as error:
        return _unreadable(request, response, str(error))
    same = completion is body and not changed and "json" in response.headers.get("content-type", "")
    return response if same else _answer(request, response, completion)


def _error(request: httpx2.Request, status: int, content: bytes, headers: httpx2.Headers) -> httpx2.Response:
    """Returns an error with the status it means, marked where asking again would not help."""
    meaning = read_error(status, content, headers)
    written = _failed_generation(content)
    if written is not None:
        choice = {"message": {"role": "assistant", "content": written}, "finish_reason": "stop"}
        completion = as_openai_completion({"choices": [choice]})
        return httpx2.Response(200, json=completion, request=request)
    passed = {name: headers[name] for name in ("x-request-id", "retry-after-ms") if name in headers}
    passed["content-type"] = "application/json" if content.lstrip()[:1] in (b"{", b"[") else "text/plain"
    passed["x-should-retry"] = "true" if meaning.retryable else "false"
    if meaning.retry_after is not None:
        passed["retry-after"] = f"{meaning.retry_after:g}"
    return httpx2.Response(meaning.status, content=content, headers=passed, request=request)


def _failed_generation(content: bytes) -> str | None:
    """Returns what a model wrote where its API refuses the answer because it is no valid JSON (Groq's)."""
    try:
        error = orjson.loads(content)["error"]
        written = error["failed_generation"] if error["code"] == "json_validate_failed" else None
    except (ValueError, LookupError, TypeError):
        return None
    return written if isinstance(written, str) and written else None


def _unreadable(request: httpx2.Request, response: httpx2.Response, why: str) -> httpx2.Response:
    error = {"error": {"code": UNREADABLE, "message": why}}
    return _error(request, _BAD_GATEWAY, orjson.dumps(error), response.headers)


def _answer(request: httpx2.Request, response: httpx2.Response, body: dict[str, Any]) -> httpx2.Response:
    headers = {"content-type": "application/json"}
    content = orjson.dumps(body)
    return httpx2.Response(response.status_code, content=content, headers=headers, request=request)


def _without_surrogates(body: Any) -> Any:
    """Returns JSON without halves of surrogate pairs, which UTF-8 cannot hold."""
    return orjson.loads(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
