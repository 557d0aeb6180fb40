"""Redis: the pool of a process, and whether a Redis is one that the service can use."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from tools.core.cancellation import cancellations
from tools.core.errors import SetupError, StoreUnavailableError
from tools.core.settings import Settings
from tools.core.store_failures import PROBE_SECONDS, StoreInfo, store_failure, without_credentials

logger = logging.getLogger(__name__)

POOL_WAIT_SECONDS = 5.0
SOCKET_SECONDS = 3.0
"""How long Redis may take to answer. A run that meets a Redis that hangs waits this long a few times, and
then fails."""
_PROBE_TTL_SECONDS = 10
_URL_OPTIONS = ("ssl_", "db", "client_name", "username", "password")
"""Prefixes of the options of a Redis URL that are taken. Others would change what answers look like
(`decode_responses`, `protocol`, `encoding`), or the service's own limits."""
_COMMANDS = {"JSON": ("JSON.GET", "checkerboard:probe"), "Search": ("FT._LIST",)}
"""The modules that sessions need, each with a harmless command of it."""
_REFUSED = (redis_errors.AuthenticationError, redis_errors.NoPermissionError)


class _Heeding(AbstractConnection):
    """A connection, of whichever kind, that loses no cancellation while a command is sent."""

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        before = cancellations()
        await super().send_packed_command(command, check_health)
        if cancellations() > before:
            # The answer would be read by the next who is given the connection.
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError


@asynccontextmanager
async def open_redis(settings: Settings, *, retrying: bool = True) -> AsyncIterator[Redis]:
    """Yields the client of this process.

    Its pool blocks: the default one raises at its limit, which 50 concurrent runs reach.

    Args:
        settings: with `redis_url` set.
        retrying: whether a broken connection is tried again for a while; else once and at once.

    Raises:
        SetupError: REDIS_URL is none that can be used.
    """
    assert settings.redis_url is not None  # noqa: S101 - `embedded_servers` has filled it
    pool = BlockingConnectionPool.from_url(
        redis_url(settings.redis_url),
        max_connections=settings.redis_pool,
        timeout=POOL_WAIT_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        health_check_interval=30,
        # Made here once: each connection would read the library's version from the disk.
        driver_info=DriverInfo(),
        **({} if retrying else {"retry": Retry(NoBackoff(), 1)}),
    )
    pool.connection_class = type("Connection", (_Heeding, pool.connection_class), {})
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()


def redis_url(configured: str) -> str:
    """Returns a Redis URL without the options that are the service's own.

    Raises:
        SetupError: it is no Redis URL, or names another database than 0, the only one that Redis searches.
    """
    try:
        parsed = parse_url(configured)
    except ValueError as error:
        raise SetupError(f"REDIS_URL is not a Redis URL: {error}.") from error
    parts = urlsplit(configured)
    in_path = unquote(parts.path).strip("/") if parts.scheme != "unix" else ""
    if parsed.get("db", 0) != 0 or in_path not in ("", "0"):
        raise SetupError(
            f"REDIS_URL names the database {parsed.get('db', in_path)}, and Redis searches in database 0 "
            "only. Name that, or another server."
        )
    options = parse_qsl(parts.query, keep_blank_values=True)
    taken = [(name, value) for name, value in options if name.startswith(_URL_OPTIONS)]
    if len(taken) == len(options):
        return configured
    dropped = sorted({name for name, _ in options} - {name for name, _ in taken})
    logger.warning("options of REDIS_URL are the service's own and left out", extra={"options": dropped})
    return configured.partition("?")[0] + (f"?{urlencode(taken)}" if taken else "")


async def check_round_trip(client: Redis) -> None:
    """Writes a document as a session's is written, reads it back and deletes it.

    Raises:
        RedisError: Redis does not answer, or refuses one of these.
        StoreUnavailableError: what was read is not what was written.
    """
    key, value = f"session:probe:{uuid.uuid4().hex}", f'"{time.time_ns()}"'
    async with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("JSON.SET", key, "$", value)
        pipe.expire(key, _PROBE_TTL_SECONDS)
        pipe.execute_command("JSON.GET", key)
        pipe.delete(key)
        read = (await pipe.execute())[2]
    if read != value.encode():
        raise StoreUnavailableError("Redis did not give back what was written to it.", store="redis")


async def probe_redis(url: str, *, seconds: float = PROBE_SECONDS) -> StoreInfo:
    """Checks that the Redis at `url` has JSON and Search and takes writes.

    Raises:
        SetupError: it lacks one of them, or refuses the URL's user.
        StoreUnavailableError: it does not answer within `seconds`, or takes no writes.
    """
    client = Redis.from_url(redis_url(url), socket_timeout=seconds, socket_connect_timeout=seconds)
    place = without_credentials(url)
    try:
        async with asyncio.timeout(seconds):
            return await _probe(client, place)
    except (redis_errors.RedisError, OSError) as error:
        # The client hides a refused password in the cause of a ConnectionError.
        if isinstance(error, _REFUSED) or isinstance(error.__cause__, _REFUSED):
            raise SetupError(f"The Redis at {place} refuses the user of REDIS_URL: {error}.") from error
        failure = store_failure(error)
        if failure is not None and failure.reason is not None:
            message = f"{place}: {failure.message}"
            raise StoreUnavailableError(message, store=failure.store, reason=failure.reason) from error
        raise StoreUnavailableError(
            f"The Redis at {place} does not answer: {str(error).strip() or 'no answer in time'}. "
            "Start it, or check REDIS_URL."
        ) from error
    finally:
        await client.aclose()


async def _probe(client: Redis, place: str) -> StoreInfo:
    facts: dict[str, Any] = await client.info("server")
    lacking = [name for name, command in _COMMANDS.items() if not await _has_command(client, command)]
    if lacking:
        raise SetupError(
            f"The Redis at {place} lacks {' and '.join(lacking)}, which the sessions need. Use Redis 8 or "
            "redis-stack, or unset REDIS_URL to run the embedded one.",
            lacking=lacking,
        )
    try:
        await check_round_trip(client)
    except redis_errors.RedisError as error:
        # One that is full, or whose disk is, may have room again in a moment: `/readyz` reports it.
        failure = store_failure(error)
        if failure is None or failure.reason not in ("memory", "disk"):
            raise
        logger.warning("Redis takes nothing new", extra={"reason": failure.reason})
    valkey = facts.get("valkey_version")
    return StoreInfo(
        server="valkey" if valkey else "redis",
        version=str(valkey or facts["redis_version"]),
        extensions=await _module_versions(client),
    )


async def _has_command(client: Redis, command: tuple[str, ...]) -> bool:
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
    versions = dict.fromkeys(_COMMANDS, "built in")
    try:
        modules = await client.module_list()
    except redis_errors.ResponseError:
        return versions  # a managed Redis may forbid the question
    for module in modules:
        facts = {_text(key): value for key, value in module.items()}
        name = {"ReJSON": "JSON", "search": "Search"}.get(_text(facts["name"]))
        if name is not None:
            number = int(facts["ver"])
            versions[name] = f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    return versions


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
