"""The one place where errors become HTTP answers: `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tools.errors import CheckerboardError, InvalidProfileError, InvalidRequestError

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""What stands for an answer where the client has left; nobody receives it."""


class Problem(BaseModel):
    """What went wrong: a code for programs, a sentence for people, and the facts."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorBody(BaseModel):
    """The body of every answer that is not 2xx."""

    error: Problem


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": description}
    for status, description in (
        (401, "no valid API key"),
        (403, "not an administrator's key"),
        (404, "no such session, posting or prompt"),
        (422, "the request is not valid; `details.fields` names each field, `details.prompts` each prompt"),
        (502, "the model's answer stayed invalid"),
        (503, "a dependency does not answer, or no postings are loaded"),
    )
}
"""For the OpenAPI description of every route."""


class _Json(JSONResponse):
    """JSON in which half a surrogate pair, which an error may echo and UTF-8 has no place for, is escaped."""

    def render(self, content: Any) -> bytes:
        """Returns the body."""
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    app.add_exception_handler(CheckerboardError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _unforeseen)


def error_response(error: CheckerboardError) -> JSONResponse:
    """Returns the HTTP answer of an error."""
    return _Json({"error": error.as_json()}, error.status)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CheckerboardError)  # noqa: S101 - registered for it alone
    if type(error) is CheckerboardError:
        logger.error("unforeseen error", exc_info=error.__cause__ or error)
    return error_response(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    fields = [_field(item) for item in error.errors()]
    about_profile = any(field["field"].startswith("profile") for field in fields)
    kind = InvalidProfileError if about_profile else InvalidRequestError
    named = ", ".join(dict.fromkeys(field["field"] for field in fields))
    return error_response(kind(f"Not valid: {named}. `details.fields` says why.", fields=fields))


def _field(item: Any) -> dict[str, str]:
    if isinstance(item, str):  # LangServe's word for a body that is not JSON
        return {"field": "body", "problem": item}
    # Where a value came from (`body`, `query`, LangServe's `input`) is no field of the caller's.
    path = [str(part) for part in item["loc"] if part not in ("body", "query", "path", "input")]
    return {"field": ".".join(path) or "body", "problem": str(item["msg"])}


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    body = {"error": {"code": code, "message": str(error.detail), "details": {}}}
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _left(request: Request, _: Exception) -> Response:
    logger.info("a client left before its request had arrived", extra={"path": request.url.path})
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
    logger.error("unforeseen error", exc_info=error)
    return error_response(CheckerboardError())
