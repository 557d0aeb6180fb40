"""Changing the prompts in force: at the service's start, by a reload, by a pin. All or none, always."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
from psycopg_pool import PoolTimeout
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tools.core.database import Pool
from tools.core.errors import (
    CheckerboardError,
    HubUnavailableError,
    InvalidRequestError,
    PromptInvalidError,
    PromptNotFoundError,
    SetupError,
    StoreUnavailableError,
)
from tools.core.logs import cause
from tools.core.settings import ModelChoice, Settings
from tools.prompts.active_set import ActiveSet, ActiveSetStore, Bundled, Entry, FromHub, Origin
from tools.prompts.audit_log import Action, AuditLog, differences
from tools.prompts.hub import Hub, hub_names, open_hub, pulled
from tools.prompts.registry import LOOK_SECONDS, PACKAGES, PromptRegistry, PromptSet, Watcher

logger = logging.getLogger(__name__)

Change = Callable[[ActiveSet | None], Awaitable[ActiveSet]]
"""From the set in force, the one that is to be."""
AT_START = "start"
"""Who changed a prompt when nobody asked for it but the service itself, as it started."""
PREVIOUS = "previous"
"""The pin that rolls a prompt back to what was in force before."""
BUNDLED = "bundled"
"""The pin that holds a prompt at the file of the code."""


class PromptChanges:
    """Changes what is in force on all workers, one change at a time."""

    def __init__(
        self,
        registry: PromptRegistry,
        store: ActiveSetStore,
        trail: AuditLog,
        hub: Hub | None,
        names: Mapping[str, tuple[str, str]],
    ) -> None:
        """`names` has the hub's name and ref of each prompt that comes from there, by key."""
        self.registry = registry
        self.trail = trail
        self._store = store
        self._hub = hub
        self._names = names

    async def start(self) -> None:
        """Takes the newest prompts as the service starts. Where that fails, the last good ones stay, or
        the bundled ones: it is logged, shown by `/readyz`, and never keeps the service from starting."""
        try:
            async with self._store.locked():
                before = await self._store.read()
                if before is None and not self._names:
                    return  # bundled prompts, and nobody has ever changed a thing
                await self._started(before)
        except (StoreUnavailableError, RedisError) as error:
            self.registry.shared_warning = _not_renewed(error)

    async def _started(self, before: ActiveSet | None) -> None:
        try:
            await self._recorded("start", AT_START, before, self._newest(before, AT_START))
        except (CheckerboardError, psycopg.Error, PoolTimeout) as error:
            warning = _not_renewed(error)
            # Written down also where it is the bundled ones: all workers are to answer alike, and not
            # each to wait for a hub that hangs.
            await self._store.write(self._whole(before, AT_START, datetime.now(UTC)), warning=warning)
            self.registry.shared_warning = warning

    async def reload(self, by: str, models: Mapping[str, ModelChoice] | None = None) -> ActiveSet:
        """Takes the newest commit of every prompt that is not pinned; with `models`, these choices
        instead of those of the last reload that named some. Returns what is in force now.

        Raises:
            PromptInvalidError: a prompt cannot be used; nothing was changed.
            HubUnavailableError: the hub did not answer; nothing was changed.
            InvalidRequestError: `models` names a purpose that there is not.
            StoreUnavailableError, RedisError, psycopg.OperationalError: a store does not answer.
        """
        if problem := self.registry.unknown_purposes(models or {}):
            raise InvalidRequestError(fields=[{"field": "models", "problem": problem}])
        return await self._changed("reload", by, lambda before: self._newest(before, by, models))

    async def candidate(self) -> PromptSet:
        """Returns what a reload would put in force, without doing it.

        Raises:
            PromptInvalidError, HubUnavailableError, RedisError: as `reload`.
        """
        return self.registry.checked(await self._newest(await self._store.read(), ""))

    async def pin(self, key: str, ref: str | None, by: str) -> ActiveSet:
        """Holds the prompt `key` at a commit or a tag of the hub, at what was in force before
        (`previous`) or at the bundled file (`bundled`); None lets it follow reloads again, from the next
        one on. Returns what is in force now.

        Raises:
            PromptNotFoundError: there is no such prompt, or nothing was in force before it.
            PromptInvalidError, HubUnavailableError, and those of the stores: as `reload`.
        """
        if key not in self.registry.files:
            raise PromptNotFoundError(prompt=key)
        return await self._changed("pin", by, lambda before: self._pinned(before, key, ref, by))

    async def _changed(self, action: Action, by: str, change: Change) -> ActiveSet:
        async with self._store.locked():
            # A Redis that lost everything is filled again from what this worker answers from.
            before = await self._store.read() or self.registry.in_force
            return await self._recorded(action, by, before, change(before))

    async def _recorded(
        self, action: Action, by: str, before: ActiveSet | None, change: Awaitable[ActiveSet]
    ) -> ActiveSet:
        """Puts what `change` comes to in force, when it can be recorded, and records a refusal."""
        version = self.registry.current.version
        try:
            after = await change
            checked = self.registry.checked(after)
        except (PromptInvalidError, HubUnavailableError, PromptNotFoundError) as error:
            refused = {"code": error.code, **error.details}
            logger.warning(
                "change of prompts refused", extra={"action": action, "by": by, "cause": cause(error)}
            )
            await self.trail.refused(action, by, version, refused)
            raise
        if action == AT_START and after == before:
            await self._store.write(after)  # which takes back an earlier warning
        else:
            async with self.trail.change(action, by, (version, checked.version), differences(before, after)):
                await self._store.write(after)
            extra = {"action": action, "by": by, "version": checked.version}
            logger.info("prompts changed", extra=extra)
        self.registry.take(after)
        self.registry.shared_warning = None
        return after

    async def _newest(
        self, before: ActiveSet | None, by: str, models: Mapping[str, ModelChoice] | None = None
    ) -> ActiveSet:
        known = before.prompts if before else {}
        pins = {key: self._pin(key, known.get(key)) for key in self.registry.files}
        refs = {
            key: (self._names[key][0], pin or self._names[key][1])
            for key, pin in pins.items()
            if key in self._names and pin != BUNDLED
        }
        origins = await self._origins(refs, known)
        now = datetime.now(UTC)
        prompts = {
            key: _entry(known.get(key), origins.get(key) or self._file(key), pin, by, now)
            for key, pin in pins.items()
        }
        kept = before.models if before else {}
        # What these files do not know belongs to workers whose code is newer, or older.
        return ActiveSet(prompts={**known, **prompts}, models=dict(kept if models is None else models))

    async def _pinned(self, before: ActiveSet | None, key: str, ref: str | None, by: str) -> ActiveSet:
        now = datetime.now(UTC)
        known = self._whole(before, by, now).prompts
        held = known[key]
        if ref is None:
            entry = held.model_copy(update={"pin": None, "by": by, "since": now})
        elif ref == PREVIOUS:
            if held.before is None:
                raise PromptNotFoundError(f"Nothing was in force before the present {key}.", prompt=key)
            if isinstance(held.before, FromHub) and not self._comes_from(key, held.before.name):
                raise self._not_of_the_hub(key, held.before.name)
            entry = (
                _entry(held, held.before, held.before.commit, by, now)
                if isinstance(held.before, FromHub)
                else _entry(held, self._file(key), BUNDLED, by, now)
            )
        elif ref == BUNDLED:
            entry = _entry(held, self._file(key), BUNDLED, by, now)
        elif key in self._names:
            origin = (await self._origins({key: (self._names[key][0], ref)}, known))[key]
            entry = _entry(held, origin, ref, by, now)
        else:
            raise self._not_of_the_hub(key, "a prompt of the hub")
        return ActiveSet(prompts={**known, key: entry}, models=before.models if before else {})

    def _whole(self, before: ActiveSet | None, by: str, now: datetime) -> ActiveSet:
        """Returns a set with an entry for each of these files; those it lacks are bundled."""
        own = {key: Entry(origin=self._file(key), since=now, by=by) for key in self.registry.files}
        return ActiveSet(
            prompts={**own, **(before.prompts if before else {})}, models=before.models if before else {}
        )

    def _pin(self, key: str, known: Entry | None) -> str | None:
        """Returns what a prompt stays held at. A pin of another name than the settings have now holds
        nothing any more."""
        if known is None:
            return None
        held = isinstance(known.origin, FromHub) and self._comes_from(key, known.origin.name)
        return known.pin if held or known.pin == BUNDLED else None

    def _comes_from(self, key: str, name: str) -> bool:
        return key in self._names and self._names[key][0] == name

    def _not_of_the_hub(self, key: str, name: str) -> PromptInvalidError:
        source = f"it comes from {self._names[key][0]}" if key in self._names else "it is bundled"
        return PromptInvalidError(
            prompts={key: [f"{source}; CHECKERBOARD_HUB_PROMPTS has to name {name} for it first"]}
        )

    async def _origins(
        self, refs: Mapping[str, tuple[str, str]], known: Mapping[str, Entry]
    ) -> dict[str, FromHub]:
        """Returns what `refs` names in the hub (name and ref, by key); a commit that is in force, which
        never changes, is not asked for again."""
        there = {}
        for key, ref in refs.items():
            origin = known[key].origin if key in known else None
            if isinstance(origin, FromHub) and (origin.name, origin.commit) == ref:
                there[key] = origin
        asked = {key: ref for key, ref in refs.items() if key not in there}
        return {**there, **(await pulled(self._hub, asked, self.registry.files)).all_or_none()}

    def _file(self, key: str) -> Bundled:
        return Bundled(commit=self.registry.files[key].version)


def _entry(held: Entry | None, origin: Origin, pin: str | None, by: str, now: datetime) -> Entry:
    if held is None:
        return Entry(origin=origin, pin=pin, since=now, by=by)
    if (held.origin, held.pin) == (origin, pin):
        return held
    # A file that newer code has changed is gone: what was in force before it can still be had again.
    same = held.origin == origin or held.origin.source == origin.source == "bundled"
    return Entry(origin=origin, pin=pin, since=now, by=by, before=held.before if same else held.origin)


def _not_renewed(error: Exception) -> str:
    reason = error.message if isinstance(error, CheckerboardError) else repr(error)
    if isinstance(error, PromptInvalidError):
        named = ", ".join(error.prompts)
        reason = f"{named} cannot be used. `changes` of GET /prompts says why; mend it, then reload."
    logger.warning("prompts not renewed at start", extra={"cause": cause(error)})
    return f"The newest prompts could not be taken when the service started: {reason}"


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
