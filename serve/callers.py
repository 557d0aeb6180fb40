"""Who is calling: API keys, and what a request carries beside its body."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from contextvars import ContextVar

from fastapi import Request

from graph.sessions import ANYONE, Caller
from tools.errors import InvalidRequestError, UnauthorizedError

MAX_IDEMPOTENCY_KEY = 200
_NAME = re.compile(r"[\w.@:-]+")
_HASH = re.compile(r"[0-9a-f]{64}")

current: ContextVar[Caller] = ContextVar("caller", default=ANYONE)
"""The caller of the request that is being answered, for LangServe's runnables, which see no request."""


class ApiKeys:
    """The keys that may call, by the hash of each. With none configured everybody may."""

    def __init__(self, configured: str | None) -> None:
        """Reads `name:sha256,name:sha256,…`; a hash is 64 hexadecimal digits.

        Raises:
            ValueError: an entry has another form, or a name or a key stands twice.
        """
        entries = [entry.strip() for entry in (configured or "").split(",") if entry.strip()]
        self._names: dict[str, str] = {}
        for entry in entries:
            name, _, digest = (part.strip() for part in entry.rpartition(":"))
            known = name in self._names.values() or digest.lower() in self._names
            if known or not _NAME.fullmatch(name) or not _HASH.fullmatch(digest.lower()):
                raise ValueError(
                    "CHECKERBOARD_API_KEYS is a list of name:sha256, each name once, each key once"
                )
            self._names[digest.lower()] = name

    def owner(self, headers: Mapping[str, str]) -> str:
        """Returns the name of the key that came with a request, or the empty name where none is needed.

        Raises:
            UnauthorizedError: no key came, or one that is not configured.
        """
        if not self._names:
            return ANYONE.owner
        scheme, _, key = headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        if scheme.lower() == "bearer":
            for known, name in self._names.items():
                if hmac.compare_digest(known, digest):
                    return name
        raise UnauthorizedError


def caller_of(request: Request) -> Caller:
    """Returns who calls, and makes it known to what runs for this request.

    Raises:
        UnauthorizedError: no valid key came.
        InvalidRequestError: the Idempotency-Key is empty or too long.
    """
    keys: ApiKeys = request.app.state.api_keys
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        problem = f"has 1 to {MAX_IDEMPOTENCY_KEY} characters"
        raise InvalidRequestError(fields=[{"field": "Idempotency-Key", "problem": problem}])
    caller = Caller(keys.owner(request.headers), key)
    current.set(caller)
    return caller
