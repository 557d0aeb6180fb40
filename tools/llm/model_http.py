"""The HTTP client under every model call: what comes back is OpenAI's protocol, or an error of it.

Gateways bend the protocol. Here, before the client parses it, a completion is put into OpenAI's form, an
error that comes with status 200 gets the status it means, an answer that is none becomes an error, and what
waiting would not mend is marked so that the client does not try it again. What is plain passes as it is.
"""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import orjson

from tools.llm.model_answers import NoAnswerError, plain
from tools.llm.model_faults import UNREADABLE, fault, is_error

_BAD_GATEWAY = 502
_ERROR = 400


class ModelHttpClient(openai.DefaultAioHttpClient):
    """An httpx client whose answers are OpenAI's."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        """As httpx's."""
        response = await super().send(request, stream=stream, **more)
        if response.status_code >= _ERROR:
            return _judged(request, response.status_code, await response.aread(), response.headers)
        return response if stream else _read(request, response)


def _read(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """Returns an answer with a status of success as it is meant."""
    content, changed = response.content, False
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            # A byte order mark, half a surrogate pair, NaN.
            text = content.decode("utf-8-sig")
            body, changed = _whole(json.loads(text, parse_constant=lambda _: None)), True
        except (ValueError, RecursionError):
            return _unreadable(request, response, "it is no JSON")
    if is_error(body):
        return _judged(request, response.status_code, content, response.headers)
    if not isinstance(body, dict):
        return _unreadable(request, response, "it is no JSON object")
    if not request.url.path.endswith("/chat/completions"):
        return _answer(request, response, body) if changed else response
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("error"):
        return _judged(request, response.status_code, orjson.dumps(choices[0]["error"]), response.headers)
    try:
        completion = plain(body)
    except NoAnswerError as error:
        return _unreadable(request, response, str(error))
    same = completion is body and not changed and "json" in response.headers.get("content-type", "")
    return response if same else _answer(request, response, completion)


def _judged(request: httpx2.Request, status: int, content: bytes, headers: httpx2.Headers) -> httpx2.Response:
    """Returns an error with the status it means, marked where asking again would not help."""
    meant = fault(status, content, headers)
    written = _failed_generation(content)
    if written is not None:
        choice = {"message": {"role": "assistant", "content": written}, "finish_reason": "stop"}
        return httpx2.Response(200, json=plain({"choices": [choice]}), request=request)
    kept = {name: headers[name] for name in ("x-request-id", "retry-after-ms") if name in headers}
    kept["content-type"] = "application/json" if content.lstrip()[:1] in (b"{", b"[") else "text/plain"
    kept["x-should-retry"] = "true" if meant.again else "false"
    if meant.retry_after is not None:
        kept["retry-after"] = f"{meant.retry_after:g}"
    return httpx2.Response(meant.status, content=content, headers=kept, request=request)


def _failed_generation(content: bytes) -> str | None:
    """Returns what a model wrote where its API refuses the answer for being no valid JSON (Groq's)."""
    try:
        error = orjson.loads(content)["error"]
        written = error["failed_generation"] if error["code"] == "json_validate_failed" else None
    except (ValueError, LookupError, TypeError):
        return None
    return written if isinstance(written, str) and written else None


def _unreadable(request: httpx2.Request, response: httpx2.Response, why: str) -> httpx2.Response:
    error = {"error": {"code": UNREADABLE, "message": why}}
    return _judged(request, _BAD_GATEWAY, orjson.dumps(error), response.headers)


def _answer(request: httpx2.Request, response: httpx2.Response, body: dict[str, Any]) -> httpx2.Response:
    headers = {"content-type": "application/json"}
    content = orjson.dumps(body)
    return httpx2.Response(response.status_code, content=content, headers=headers, request=request)


def _whole(body: Any) -> Any:
    """Returns JSON without halves of surrogate pairs, for which UTF-8 has no place."""
    return orjson.loads(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
