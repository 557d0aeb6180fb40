"""The active prompt set, from which all workers answer: one in Redis.

| key | what |
|---|---|
| `prompts:in-force` | the set, as JSON, with the texts of the hub's prompts: the last good ones |
| `prompts:version` | its version; a worker at another one reads the set |
| `prompts:changed` | channel: a change is announced here |
| `prompts:warning` | why the set is not what the settings ask for, where it is not |
| `prompts:lock` | one change at a time, over all workers |
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.asyncio import Redis
from redis.exceptions import LockError, RedisError

from tools.core.errors import StoreUnavailableError
from tools.core.logs import cause
from tools.core.settings import ModelChoice
from tools.prompts.prompt import Texts

logger = logging.getLogger(__name__)

CHANNEL = "prompts:changed"
_SET = "prompts:in-force"
_VERSION = "prompts:version"
_WARNING = "prompts:warning"
_LOCK = "prompts:lock"
CHANGE_SECONDS = 50.0
"""How long a change may take: the slowest pull of all prompts, and both stores."""
LOCK_SECONDS = 60.0
"""Longer than that, so that a change keeps the lock to its end."""
LOCK_WAIT_SECONDS = 65.0
"""Longer than that: the lock of a worker that was killed during a change expires before."""
_RELEASE_SECONDS = 5.0


class Bundled(BaseModel):
    """The prompt of the file beside the code."""

    model_config = ConfigDict(frozen=True)

    source: Literal["bundled"] = "bundled"
    commit: str = Field(description="the version of the file when it was chosen")


class FromHub(BaseModel):
    """A commit of LangSmith's hub, with its texts: the hub may be away."""

    model_config = ConfigDict(frozen=True)

    source: Literal["hub"] = "hub"
    name: str
    commit: str
    system: str
    human: str

    @property
    def texts(self) -> Texts:
        """The prompt's texts."""
        return Texts(self.system, self.human)


Origin = Annotated[Bundled | FromHub, Field(discriminator="source")]


class ActivePrompt(BaseModel):
    """Which prompt is active for a purpose and language, since when and by whom."""

    model_config = ConfigDict(frozen=True)

    origin: Origin
    pin: str | None = Field(None, description="the commit or tag it is held at; null: it follows a reload")
    since: datetime
    by: str = Field(description="name of the API key that changed it; `start` for the service's own start")
    before: Origin | None = Field(None, description="what it replaced, for a roll-back")


class ActiveSet(BaseModel):
    """The whole set. `models` are a reload's choices, by purpose; they go before those of the settings."""

    model_config = ConfigDict(frozen=True)

    prompts: dict[str, ActivePrompt]
    models: dict[str, ModelChoice] = {}

    @property
    def version(self) -> str:
        """A hash of all of it, pins and authors included, so that every worker shows the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class ActiveSetStore:
    """The set in Redis: read, written, announced and locked."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def state(self) -> tuple[str | None, str | None]:
        """Returns the version of the set in Redis and the warning about it; None for what is not there."""
        values: list[bytes | None] = await self._redis.mget(_VERSION, _WARNING)  # type: ignore[assignment]
        version, warning = (value.decode() if value else None for value in values)
        return version, warning

    async def read(self) -> ActiveSet | None:
        """Returns the set in Redis, None where there is none or none that this code can read."""
        stored: bytes | None = await self._redis.get(_SET)  # type: ignore[assignment]
        if stored is None:
            return None
        try:
            return ActiveSet.model_validate_json(stored)
        except ValidationError as error:
            logger.warning("the prompts in Redis cannot be read", extra={"cause": cause(error)})
            return None

    async def write(self, prompts: ActiveSet, *, warning: str | None = None) -> None:
        """Makes a set the active one and announces it; `warning` says, until the next change, why it is not
        what the settings ask for."""
        version = prompts.version
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(_SET, prompts.model_dump_json())
            pipe.set(_VERSION, version)
            if warning is None:
                pipe.delete(_WARNING)
            else:
                pipe.set(_WARNING, warning)
            pipe.publish(CHANNEL, version)
            await pipe.execute()

    async def restore(self, prompts: ActiveSet) -> None:
        """Writes a set to a Redis that has lost it, unless another worker has done so."""
        await self._redis.msetnx({_SET: prompts.model_dump_json(), _VERSION: prompts.version})

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Allows one change at a time over all workers, and cancels it before the lock expires.

        Raises:
            StoreUnavailableError: this change or another took too long, or Redis does not answer.
        """
        lock = self._redis.lock(
            _LOCK, timeout=LOCK_SECONDS, blocking_timeout=LOCK_WAIT_SECONDS, thread_local=False
        )
        try:
            acquired = await lock.acquire()
        except RedisError as error:
            raise StoreUnavailableError(store="redis") from error
        if not acquired:
            raise StoreUnavailableError(
                "Another change of the prompts is at work. Ask again in a moment.", store="redis"
            )
        try:
            async with asyncio.timeout(CHANGE_SECONDS) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StoreUnavailableError(
                "The change of the prompts took too long and was broken off: PostgreSQL or Redis hangs. "
                "GET /prompts?changes=0 shows what is active; then ask again."
            ) from error
        finally:
            # A lock that is not released expires.
            with suppress(LockError, RedisError, TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await lock.release()
