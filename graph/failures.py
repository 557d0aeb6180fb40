"""What the libraries under a run raise, as the service's own errors."""

from __future__ import annotations

import psycopg
import redis.exceptions
from langgraph.errors import GraphRecursionError
from psycopg_pool import PoolTimeout, TooManyRequests

from tools.errors import (
    CheckerboardError,
    ModelOutputError,
    ModelUnavailableError,
    StoreUnavailableError,
)


def as_ours(error: Exception) -> CheckerboardError:
    """Returns the typed error for what a run raised; an unknown one becomes a bare
    CheckerboardError (`internal`), whose cause the caller logs."""
    match error:
        case CheckerboardError():
            return error
        case TimeoutError():
            return ModelUnavailableError(
                "The run took longer than its limit. The session is kept: ask again on it.",
                cause="run_timeout",
            )
        case psycopg.OperationalError() | PoolTimeout() | TooManyRequests():
            return StoreUnavailableError(store="postgresql")
        case redis.exceptions.OutOfMemoryError():
            return StoreUnavailableError(
                "Redis is full. The operator has to give it more memory.", store="redis"
            )
        case redis.exceptions.RedisError():
            return StoreUnavailableError(store="redis")
        case GraphRecursionError():
            return ModelOutputError(cause="recursion_limit")
        case _:
            return CheckerboardError()
