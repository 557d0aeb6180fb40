"""Who is calling: API keys, and what a request carries beside its body."""

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
from tools.core.api_keys import parse_key_lists
from tools.core.errors import ForbiddenError, InvalidRequestError, UnauthorizedError

MAX_IDEMPOTENCY_KEY = 200
PUBLIC_PATHS = ("/", "/healthz", "/readyz", "/docs", "/openapi.json", "/playground", "/playground/")
"""Paths that need no key: health, and the pages, which ask for a key themselves."""
PUBLIC_FOLDER = "/static/"
"""What the pages load."""

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


class ApiKeyMiddleware:
    """ASGI middleware: 401 for a request without a key before anything of it is read, whether its path exists
    or not."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its `owner` in the state, or refuses it."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path not in PUBLIC_PATHS and not path.startswith(PUBLIC_FOLDER):
            try:
                scope.setdefault("state", {})["owner"] = self._keys.owner(Headers(scope=scope))
            except UnauthorizedError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


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
