"""How a worker follows what is in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tools.core.database import Pool
from tools.core.errors import PromptInvalidError, SetupError
from tools.core.logs import cause
from tools.core.settings import Settings
from tools.prompts.active_set import CHANNEL, ActiveSetStore
from tools.prompts.audit_log import AuditLog
from tools.prompts.changes import PromptChanges
from tools.prompts.hub import open_hub
from tools.prompts.names import hub_names
from tools.prompts.registry import PACKAGES, PromptRegistry

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""A worker looks this often whether its set is still in force, in case an announcement missed it."""


class Watcher:
    """Keeps a registry at the set in Redis."""

    def __init__(self, registry: PromptRegistry, store: ActiveSetStore, redis: Redis) -> None:
        self._registry = registry
        self._store = store
        self._redis = redis
        self._seen: str | None = None
        """The version that was taken or refused last, so that a bad one is refused once."""

    async def look(self) -> None:
        """Takes the set in Redis when it is another than the one seen last. A set that breaks a contract of
        these files is refused: what was in force stays, with a warning. A Redis that has lost the set is
        given this worker's.

        Raises:
            RedisError: Redis does not answer.
        """
        registry = self._registry
        version, warning = await self._store.state()
        if version is None:
            if registry.in_force is not None and registry.own_warning is None:
                logger.warning("Redis has lost the prompts in force: they are put back")
                await self._store.restore(registry.in_force)
            return  # with the warning of a start that could not write one
        registry.shared_warning = warning
        if version == self._seen:
            return
        in_force = await self._store.read()
        if in_force is None:
            registry.own_warning = f"The prompts in force cannot be read; {self._instead()}"
        elif in_force != registry.in_force:  # which a change of this worker's own has taken already
            try:
                registry.take(in_force)
            except PromptInvalidError as error:
                named = ", ".join(error.prompts)
                registry.own_warning = (
                    f"The prompts in force do not fit this worker's code ({named}); {self._instead()}"
                )
                logger.warning("prompts in force refused", extra={"prompts": list(error.prompts)})
            else:
                logger.info("prompts taken", extra={"version": registry.current.version})
        self._seen = version

    def _instead(self) -> str:
        origin = "bundled" if self._registry.in_force is None else "last good"
        return f"it answers from its {origin} ones."

    async def follow(self) -> None:
        """Looks whenever a change is announced, and every second besides; ends when it is cancelled."""
        away = False
        while True:
            try:
                async with self._redis.pubsub() as with_progress:
                    await with_progress.subscribe(CHANNEL)
                    while True:
                        await self.look()
                        away = False
                        await with_progress.get_message(ignore_subscribe_messages=True, timeout=LOOK_SECONDS)
            except (RedisError, OSError) as error:
                if not away:
                    logger.warning("prompts cannot be followed: Redis is away", extra={"cause": cause(error)})
                away = True
            except Exception as error:
                logger.error("prompts cannot be followed", exc_info=error)  # noqa: TRY400
            await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def open_prompts(
    settings: Settings, redis: Redis, pool: Pool, *, newest: bool
) -> AsyncIterator[PromptChanges]:
    """Yields the changes of this worker's prompts, whose registry has the set in force and follows it.

    Where `newest`, or none is in force yet, the hub's newest are taken. A Redis that is away, or a hub,
    is a warning: the last good prompts answer then, or the bundled ones.

    Raises:
        SetupError: a bundled prompt is none, or the settings name a prompt or a purpose that there is not.
    """
    registry = PromptRegistry.bundled(*PACKAGES, models=settings.models)
    if problem := registry.unknown_purposes(settings.models):
        raise SetupError(f"CHECKERBOARD_MODELS: {problem}.")
    names = hub_names(settings.hub_prompts, registry.files)
    store = ActiveSetStore(redis)
    async with open_hub(settings) as hub:
        changes = PromptChanges(registry, store, AuditLog(pool), hub, names)
        follower = Watcher(registry, store, redis)
        try:
            await follower.look()
            if newest or registry.in_force is None:
                await changes.start()
        except (RedisError, OSError) as error:
            registry.shared_warning = "Redis is away: the bundled prompts answer."
            logger.warning(
                "prompts in force not read: the bundled ones answer", extra={"cause": cause(error)}
            )
        following = asyncio.create_task(follower.follow())
        try:
            yield changes
        finally:
            while not following.done():
                # Python 3.11 may swallow a cancellation that meets the end of a command to Redis.
                following.cancel()
                await asyncio.wait({following}, timeout=LOOK_SECONDS / 10)
