"""Who is calling: API keys, and what a request carries beside its body."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from fastapi import Request

from graph.sessions import ANYONE, Caller
from tools.errors import ForbiddenError, InvalidRequestError, UnauthorizedError

MAX_IDEMPOTENCY_KEY = 200
_NAME = re.compile(r"[\w.@:-]+")
_HASH = re.compile(r"[0-9a-f]{64}")


class ApiKeys:
    """The keys that may call, and those that may change what all callers get, by the hash of each."""

    def __init__(self, callers: str | None, admins: str | None = None) -> None:
        """Reads `name:sha256,name:sha256,…` of callers and of administrators; a hash is 64 hexadecimal
        digits. Without callers everybody may call; without administrators nobody may change a thing.

        Raises:
            ValueError: an entry has another form, or a name or a key stands twice.
        """
        self._callers = _names("CHECKERBOARD_API_KEYS", callers)
        self._admins = _names("CHECKERBOARD_ADMIN_KEYS", admins)
        shared = set(self._callers.values()) & set(self._admins.values())
        if shared or set(self._callers) & set(self._admins):
            raise ValueError(
                "CHECKERBOARD_API_KEYS and CHECKERBOARD_ADMIN_KEYS share a name or a key; an administrator's "
                "key may call as it is"
            )

    def owner(self, headers: Mapping[str, str]) -> str:
        """Returns the name of the key that came with a request, or the empty name where none is needed.

        Raises:
            UnauthorizedError: no key came, or one that is not configured.
        """
        if not self._callers:
            return ANYONE.owner
        return _holder({**self._callers, **self._admins}, headers)

    def admin(self, headers: Mapping[str, str]) -> str:
        """Returns the name of the administrator's key that came with a request.

        Raises:
            UnauthorizedError: no key came, or one that is not configured.
            ForbiddenError: the key is a caller's, or no administrator is configured.
        """
        keys = {**self._callers, **self._admins}
        name = _holder(keys, headers) if keys else ANYONE.owner
        if name not in self._admins.values():
            raise ForbiddenError
        return name


def _names(setting: str, configured: str | None) -> dict[str, str]:
    """Returns the names of keys by their hashes."""
    names: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in (configured or "").split(","))):
        name, _, digest = (part.strip() for part in entry.rpartition(":"))
        known = name in names.values() or digest.lower() in names
        if known or not _NAME.fullmatch(name) or not _HASH.fullmatch(digest.lower()):
            raise ValueError(f"{setting} is a list of name:sha256, each name once, each key once")
        names[digest.lower()] = name
    return names


def _holder(names: Mapping[str, str], headers: Mapping[str, str]) -> str:
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
        UnauthorizedError: no valid key came.
        InvalidRequestError: the Idempotency-Key is empty or too long.
    """
    keys: ApiKeys = request.app.state.api_keys
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        problem = f"has 1 to {MAX_IDEMPOTENCY_KEY} characters"
        raise InvalidRequestError(fields=[{"field": "Idempotency-Key", "problem": problem}])
    return Caller(keys.owner(request.headers), key)


async def admin_of(request: Request) -> str:
    """Returns the name of the administrator's key that a request came with.

    Raises:
        UnauthorizedError: no valid key came.
        ForbiddenError: it is not an administrator's, or none is configured.
    """
    keys: ApiKeys = request.app.state.api_keys
    return keys.admin(request.headers)
