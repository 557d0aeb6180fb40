"""What a failure of PostgreSQL or Redis means, in words for whoever runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import psycopg
from redis import exceptions as redis_errors

from tools.core.errors import StoreUnavailableError

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
"""By the word with which Redis begins the error: a reason for programs, and a sentence."""
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.NoPermissionError, "NOPERM"),
    (redis_errors.AuthenticationError, "NOAUTH"),
    (redis_errors.MasterDownError, "MASTERDOWN"),
    (redis_errors.MovedError, "MOVED"),
    (redis_errors.ClusterDownError, "CLUSTERDOWN"),
)
"""The client takes the word away where it has a class for the error."""
_WORD = re.compile(r"[('\"]*([A-Z]+)\b")

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
"""By SQLSTATE: a reason for programs, and a sentence."""
_SAID = {
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
"""What is said at the start of a connection, where the driver keeps no SQLSTATE."""


def store_failure(error: BaseException) -> StoreUnavailableError | None:
    """Returns what `error` means where it is PostgreSQL's or Redis's and no fault of what was asked;
    None where it is not."""
    if isinstance(error, StoreUnavailableError):
        return error
    if isinstance(error, redis_errors.RedisError):
        return _told("redis", _redis(error))
    if isinstance(error, psycopg.Error):
        known = _POSTGRESQL.get(error.sqlstate or _unsaid(error))
        if known or isinstance(error, psycopg.OperationalError):
            return _told("postgresql", known)
    return None


PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class StoreInfo:
    """What answered."""

    server: str
    """`postgresql`, `redis` or `valkey`."""
    version: str
    extensions: dict[str, str] = field(default_factory=dict)
    """Version of each module or extension, by its name; `built in` where it has none of its own."""


def where(url: str) -> str:
    """A URL without its user, password and options: fit for a log or an error. What is no URL, such
    as a list of `key=value`, is not repeated at all."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc + parts.path:
        return "configured address"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def one_line(error: BaseException) -> str:
    """What an error says, on one line and without a full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _told(store: Literal["redis", "postgresql"], known: tuple[str, str] | None) -> StoreUnavailableError:
    if known is None:
        name = {"redis": "Redis", "postgresql": "PostgreSQL"}[store]
        return StoreUnavailableError(
            f"{name} did not answer. Ask again in a moment; nothing of the session is lost.", store=store
        )
    reason, message = known
    return StoreUnavailableError(message, store=store, reason=reason)


def _redis(error: BaseException) -> tuple[str, str] | None:
    for cause in _causes(error):
        code = next((code for kind, code in _CODES if isinstance(cause, kind)), None)
        # A pipeline puts its command before, in which anybody's words may stand.
        said = str(cause).rpartition("caused error: ")[2]
        word = _WORD.match(said)
        if known := _REDIS.get(code or (word[1] if word else "")):
            return known
        if "max number of clients reached" in said:
            return "connections", "Redis takes no more connections. The operator has to raise its maxclients."
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from: the client hides a refused password there."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _unsaid(error: psycopg.Error) -> str:
    said = str(error)
    return next((code for words, code in _SAID.items() if words in said), "")
