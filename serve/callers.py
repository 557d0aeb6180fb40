"""Who is calling: API keys before all else, then people without one (`serve/visitors.py`); and what a request
carries beside its body."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from fastapi import Request
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.sessions.sessions import ANYONE, Caller
from serve.errors import error_response
from serve.visitors import find_person, private
from tools.core.api_keys import parse_key_lists
from tools.core.errors import ForbiddenError, InvalidRequestError, ServiceError, UnauthorizedError

MAX_IDEMPOTENCY_KEY = 200
PUBLIC_PATHS = (
    "/", "/search", "/healthz", "/readyz", "/docs", "/openapi.json", "/playground", "/playground/",
)  # fmt: skip
"""Paths that need no key: health, and the pages, which ask for a key themselves."""
PUBLIC_FOLDERS = ("/static/", "/s/", "/k/")
"""What the pages load, and those of a session and of a kept project."""
KEPT_FOLDER = "/kept/"
"""Whoever has the id of a kept project reads it without a key."""
PRIVATE_FOLDERS = ("/s/", "/k/", KEPT_FOLDER)
"""What no cache and no search engine may keep, whoever asks."""

BEARER = HTTPBearer(
    scheme_name="api_key",
    auto_error=False,
    description="A key of CHECKERBOARD_API_KEYS or CHECKERBOARD_ADMIN_KEYS. Where the operator has set none "
    "of the former, everybody may call.",
)
"""Says in the OpenAPI description where a key goes; `caller_of` and `admin_of` look at it."""


class ApiKeys:
    """The keys that may call, and those that may change what all callers get, by the hash of each."""

    def __init__(self, callers: str | None, admins: str | None = None) -> None:
        """Reads the keys of callers and of administrators. Without the former everybody may call; without the
        latter nobody may change anything.

        Raises:
            ValueError: as `parse_key_lists`.
        """
        self._callers, self._admins = parse_key_lists(callers, admins)

    @property
    def needed(self) -> bool:
        """Whether a caller needs a key."""
        return bool(self._callers)

    def owner(self, headers: Mapping[str, str]) -> str:
        """Returns the name of the key that came with a request, or the empty name where none is needed.

        Raises:
            UnauthorizedError: no key came, or one that is not configured.
        """
        if not self._callers:
            return ANYONE.owner
        return _key_name({**self._callers, **self._admins}, headers)

    def admin(self, headers: Mapping[str, str]) -> str:
        """Returns the name of the administrator's key that came with a request.

        Raises:
            UnauthorizedError: no key came, or one that is not configured.
            ForbiddenError: the key is a caller's, or no administrator is configured.
        """
        keys = {**self._callers, **self._admins}
        name = _key_name(keys, headers) if keys else ANYONE.owner
        if name not in self._admins.values():
            raise ForbiddenError
        return name


class CallerMiddleware:
    """ASGI middleware: finds who calls. 401 for a request of nobody before anything of it is read, whether
    its path exists or not."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, *, visitors_welcome: bool) -> None:
        self._app = app
        self._keys = keys
        self._visitors_welcome = visitors_welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its `owner` in the state, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(PRIVATE_FOLDERS):
            send = private(send)
        if not _is_public(scope["method"], path):
            headers = Headers(scope=scope)
            try:
                person = self._person(scope, headers)
                owner = self._keys.owner(headers) if person is None else person
            except ServiceError as error:
                await error_response(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["owner"] = owner
            if person is not None:
                send = private(send)
        await self._app(scope, receive, send)

    def _person(self, scope: Scope, headers: Headers) -> str | None:
        if "authorization" in headers:
            return None
        everywhere = not self._keys.needed
        return find_person(scope, headers, welcome=self._visitors_welcome, everywhere=everywhere)


def _is_public(method: str, path: str) -> bool:
    return (
        path in PUBLIC_PATHS
        or path.startswith(PUBLIC_FOLDERS)
        or (method == "GET" and path.startswith(KEPT_FOLDER))
    )


def _key_name(names: Mapping[str, str], headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    digest = hashlib.sha256(key.strip().encode()).hexdigest()
    if scheme.lower() == "bearer":
        for known, name in names.items():
            if hmac.compare_digest(known, digest):
                return name
    raise UnauthorizedError


async def caller_of(request: Request) -> Caller:
    """Returns who calls.

    Raises:
        InvalidRequestError: the Idempotency-Key is empty or too long.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        problem = f"has 1 to {MAX_IDEMPOTENCY_KEY} characters"
        raise InvalidRequestError(fields=[{"field": "Idempotency-Key", "problem": problem}])
    return Caller(request.state.owner, key)


async def admin_of(request: Request) -> str:
    """Returns the name of the administrator's key that a request came with.

    Raises:
        UnauthorizedError: no valid key came.
        ForbiddenError: it is not an administrator's, or none is configured.
    """
    keys: ApiKeys = request.app.state.api_keys
    return keys.admin(request.headers)
