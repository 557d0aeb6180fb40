"""Asks a PostgreSQL and a Redis, embedded or not, for what the service needs of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
from redis import exceptions as redis_errors
from redis.asyncio import Redis

from tools.errors import SetupError, StoreUnavailableError

PROBE_SECONDS = 10.0
_REDIS_COMMANDS = {"JSON": ("JSON.GET", "checkerboard:probe"), "Search": ("FT._LIST",)}
"""What the sessions need, each with a harmless command of it."""
_REFUSED = (redis_errors.AuthenticationError, redis_errors.NoPermissionError)
_REDIS_REMEDY = "Use Redis 8 or redis-stack, or unset REDIS_URL to run the embedded one."
_POSTGRES_REMEDY = "Install pgvector on that server, or unset DATABASE_URL to run the embedded one."


@dataclass(frozen=True)
class StoreInfo:
    """What answered."""

    server: str
    """`postgresql`, `redis` or `valkey`."""
    version: str
    extensions: dict[str, str] = field(default_factory=dict)
    """Version of each module or extension, by its name; `built in` where it has none of its own."""


async def probe_redis(url: str, *, seconds: float = PROBE_SECONDS) -> StoreInfo:
    """Asks the Redis at `url` for JSON and Search.

    Raises:
        SetupError: it lacks one of them, or refuses the URL's user.
        StoreUnavailableError: it does not answer within `seconds`.
    """
    try:
        client = Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds)
    except ValueError as error:
        raise SetupError(f"REDIS_URL is not a Redis URL: {error}.") from error
    try:
        async with asyncio.timeout(seconds):
            return await _ask_redis(client, where(url))
    except (redis_errors.RedisError, OSError) as error:
        # The client hides a refused password in the cause of a ConnectionError.
        if isinstance(error, _REFUSED) or isinstance(error.__cause__, _REFUSED):
            raise SetupError(f"The Redis at {where(url)} refuses the user of REDIS_URL: {error}.") from error
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
    valkey = facts.get("valkey_version")
    return StoreInfo(
        server="valkey" if valkey else "redis",
        version=str(valkey or facts["redis_version"]),
        extensions=await _module_versions(client),
    )


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
    """Asks the PostgreSQL at `url` for pgvector.

    Raises:
        SetupError: it lacks the extension, or refuses the URL's user.
        StoreUnavailableError: it does not answer within `seconds`.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        ):
            version = connection.info.parameter_status("server_version") or "unknown"
            cursor = await connection.execute(
                "SELECT coalesce(installed_version, default_version) "
                "FROM pg_available_extensions WHERE name = 'vector'"
            )
            row = await cursor.fetchone()
    except psycopg.errors.InvalidAuthorizationSpecification as error:
        raise SetupError(
            f"The PostgreSQL at {where(url)} refuses the user of DATABASE_URL: {error}"
        ) from error
    except psycopg.ProgrammingError:
        # Its message may hold the URL, and that a password.
        raise SetupError("DATABASE_URL is no URL that PostgreSQL knows: postgresql://user@host/db.") from None
    except (psycopg.Error, OSError) as error:
        raise StoreUnavailableError(
            f"The PostgreSQL at {where(url)} does not answer: {str(error).strip() or 'no answer in time'}. "
            "Start it, or check DATABASE_URL."
        ) from error
    if row is None:
        raise SetupError(
            f"The PostgreSQL {version} at {where(url)} lacks the extension pgvector. {_POSTGRES_REMEDY}",
            lacking=["vector"],
        )
    return StoreInfo(server="postgresql", version=version, extensions={"vector": str(row[0])})


def where(url: str) -> str:
    """A URL without its user, password and options: fit for a log or an error. What is no URL, such
    as a list of `key=value`, is not repeated at all."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc + parts.path:
        return "configured address"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
