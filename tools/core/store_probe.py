"""Asks a PostgreSQL and a Redis, embedded or not, for what the service needs of them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import psycopg
from redis import exceptions as redis_errors
from redis.asyncio import Redis

from tools.core.errors import SetupError, StoreUnavailableError
from tools.core.fitness import require_fit
from tools.core.postgres import CONNECTING, Connection
from tools.core.redis_client import write_and_read
from tools.core.store_failures import one_line, store_failure
from tools.core.store_urls import redis_url, where

logger = logging.getLogger(__name__)

PROBE_SECONDS = 10.0
_REDIS_COMMANDS = {"JSON": ("JSON.GET", "checkerboard:probe"), "Search": ("FT._LIST",)}
"""What the sessions need, each with a harmless command of it."""
_REFUSED = (redis_errors.AuthenticationError, redis_errors.NoPermissionError)
_REDIS_REMEDY = "Use Redis 8 or redis-stack, or unset REDIS_URL to run the embedded one."


@dataclass(frozen=True)
class StoreInfo:
    """What answered."""

    server: str
    """`postgresql`, `redis` or `valkey`."""
    version: str
    extensions: dict[str, str] = field(default_factory=dict)
    """Version of each module or extension, by its name; `built in` where it has none of its own."""


async def probe_redis(url: str, *, seconds: float = PROBE_SECONDS) -> StoreInfo:
    """Asks the Redis at `url` for JSON and Search, and writes to it.

    Raises:
        SetupError: it lacks one of them, or refuses the URL's user.
        StoreUnavailableError: it does not answer within `seconds`, or takes no writes.
    """
    client = Redis.from_url(redis_url(url), socket_timeout=seconds, socket_connect_timeout=seconds)
    try:
        async with asyncio.timeout(seconds):
            return await _ask_redis(client, where(url))
    except (redis_errors.RedisError, OSError) as error:
        # The client hides a refused password in the cause of a ConnectionError.
        if isinstance(error, _REFUSED) or isinstance(error.__cause__, _REFUSED):
            raise SetupError(f"The Redis at {where(url)} refuses the user of REDIS_URL: {error}.") from error
        told = store_failure(error)
        if told is not None and told.reason is not None:
            raise StoreUnavailableError(
                f"{where(url)}: {told.message}", store=told.store, reason=told.reason
            ) from error
        raise StoreUnavailableError(
            f"The Redis at {where(url)} does not answer: {str(error).strip() or 'no answer in time'}. "
            "Start it, or check REDIS_URL."
        ) from error
    finally:
        await client.aclose()


async def _ask_redis(client: Redis, place: str) -> StoreInfo:
    facts: dict[str, Any] = await client.info("server")
    lacking = [name for name, command in _REDIS_COMMANDS.items() if not await _knows(client, command)]
    if lacking:
        raise SetupError(
            f"The Redis at {place} lacks {' and '.join(lacking)}, which the sessions need. {_REDIS_REMEDY}",
            lacking=lacking,
        )
    await _writes(client)
    valkey = facts.get("valkey_version")
    return StoreInfo(
        server="valkey" if valkey else "redis",
        version=str(valkey or facts["redis_version"]),
        extensions=await _module_versions(client),
    )


async def _writes(client: Redis) -> None:
    """Tries a write. One that is full, or whose disk is, may have room again in a moment: `/readyz` tells."""
    try:
        await write_and_read(client)
    except redis_errors.RedisError as error:
        told = store_failure(error)
        if told is None or told.reason not in ("memory", "disk"):
            raise
        logger.warning("Redis takes nothing new", extra={"reason": told.reason})


async def _knows(client: Redis, command: tuple[str, ...]) -> bool:
    try:
        await client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis_errors.NoPermissionError:
        raise
    except redis_errors.ResponseError as error:
        if "unknown command" in str(error).lower():
            return False
        raise
    return True


async def _module_versions(client: Redis) -> dict[str, str]:
    """The modules' versions. A managed Redis may forbid the question: the commands have answered already."""
    versions = dict.fromkeys(_REDIS_COMMANDS, "built in")
    try:
        modules = await client.module_list()
    except redis_errors.ResponseError:
        return versions
    for module in modules:
        facts = {_text(key): value for key, value in module.items()}
        name = {"ReJSON": "JSON", "search": "Search"}.get(_text(facts["name"]))
        if name is not None:
            number = int(facts["ver"])
            versions[name] = f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    return versions


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


async def probe_postgres(url: str, *, seconds: float = PROBE_SECONDS) -> StoreInfo:
    """Asks the PostgreSQL at `url` for what the service needs of one; writes nothing.

    Raises:
        SetupError: it lacks the extension or something else, or refuses the URL's user.
        StoreUnavailableError: it does not answer within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds), await Connection.connect(url, **CONNECTING) as connection:
            fitness = await require_fit(connection, where(url))
    except psycopg.errors.InvalidAuthorizationSpecification as error:
        raise SetupError(
            f"The PostgreSQL at {where(url)} refuses the user of DATABASE_URL: {error}"
        ) from error
    except psycopg.ProgrammingError:
        # Its message may hold the URL, and that a password.
        raise SetupError("DATABASE_URL is no URL that PostgreSQL knows: postgresql://user@host/db.") from None
    except (psycopg.Error, OSError) as error:
        raise StoreUnavailableError(
            f"The PostgreSQL at {where(url)} does not answer: {one_line(error)}. Start it, or check "
            "DATABASE_URL."
        ) from error
    return StoreInfo("postgresql", fitness.server, {"vector": str(fitness.vector)})
