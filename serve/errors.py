"""Errors as HTTP answers, `{"error": {"code", "message", "details"}}`. Routes raise; they catch nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Mount

from graph.errors import to_service_error
from serve.limits.state import with_headers
from tools.core import errors
from tools.core.errors import InternalError, InvalidProfileError, InvalidRequestError, ServiceError

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""The status of an answer to a client that has left; it is not sent."""


class FieldProblem(BaseModel):
    """A field that is not valid, and what is wrong with it."""

    field: str = Field(
        description="its place, `profile.skills.0`, in a batch `inputs.1.profile.skills.0`; the name of a "
        "parameter or header; or `body`"
    )
    problem: str


class Details(BaseModel):
    """The facts for a program. Which there are, hangs on the code."""

    model_config = ConfigDict(extra="allow")

    fields: list[FieldProblem] | None = Field(None, description="what is not valid")
    session_id: str | None = Field(None, description="the session, which can be asked again")


class Problem(BaseModel):
    """What went wrong: a code for programs, a sentence for people, and the facts."""

    code: str
    message: str
    details: Details


class ErrorBody(BaseModel):
    """The body of every answer that is not 2xx."""

    error: Problem


_MEANING = {
    401: "no valid API key",
    403: "not an administrator's key; without keys also a foreign host, or a page of another site",
    404: "no such session, run, posting or prompt",
    408: "the request did not arrive in time",
    409: "the session is at work on another request",
    413: "the body is too large",
    415: "the body is not declared to be JSON",
    422: "the request is not valid; `details.fields` names each field, `details.prompts` each prompt",
    429: "the caller has used what it may for now: `details.limit` says of what, `Retry-After` how long",
    500: "nobody foresaw it; the log has its traceback",
    502: "the model's answer stayed invalid",
    503: "a dependency does not answer, no postings are loaded, all places for runs are taken "
    "(`Retry-After`), or the worker is stopping",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the `responses` of a route that may fail with `statuses`."""
    # Named with its media type: a stream's errors are JSON all the same.
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {status: {"description": _MEANING[status], "content": content} for status in sorted(statuses)}


class _Json(JSONResponse):
    """JSON in which half a surrogate pair, which an error may echo and UTF-8 has no place for, is escaped."""

    def render(self, content: Any) -> bytes:
        """Returns the body."""
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    for kind in (ServiceError, psycopg.Error, RedisError, Exception):
        app.add_exception_handler(kind, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _client_left)


def error_response(error: ServiceError, status: int | None = None) -> JSONResponse:
    """Returns the HTTP answer of an error, with its own status unless another is given."""
    headers = {}
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        # RFC 9110 wants a 401 to say how one proves who one is.
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return _Json({"error": error.as_json()}, status or error.http_status, headers)


async def _failed(request: Request, error: Exception) -> Response:
    failure = to_service_error(error)
    # A run has logged the error that ended it, and raises it as an InternalError.
    if isinstance(failure, InternalError) and failure is not error:
        logger.error("unforeseen error", exc_info=error)
    return with_headers(request, error_response(failure))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    places = [_place(item["loc"]) for item in error.errors()]
    fields: list[errors.FieldProblem] = [
        {"field": ".".join(place) or "body", "problem": str(item["msg"])}
        for place, item in zip(places, error.errors(), strict=True)
    ]
    kind = InvalidProfileError if any(_in_profile(place) for place in places) else InvalidRequestError
    named = ", ".join(dict.fromkeys(field["field"] for field in fields))
    return error_response(kind(f"Not valid: {named}. `details.fields` says why.", fields=fields))


def _place(loc: Sequence[str | int]) -> list[str]:
    """Returns the way to a field from where the caller sees it: inside `input`, in an item of `inputs`, or
    by the parameter's own name."""
    source, *place = (str(part) for part in loc)
    if source == "body" and place[1:2] == ["input"] and place[0] in ("generate", "regenerate"):
        del place[0]  # which of the two bodies of POST /runs it is
    return place[1:] if source == "body" and place[:1] == ["input"] else place


def _in_profile(place: list[str]) -> bool:
    # Of a plain body, of an AG-UI client's state or its forwardedProps, of an input of a batch.
    inside = place[2:] if place[:1] == ["inputs"] else place[1:]
    return "profile" in (*place[:1], *inside[:1])


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    if error.status_code == HTTPStatus.BAD_REQUEST:
        # FastAPI's own, where its parser of JSON gives up on what ours has read: a thousand levels.
        problem = "cannot be read: it is nested too deep"
        return error_response(InvalidRequestError(fields=[{"field": "body", "problem": problem}]))
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    body = {"error": {"code": code, "message": str(error.detail), "details": {}}}
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
        headers["Allow"] = ", ".join(methods)
    return JSONResponse(body, error.status_code, headers)


def _methods(request: Request) -> list[str]:
    """Returns the methods that the routes of the request's path take together; Starlette names those of the
    first of them alone. None for a mounted folder, which takes every method to refuse it itself."""
    asked = {key: request.scope[key] for key in ("type", "path", "root_path", "headers")}
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _client_left(request: Request, _: Exception) -> Response:
    logger.info("a client left before its request had arrived", extra={"path": request.url.path})
    return Response(status_code=CLIENT_CLOSED_REQUEST)
