"""Who is calling: API keys before all else, then people without one (`serve/visitors.py`); and what a request
carries beside its body."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.sessions.sessions import ANYONE, Caller
from serve.errors import error_response
from serve.keys.store import Limits, StoredKey
from serve.visitors import find_person, private
from tools.core.api_keys import parse_key_lists
from tools.core.errors import ForbiddenError, InvalidRequestError, ServiceError, UnauthorizedError

MAX_IDEMPOTENCY_KEY = 200
NO_LIMITS = Limits()
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
    description="A key that the operator gave out: of `checkerboard keys`, CHECKERBOARD_API_KEYS or "
    "CHECKERBOARD_ADMIN_KEYS. Where there is none, or of the last alone, everybody may call.",
)
"""Says in the OpenAPI description where a key goes; `caller_of` and `admin_of` look at it."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A key that counts."""

    name: str
    admin: bool
    key_id: int | None = None
    """Of a stored one."""
    ends_at: float = math.inf
    """By `time.monotonic`."""


class ApiKeys:
    """The keys that may call, and those that may change what all callers get, by the hash of each: those of
    the environment, and those that are stored (`serve/keys/`), which come and go while the service runs.

    Whether a caller needs one is fixed when the service starts: a key that is made later closes nothing, and
    when the last one is revoked, nobody may call.
    """

    def __init__(self, callers: str | None, admins: str | None = None) -> None:
        """Reads the environment's keys of callers and of administrators. Without the former everybody may
        call, unless `fix_need` says otherwise; without the latter, and a stored one, nobody may change
        anything.

        Raises:
            ValueError: as `parse_key_lists`.
        """
        named, administrators = parse_key_lists(callers, admins)
        self._needed = bool(named)
        self._configured = {
            **{digest: _Key(name, admin=False) for digest, name in named.items()},
            **{digest: _Key(name, admin=True) for digest, name in administrators.items()},
        }
        self._known = self._configured
        self._limits: dict[str, Limits] = {}
        self._used: dict[int, float] = {}

    @property
    def needed(self) -> bool:
        """Whether a caller needs a key."""
        return self._needed

    def fix_need(self, needed: bool) -> None:
        """Says whether a caller needs a key, once, when the service starts."""
        self._needed = needed

    def store(self, stored: Mapping[str, StoredKey], *, read_at: float) -> None:
        """Puts these in the place of the stored keys known so far. `read_at`: when they were, by
        `time.monotonic`; a key that ends does so without being read again."""
        known = {
            digest: _Key(
                key.name,
                key.admin,
                key.key_id,
                math.inf if key.seconds_left is None else read_at + key.seconds_left,
            )
            for digest, key in stored.items()
        }
        self._known = known | self._configured
        # Of a name that has two for a while, the newer counts.
        self._limits = {key.name: key.limits for key in sorted(stored.values(), key=lambda key: key.key_id)}

    def limits_of(self, owner: str) -> Limits:
        """Returns the limits of the key with this name, as it was made: those of the environment have none of
        their own."""
        return self._limits.get(owner, NO_LIMITS)

    def owner(self, headers: Mapping[str, str]) -> str:
        """Returns the name of the key that came with a request, or the empty name where none is needed.

        Raises:
            UnauthorizedError: no key came, or one that does not count.
        """
        if not self._needed:
            return ANYONE.owner
        return self._sent(headers).name

    def admin(self, headers: Mapping[str, str]) -> str:
        """Returns the name of the administrator's key that came with a request.

        Raises:
            UnauthorizedError: no key came, or one that does not count.
            ForbiddenError: the key is a caller's, or there is none at all.
        """
        if not (self._needed or self._known):
            raise ForbiddenError
        key = self._sent(headers)
        if not key.admin:
            raise ForbiddenError
        return key.name

    def take_used(self) -> dict[int, float]:
        """Returns the ids of the stored keys that came since it was asked last, each with when it did last,
        by `time.monotonic`."""
        used, self._used = self._used, {}
        return used

    def give_back_used(self, used: Mapping[int, float]) -> None:
        """Takes back what could not be written."""
        self._used = {**used, **self._used}

    def _sent(self, headers: Mapping[str, str]) -> _Key:
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(sent.strip().encode()).hexdigest()
        found: _Key | None = None
        # All are looked at, and each in constant time, so how long it takes tells nothing.
        for known, key in self._known.items():
            if hmac.compare_digest(known, digest):
                found = key
        if found is None or scheme.lower() != "bearer" or time.monotonic() >= found.ends_at:
            raise UnauthorizedError
        if found.key_id is not None:
            self._used[found.key_id] = time.monotonic()
        return found


class CallerMiddleware:
    """ASGI middleware: finds who calls. 401 for a request of nobody before anything of it is read, whether
    its path exists or not."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

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
        welcome = scope["app"].state.visitors_welcome
        return find_person(scope, headers, welcome=welcome, everywhere=not self._keys.needed)


def _is_public(method: str, path: str) -> bool:
    return (
        path in PUBLIC_PATHS
        or path.startswith(PUBLIC_FOLDERS)
        or (method == "GET" and path.startswith(KEPT_FOLDER))
    )


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
