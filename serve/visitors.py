"""People without a key: visitors of the pages, known by a signed cookie, and guests, who have a link.

Both are let in by what they ask for: a route that nobody has named here is not theirs. What they are answered
is kept by no cache and no search engine.
"""

from __future__ import annotations

import re

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.types import Message, Scope, Send

from graph.sessions import owners
from serve.origins import is_own_page
from serve.signatures import Signatures
from tools.core.errors import ForbiddenError, UnauthorizedError

COOKIE = "checkerboard_visitor"
TOKEN = "token"  # noqa: S105 - the parameter's name

Route = tuple[str, str]
"""A method, and a path as the OpenAPI description has it."""

VISITED: frozenset[Route] = frozenset(
    {
        ("POST", "/profiles/from-resume"),
        ("POST", "/runs"),
        ("GET", "/runs"),
        ("GET", "/runs/{run_id}"),
        ("DELETE", "/runs/{run_id}"),
        ("POST", "/runs/{run_id}/resume"),
        ("GET", "/runs/{run_id}/events"),
        ("GET", "/sessions/{session_id}"),
        ("GET", "/sessions/{session_id}/project.md"),
        ("DELETE", "/sessions/{session_id}"),
        ("POST", "/sessions/{session_id}/share"),
        ("GET", "/postings/search"),
        ("GET", "/postings/{posting_id}"),
        ("POST", "/kept"),
        ("GET", "/kept"),
        ("DELETE", "/kept/{kept_id}"),
    }
)
"""What the pages need. Where a service has keys and lets visitors in, they may do this and no more; without
keys they may do what everybody may."""
SHOWN: frozenset[Route] = frozenset(
    {
        ("GET", "/runs"),
        ("GET", "/runs/{run_id}"),
        ("GET", "/runs/{run_id}/events"),
        ("GET", "/sessions/{session_id}"),
        ("GET", "/sessions/{session_id}/project.md"),
        ("GET", "/postings/{posting_id}"),
    }
)
"""What a link opens. Each of these routes sees to it that it shows the link's session alone."""

PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "same-origin"}
"""Headers of what only some may see: an address with a token must not be told to another site either."""

_PARAMETER = re.compile(r"\{\w+\}")
_BAD_LINK = UnauthorizedError("This link was cut or changed. Ask whoever sent it for the whole of it.")
_FOREIGN_PAGE = ForbiddenError(
    "A visitor's cookie counts for requests of the service's own pages alone. Programs send an API key, or "
    "no cookie."
)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub("[^/]+", path))


_PATTERNS = [(method, path, _pattern(path)) for method, path in sorted(VISITED | SHOWN) if "{" in path]


def _route(scope: Scope) -> Route | None:
    """Returns which of the named routes a request asks for, one without parameters before the others."""
    method, path = scope["method"], scope["path"]
    if (method, path) in VISITED:
        return method, path
    found = (template for verb, template, pattern in _PATTERNS if verb == method and pattern.fullmatch(path))
    return next(((method, template) for template in found), None)


def find_person(scope: Scope, headers: Headers, *, welcome: bool, everywhere: bool) -> str | None:
    """Returns the owner that the sender of a request without a key is; None where they show nothing.

    Args:
        scope: of the request.
        headers: of the request.
        welcome: whether cookies of visitors count.
        everywhere: whether they do on every route, not on those of the pages alone.

    Raises:
        UnauthorizedError: the token of a link is not the service's.
        ForbiddenError: another site's page, or a program, sends a visitor's cookie.
    """
    has_token, has_cookie = b"token=" in scope["query_string"], welcome and "cookie" in headers
    if not (has_token or has_cookie):
        return None
    route = _route(scope)
    token = QueryParams(scope["query_string"]).get(TOKEN) if has_token and route in SHOWN else None
    if token is not None:
        session_id = _signatures(scope).linked_session(token)
        if session_id is None:
            raise _BAD_LINK
        return owners.guest(session_id)
    has_right = has_cookie and (everywhere or route in VISITED)
    visitor_id = _visitor_id(scope, headers) if has_right else None
    if visitor_id is None:
        return None
    if not is_own_page(scope["method"], headers):
        raise _FOREIGN_PAGE
    return owners.visitor(visitor_id)


def page_owner(request: Request, session_id: str | None = None) -> str | None:
    """Returns the owner that whoever opens a page is: the guest of a link to `session_id`, else the visitor
    of their cookie; None where they show nothing that counts."""
    signatures = _signatures(request.scope)
    token = request.query_params.get(TOKEN)
    if token is not None and session_id is not None:
        return owners.guest(session_id) if signatures.linked_session(token) == session_id else None
    visitor_id = _visitor_id(request.scope, request.headers) if request.app.state.visitors_welcome else None
    return None if visitor_id is None else owners.visitor(visitor_id)


def remember(request: Request, response: Response) -> None:
    """Gives whoever opens a page a visitor's cookie, or renews theirs, where visitors are welcome. Only pages
    do this: a program that asks the API would be somebody else each time."""
    if not request.app.state.visitors_welcome:
        return
    signatures = _signatures(request.scope)
    response.set_cookie(
        COOKIE,
        signatures.cookie(_visitor_id(request.scope, request.headers)),
        max_age=signatures.cookie_seconds,
        path=request.scope.get("root_path", "").rstrip("/") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    response.headers["Cache-Control"] = "private, no-cache"


def private(send: Send) -> Send:
    """Returns `send` with the headers of what only some may see."""

    async def send_private(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(PRIVATE)
        await send(message)

    return send_private


def _visitor_id(scope: Scope, headers: Headers) -> str | None:
    cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return _signatures(scope).visitor_id(cookie) if cookie else None


def _signatures(scope: Scope) -> Signatures:
    signatures: Signatures = scope["app"].state.app_context.signatures
    return signatures
