"""Posting to a model's API: JSON in, JSON out, and the only layer that asks again.

OpenAI's own client walks through each body by its types, builds each request from options and each answer as
a tree of models: four fifths of a call's CPU, for what is plain JSON on both ends here. It still gives the
headers, and the errors are its own, so that whoever catches them need not know who raised them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import orjson

from tools.core.settings import Settings
from tools.llm.circuit_breaker import CircuitBreaker
from tools.llm.model_errors import Endpoint, is_down, read_error
from tools.llm.openai_client import open_client
from tools.llm.pauses import LONGEST_WAIT, Pauses, pause_name

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
"""Seconds before the first and before a late try, where the API does not say: as OpenAI's client has them."""
_ERROR, _TOO_MANY = 400, 429
_REFUSED = frozenset({400, 404, 405, 415, 422, 501})
_OF_STREAMS = re.compile(rb"\b(?:stream|streaming|stream_options|include_usage)\b", re.IGNORECASE)

Heard = Callable[[str], None]
"""Is told, while a model writes, all that it has written of its answer so far: nothing when it begins, also
when it begins anew because it broke off."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A model that is asked here."""

    circuit: CircuitBreaker
    pause: str


class ModelApi:
    """An endpoint. Retries 429, time-outs and 5xx, and honours `Retry-After`; no layer above it does. A model
    that is down is not asked for a while (`tools.llm.circuit_breaker`)."""

    def __init__(
        self, settings: Settings, http_client: Any, endpoint: Endpoint, pauses: Pauses | None = None
    ) -> None:
        """`pauses` are those of the process; without them this endpoint has its own."""
        client = open_client(settings, http_client, endpoint)
        self._endpoint = endpoint
        self._pauses = pauses or Pauses()
        self._open_seconds = settings.model_circuit_seconds
        self._asked: dict[str, _Asked] = {}
        self._http = http_client
        self._base_url = str(client.base_url).rstrip("/")
        self._headers = httpx2.Headers(
            {
                name: value
                for name, value in {**client.default_headers, **client.auth_headers}.items()
                # Those describe this machine to OpenAI, and are a third of the work of a request.
                if isinstance(value, str) and not name.lower().startswith("x-stainless-")
            }
        )
        self._retries = settings.model_retries
        self._timeout = httpx2.Timeout(settings.model_timeout_seconds).as_dict()
        self._urls: dict[str, httpx2.URL] = {}
        self._streaming: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        """What asks for a stream, as far as the API takes it."""

    async def post(self, route: str, body: dict[str, Any], heard: Heard | None = None) -> Any:
        """Returns the JSON that the API answers to `body` at `route` (`/chat/completions`).

        With `heard` a streamed answer is asked for, and what the model has written so far is told to it. It
        is returned whole all the same.

        Raises:
            NotAskedError: the model is down, or its API has asked for too long a pause.
            openai.APIStatusError, openai.APITimeoutError, openai.APIConnectionError: the last try failed.
        """
        asked = self._asked.get(body["model"]) or self._model(body["model"])
        circuit, failed, waited = asked.circuit, 0, 0.0
        while True:
            waited += await self._pauses.wait(asked.pause, LONGEST_WAIT - waited)
            streaming = self._streaming if heard is not None else {}
            request = self._request(route, orjson.dumps({**body, **streaming}))
            last, wait = failed == self._retries, _backoff(failed)
            try:
                response = await self._try(circuit, request, heard if streaming else None)
            except httpx2.RequestError as error:
                if last:
                    late = isinstance(error, httpx2.TimeoutException)
                    kind = openai.APITimeoutError if late else openai.APIConnectionError
                    raise kind(request=request) from error
            else:
                if response.status_code < _ERROR:
                    return orjson.loads(response.content)
                if streaming and self._refuses(response, streaming):
                    continue
                asked_for = _retry_after(response.headers)
                if asked_for and response.status_code == _TOO_MANY:
                    await self._pauses.begin(asked.pause, circuit.model, asked_for)
                    wait = 0.0  # with all others, before the next try
                elif asked_for:
                    wait = asked_for
                retryable = response.headers.get("x-should-retry") == "true"
                if last or not retryable or asked_for > LONGEST_WAIT:
                    message = f"the API answered {response.status_code}"
                    raise openai.APIStatusError(message, response=response, body=None)
            await asyncio.sleep(wait)
            failed += 1

    def circuits(self) -> dict[str, CircuitBreaker]:
        """Returns the circuits of the models that were asked here, by the models' names."""
        return {model: asked.circuit for model, asked in self._asked.items()}

    def _model(self, model: str) -> _Asked:
        circuit = CircuitBreaker(model, self._open_seconds)
        asked = self._asked[model] = _Asked(circuit, pause_name(self._endpoint, model))
        return asked

    async def _try(
        self, circuit: CircuitBreaker, request: httpx2.Request, heard: Heard | None
    ) -> httpx2.Response:
        """Sends a request once, and tells the circuit what became of it."""
        trial, began = circuit.enter(), time.monotonic()
        try:
            if heard is None:
                response: httpx2.Response = await self._http.send(request)
            else:
                heard("")
                response = await self._http.send_streamed(request, heard)
        except httpx2.TransportError as error:
            if isinstance(error, httpx2.PoolTimeout):  # of this process's own connections
                circuit.gave_up(trial)
            else:
                late = isinstance(error, httpx2.TimeoutException)
                circuit.failed(trial, began if late else time.monotonic())
            raise
        except BaseException:
            circuit.gave_up(trial)
            raise
        if response.status_code >= _ERROR and _says_down(response):
            circuit.failed(trial, time.monotonic())
        else:
            circuit.answered(trial)
        return response

    def _refuses(self, response: httpx2.Response, streaming: dict[str, Any]) -> bool:
        """Whether the API refused a request for what makes it a streamed one. That is left out from now on:
        first the wish for usage, then the stream."""
        if response.status_code not in _REFUSED or _OF_STREAMS.search(response.content) is None:
            return False
        if streaming is self._streaming:  # else another call has found out already
            *kept, left_out = streaming
            self._streaming = {name: streaming[name] for name in kept}
            logger.warning("the model's API refuses a parameter", extra={"parameter": left_out})
        return True

    def _request(self, route: str, content: bytes) -> httpx2.Request:
        url = self._urls.get(route)
        if url is None:
            url = self._urls[route] = httpx2.URL(self._base_url + route)
        return httpx2.Request(
            "POST", url, headers=self._headers, content=content, extensions={"timeout": self._timeout}
        )


def _says_down(response: httpx2.Response) -> bool:
    meaning = read_error(response.status_code, response.content, response.headers)
    return is_down(meaning.cause, meaning.status)


def _backoff(failed: int) -> float:
    """Returns the seconds to wait after so many failed tries and one more, where the API does not say.
    Spread, so that those who failed together do not come back together."""
    return min(_FIRST_PAUSE * 2.0**failed, _LONGEST_PAUSE) * random.uniform(0.75, 1)  # noqa: S311


def _retry_after(headers: httpx2.Headers) -> float:
    """Returns the seconds that an answer with an error asks to be waited, 0 where it does not say. The HTTP
    client has made one number of all the ways to say it."""
    seconds = float(headers.get("retry-after", 0))
    return seconds if math.isfinite(seconds) else 0.0
