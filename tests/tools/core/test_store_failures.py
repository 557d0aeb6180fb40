"""Failures of the stores in words."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout
from redis import exceptions as redis_errors

from tools.core.store_failures import store_failure

_MISCONF = "MISCONF Errors writing to the AOF file: No space left on device"


@pytest.mark.parametrize(
    ("error", "store", "reason"),
    [
        (
            redis_errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
            "redis",
            "memory",
        ),
        (redis_errors.ResponseError(_MISCONF), "redis", "disk"),
        (
            redis_errors.ResponseError(f"Command # 1 (SET a OOM) of pipeline caused error: ('{_MISCONF}',)"),
            "redis",
            "disk",
        ),
        (
            redis_errors.ResponseError("Command # 1 (SET a MISCONF) of pipeline caused error: ('ERR no',)"),
            "redis",
            None,
        ),
        (redis_errors.ResponseError("NOREPLICAS Not enough good replicas to write."), "redis", "replica"),
        (redis_errors.ReadOnlyError("You can't write against a read only replica."), "redis", "read_only"),
        (redis_errors.BusyLoadingError("Redis is loading the dataset in memory"), "redis", "loading"),
        (redis_errors.AuthenticationError("Authentication required."), "redis", "refused"),
        (redis_errors.ConnectionError("max number of clients reached"), "redis", "connections"),
        (redis_errors.ConnectionError("Error 111 connecting to 10.0.0.1:6379."), "redis", None),
        (errors.DiskFull("could not extend file"), "postgresql", "disk"),
        (errors.TooManyConnections("sorry"), "postgresql", "connections"),
        (
            psycopg.OperationalError("connection failed: FATAL:  sorry, too many clients already"),
            "postgresql",
            "connections",
        ),
        (errors.ReadOnlySqlTransaction("cannot execute INSERT"), "postgresql", "read_only"),
        (errors.InsufficientPrivilege("permission denied for table postings"), "postgresql", "refused"),
        (errors.UndefinedTable("relation does not exist"), "postgresql", "schema"),
        (errors.CannotConnectNow("the database system is starting up"), "postgresql", "starting"),
        (psycopg.OperationalError("server closed the connection at 10.0.0.1"), "postgresql", None),
        (PoolTimeout("couldn't get a connection after 5 sec"), "postgresql", None),
    ],
)
def test_what_ails_a_store_is_named_and_its_address_is_not(
    error: Exception, store: str, reason: str | None
) -> None:
    told = store_failure(error)
    assert told is not None
    assert (told.store, told.reason) == (store, reason)
    assert {"redis": "Redis", "postgresql": "PostgreSQL"}[store] in told.message
    assert "10.0.0.1" not in told.message


def test_a_refused_password_is_found_where_the_client_hides_it() -> None:
    error = redis_errors.ConnectionError("while connecting")
    error.__cause__ = redis_errors.AuthenticationError("WRONGPASS")
    told = store_failure(error)
    assert told is not None
    assert told.reason == "refused"


@pytest.mark.parametrize("error", [errors.UniqueViolation("twice"), errors.DataError("no"), ValueError("no")])
def test_what_is_no_fault_of_a_store_is_left_alone(error: Exception) -> None:
    assert store_failure(error) is None
