"""What the state of a request has of its caller's limits. It imports nothing of the service, so that errors
can be answered with it."""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response

HEADERS: Final = "rate_limit_headers"
"""The fields for its answer that say what is left."""
HOLDS: Final = "limit_holds"
"""What its runs hold (`serve/limits/holds.py`)."""


def headers_of(request: Request) -> dict[str, str]:
    """Returns the fields of an answer that say what is left; none where its caller has no limit."""
    headers: dict[str, str] = request.scope.get("state", {}).get(HEADERS, {})
    return headers


def with_headers(request: Request, response: Response) -> Response:
    """Returns an answer with these fields."""
    if headers := headers_of(request):
        response.headers.update(headers)
    return response
