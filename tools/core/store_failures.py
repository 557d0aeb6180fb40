"""What the errors of PostgreSQL and Redis mean, in words for whoever runs them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import psycopg
from redis import exceptions as redis_errors

from tools.core.errors import StoreUnavailableError

PROBE_SECONDS = 10.0
"""How long a store may take to answer a probe."""

_REDIS = {
    "OOM": ("memory", "Redis is full. The operator has to give it more memory."),
    "MISCONF": (
        "disk",
        "Redis cannot save to its disk, so it takes nothing new. The operator has to make room there, or "
        "let it write.",
    ),
    "READONLY": (
        "read_only",
        "This Redis is a read-only replica. The operator has to name the primary in REDIS_URL.",
    ),
    "LOADING": ("loading", "Redis is still loading its data. Ask again in a moment."),
    "NOAUTH": ("refused", "Redis refuses the user of REDIS_URL, or wants a password that it lacks."),
    "NOPERM": ("refused", "Redis does not allow the user of REDIS_URL a command or a key that is needed."),
    "MASTERDOWN": ("replica", "This Redis is a replica that has lost its primary."),
    "NOREPLICAS": ("replica", "Redis takes nothing new, because too few of its replicas are in reach."),
    "MOVED": ("cluster", "This Redis is a node of a cluster, which cannot hold sessions. Name a single one."),
    "CLUSTERDOWN": ("cluster", "This Redis is a node of a cluster that is down."),
    "BUSY": ("busy", "Redis is busy with somebody's script. Ask again in a moment."),
}
"""A reason for programs and a sentence, by the first word of Redis's error."""
_REDIS_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.NoPermissionError, "NOPERM"),
    (redis_errors.AuthenticationError, "NOAUTH"),
    (redis_errors.MasterDownError, "MASTERDOWN"),
    (redis_errors.MovedError, "MOVED"),
    (redis_errors.ClusterDownError, "CLUSTERDOWN"),
)
"""The client removes that word where it has a class for the error."""
_FIRST_WORD = re.compile(r"[('\"]*([A-Z]+)\b")

_POSTGRESQL = {
    "53100": ("disk", "PostgreSQL's disk is full. The operator has to make room there."),
    "53200": ("memory", "PostgreSQL has run out of memory."),
    "53300": (
        "connections",
        "PostgreSQL takes no more connections. The operator has to raise its max_connections, or lower "
        "CHECKERBOARD_DATABASE_POOL.",
    ),
    "53400": ("disk", "A statement has reached a limit that PostgreSQL sets, such as temp_file_limit."),
    "25006": (
        "read_only",
        "PostgreSQL is read-only: a replica, or set so. The operator has to name the primary.",
    ),
    "42501": ("refused", "PostgreSQL does not allow the user of DATABASE_URL what is needed."),
    "42P01": ("schema", "PostgreSQL lacks a table of the service's. A restart makes it."),
    "3D000": ("refused", "PostgreSQL has no database of the name in DATABASE_URL."),
    "57014": ("slow", "PostgreSQL has broken off a statement that took too long. Ask again in a moment."),
    "55P03": ("slow", "PostgreSQL has waited too long for a lock. Ask again in a moment."),
    "57P01": ("stopping", "PostgreSQL is being stopped. Ask again in a moment."),
    "57P03": ("starting", "PostgreSQL is starting or being stopped. Ask again in a moment."),
    "58030": ("disk", "PostgreSQL cannot read or write its disk."),
}
"""A reason for programs and a sentence, by SQLSTATE."""
_POSTGRESQL_MESSAGES = {
    "No space left on device": "53100",
    "too many clients already": "53300",
    "remaining connection slots": "53300",
    "too many connections": "53300",
    "no more connections allowed": "53300",
    "the database system is starting up": "57P03",
    "the database system is shutting down": "57P03",
    "the database system is in recovery mode": "57P03",
    "the database system is not yet accepting connections": "57P03",
}
"""SQLSTATEs by message: while a connection is made the driver keeps none."""


@dataclass(frozen=True)
class StoreInfo:
    """What a probed store is."""

    server: str
    """`postgresql`, `redis` or `valkey`."""
    version: str
    extensions: dict[str, str] = field(default_factory=dict)
    """The version of each module or extension; `built in` where it has none of its own."""


def store_failure(error: BaseException) -> StoreUnavailableError | None:
    """Returns the service's error for a failure of PostgreSQL or Redis; None for anything else, such as a
    statement that is wrong."""
    if isinstance(error, StoreUnavailableError):
        return error
    if isinstance(error, redis_errors.RedisError):
        return _failure("redis", _redis_meaning(error))
    if isinstance(error, psycopg.Error):
        meaning = _POSTGRESQL.get(error.sqlstate or _sqlstate_of_message(str(error)))
        if meaning or isinstance(error, psycopg.OperationalError):
            return _failure("postgresql", meaning)
    return None


def without_credentials(url: str) -> str:
    """Returns a URL without user, password and options, for logs and errors. What is no URL, such as a list
    of `key=value`, is not repeated at all."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc + parts.path:
        return "configured address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def one_line(error: BaseException) -> str:
    """Returns an error's message on one line, without a full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _failure(store: Literal["redis", "postgresql"], meaning: tuple[str, str] | None) -> StoreUnavailableError:
    if meaning is None:
        name = {"redis": "Redis", "postgresql": "PostgreSQL"}[store]
        return StoreUnavailableError(
            f"{name} did not answer. Ask again in a moment; nothing of the session is lost.", store=store
        )
    reason, message = meaning
    return StoreUnavailableError(message, store=store, reason=reason)


def _redis_meaning(error: BaseException) -> tuple[str, str] | None:
    cause: BaseException | None = error
    # The client hides a refused password in the cause.
    while cause is not None:
        code = next((code for kind, code in _REDIS_CLASSES if isinstance(cause, kind)), None)
        # A pipeline puts its command first, in which anybody's words may be.
        message = str(cause).rpartition("caused error: ")[2]
        word = _FIRST_WORD.match(message)
        if meaning := _REDIS.get(code or (word[1] if word else "")):
            return meaning
        if "ACL failure in script" in message:
            return _REDIS["NOPERM"]
        if "max number of clients reached" in message:
            return "connections", "Redis takes no more connections. The operator has to raise its maxclients."
        cause = cause.__cause__
    return None


def _sqlstate_of_message(message: str) -> str:
    return next((state for words, state in _POSTGRESQL_MESSAGES.items() if words in message), "")
