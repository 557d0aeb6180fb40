"""Changes of the active prompt set, at the service's start, by a reload or by a pin: all prompts or none."""

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
from tools.prompts.active_set import ActivePrompt, ActiveSet, ActiveSetStore, Bundled, FromHub, Origin
from tools.prompts.audit_log import Action, AuditLog, differences
from tools.prompts.hub import Hub, Ref, open_hub, parse_hub_names, pull_all
from tools.prompts.registry import PACKAGES, PromptRegistry, PromptSet, Watcher

logger = logging.getLogger(__name__)

Change = Callable[[ActiveSet | None], Awaitable[ActiveSet]]
"""Makes the next set from the active one."""
AT_START = "start"
"""The author of a change that the service makes when it starts."""
PREVIOUS = "previous"
"""The pin that rolls a prompt back to what was active before."""
BUNDLED = "bundled"
"""The pin that holds a prompt at the file of the code."""


class PromptChanges:
    """Changes the active set of all workers, one change at a time."""

    def __init__(
        self,
        registry: PromptRegistry,
        store: ActiveSetStore,
        audit_log: AuditLog,
        hub: Hub | None,
        refs: Mapping[str, Ref],
    ) -> None:
        """`refs` has, by key, the prompts that come from the hub."""
        self.registry = registry
        self.audit_log = audit_log
        self._store = store
        self._hub = hub
        self._refs = refs

    async def start(self) -> None:
        """Activates the newest prompts as the service starts. Where that fails, the last good ones stay, or
        the bundled ones: that is logged and shown by `/readyz`, and the service starts all the same."""
        try:
            async with self._store.locked():
                before = await self._store.read()
                if before is None and not self._refs:
                    return  # bundled prompts, which nobody has ever changed
                try:
                    await self._record("start", AT_START, before, self._newest(before, AT_START))
                except (CheckerboardError, psycopg.Error, PoolTimeout) as error:
                    warning = _start_warning(error)
                    # Written also where it is the bundled ones: so all workers answer alike, and not each
                    # of them waits for a hub that hangs.
                    whole = self._with_all_files(before, AT_START, datetime.now(UTC))
                    await self._store.write(whole, warning=warning)
                    self.registry.shared_warning = warning
        except (StoreUnavailableError, RedisError) as error:
            self.registry.shared_warning = _start_warning(error)

    async def reload(self, by: str, models: Mapping[str, ModelChoice] | None = None) -> ActiveSet:
        """Activates the newest commit of every prompt that is not pinned; `models`, by purpose, replace the
        choices of the last reload that named some. `by` is the name of the caller's key.

        Raises:
            PromptInvalidError: a prompt cannot be used; nothing was changed.
            HubUnavailableError: the hub did not answer; nothing was changed.
            InvalidRequestError: `models` names a purpose that there is not.
            StoreUnavailableError, RedisError, psycopg.OperationalError: a store does not answer.
        """
        if problem := self.registry.unknown_purposes(models or {}):
            raise InvalidRequestError(fields=[{"field": "models", "problem": problem}])
        return await self._change("reload", by, lambda before: self._newest(before, by, models))

    async def preview_reload(self) -> PromptSet:
        """Returns what a reload would activate, without doing it.

        Raises:
            PromptInvalidError, HubUnavailableError, RedisError: as `reload`.
        """
        return self.registry.checked(await self._newest(await self._store.read(), ""))

    async def pin(self, key: str, ref: str | None, by: str) -> ActiveSet:
        """Pins the prompt `key` at a commit or a tag of the hub, at `previous` or `bundled`; None removes the
        pin. `by` is the name of the caller's key.

        Raises:
            PromptNotFoundError: there is no such prompt, or nothing was active before it.
            PromptInvalidError, HubUnavailableError, and those of the stores: as `reload`.
        """
        if key not in self.registry.files:
            raise PromptNotFoundError(prompt=key)
        return await self._change("pin", by, lambda before: self._pinned(before, key, ref, by))

    async def _change(self, action: Action, by: str, change: Change) -> ActiveSet:
        async with self._store.locked():
            # A Redis that has lost everything is filled again from this worker's set.
            before = await self._store.read() or self.registry.active
            return await self._record(action, by, before, change(before))

    async def _record(
        self, action: Action, by: str, before: ActiveSet | None, change: Awaitable[ActiveSet]
    ) -> ActiveSet:
        """Activates the set that `change` makes, where it can be recorded; records a refusal too."""
        version = self.registry.current.version
        try:
            after = await change
            checked = self.registry.checked(after)
        except (PromptInvalidError, HubUnavailableError, PromptNotFoundError) as error:
            extra = {"action": action, "by": by, "cause": cause(error)}
            logger.warning("change of prompts refused", extra=extra)
            await self.audit_log.refused(action, by, version, {"code": error.code, **error.details})
            raise
        if action == AT_START and after == before:
            await self._store.write(after)  # removes an earlier warning
        else:
            versions = version, checked.version
            async with self.audit_log.change(action, by, versions, differences(before, after)):
                await self._store.write(after)
            logger.info("prompts changed", extra={"action": action, "by": by, "version": checked.version})
        self.registry.activate(after)
        self.registry.shared_warning = None
        return after

    async def _newest(
        self, before: ActiveSet | None, by: str, models: Mapping[str, ModelChoice] | None = None
    ) -> ActiveSet:
        known = before.prompts if before else {}
        pins = {key: self._pin(key, known.get(key)) for key in self.registry.files}
        refs = {
            key: (self._refs[key][0], pin or self._refs[key][1])
            for key, pin in pins.items()
            if key in self._refs and pin != BUNDLED
        }
        origins = await self._pull(refs, known)
        now = datetime.now(UTC)
        prompts = {
            key: _changed(known.get(key), origins.get(key) or self._file(key), pin, by, now)
            for key, pin in pins.items()
        }
        if models is None:
            models = before.models if before else {}
        # Prompts that these files do not know belong to workers whose code is newer or older.
        return ActiveSet(prompts={**known, **prompts}, models=dict(models))

    async def _pinned(self, before: ActiveSet | None, key: str, ref: str | None, by: str) -> ActiveSet:
        now = datetime.now(UTC)
        whole = self._with_all_files(before, by, now)
        current = whole.prompts[key]
        if ref is None:
            entry = current.model_copy(update={"pin": None, "by": by, "since": now})
        elif ref == PREVIOUS:
            entry = self._previous(key, current, by, now)
        elif ref == BUNDLED:
            entry = _changed(current, self._file(key), BUNDLED, by, now)
        elif key in self._refs:
            origin = (await self._pull({key: (self._refs[key][0], ref)}, whole.prompts))[key]
            entry = _changed(current, origin, ref, by, now)
        else:
            raise self._not_from_hub(key, "a prompt of the hub")
        return ActiveSet(prompts={**whole.prompts, key: entry}, models=whole.models)

    def _previous(self, key: str, current: ActivePrompt, by: str, now: datetime) -> ActivePrompt:
        match current.before:
            case None:
                raise PromptNotFoundError(f"No prompt was active before the present {key}.", prompt=key)
            case FromHub() as before:
                if not self._comes_from(key, before.name):
                    raise self._not_from_hub(key, before.name)
                return _changed(current, before, before.commit, by, now)
            case _:
                return _changed(current, self._file(key), BUNDLED, by, now)

    def _with_all_files(self, before: ActiveSet | None, by: str, now: datetime) -> ActiveSet:
        """Returns a set with an entry for each of these files; those it lacks are bundled."""
        own = {key: ActivePrompt(origin=self._file(key), since=now, by=by) for key in self.registry.files}
        if before is None:
            return ActiveSet(prompts=own)
        return ActiveSet(prompts={**own, **before.prompts}, models=before.models)

    def _pin(self, key: str, known: ActivePrompt | None) -> str | None:
        """Returns the pin of a prompt. A pin of another name than the settings have now does not count."""
        if known is None:
            return None
        same_name = isinstance(known.origin, FromHub) and self._comes_from(key, known.origin.name)
        return known.pin if same_name or known.pin == BUNDLED else None

    def _comes_from(self, key: str, name: str) -> bool:
        return key in self._refs and self._refs[key][0] == name

    def _not_from_hub(self, key: str, name: str) -> PromptInvalidError:
        source = f"it comes from {self._refs[key][0]}" if key in self._refs else "it is bundled"
        return PromptInvalidError(
            prompts={key: [f"{source}; CHECKERBOARD_HUB_PROMPTS has to name {name} for it first"]}
        )

    async def _pull(self, refs: Mapping[str, Ref], known: Mapping[str, ActivePrompt]) -> dict[str, FromHub]:
        """Returns what `refs` names. A commit that is active already, which never changes, is not pulled
        again."""
        active = {}
        for key, ref in refs.items():
            origin = known[key].origin if key in known else None
            if isinstance(origin, FromHub) and (origin.name, origin.commit) == ref:
                active[key] = origin
        missing = {key: ref for key, ref in refs.items() if key not in active}
        return {**active, **(await pull_all(self._hub, missing, self.registry.files)).all_or_none()}

    def _file(self, key: str) -> Bundled:
        return Bundled(commit=self.registry.files[key].version)


def _changed(
    current: ActivePrompt | None, origin: Origin, pin: str | None, by: str, now: datetime
) -> ActivePrompt:
    """Returns the entry of a prompt with another origin or pin; `current` itself where nothing changes."""
    if current is None:
        return ActivePrompt(origin=origin, pin=pin, since=now, by=by)
    if (current.origin, current.pin) == (origin, pin):
        return current
    # A file that newer code has changed is gone: a roll-back goes to what was active before it.
    same = current.origin == origin or current.origin.source == origin.source == "bundled"
    before = current.before if same else current.origin
    return ActivePrompt(origin=origin, pin=pin, since=now, by=by, before=before)


def _start_warning(error: Exception) -> str:
    reason = error.message if isinstance(error, CheckerboardError) else repr(error)
    if isinstance(error, PromptInvalidError):
        invalid = ", ".join(error.prompts)
        reason = f"{invalid} cannot be used. `changes` of GET /prompts says why; correct it, then reload."
    logger.warning("prompts not renewed at start", extra={"cause": cause(error)})
    return f"The newest prompts could not be taken when the service started: {reason}"


@asynccontextmanager
async def open_prompts(
    settings: Settings, redis: Redis, pool: Pool, *, newest: bool
) -> AsyncIterator[PromptChanges]:
    """Yields this worker's PromptChanges, whose registry is kept at the active set.

    With `newest`, or where no set is active yet, the hub's newest prompts are activated. A Redis or a hub
    that is away is a warning: the last good prompts answer, or the bundled ones.

    Raises:
        SetupError: a bundled prompt is none, or the settings name a prompt or a purpose that there is not.
    """
    registry = PromptRegistry.bundled(*PACKAGES, models=settings.models)
    if problem := registry.unknown_purposes(settings.models):
        raise SetupError(f"CHECKERBOARD_MODELS: {problem}.")
    refs = parse_hub_names(settings.hub_prompts, registry.files)
    store = ActiveSetStore(redis)
    async with open_hub(settings) as hub:
        changes = PromptChanges(registry, store, AuditLog(pool), hub, refs)
        watcher = Watcher(registry, store, redis)
        try:
            await watcher.poll()
            if newest or registry.active is None:
                await changes.start()
        except (RedisError, OSError) as error:
            registry.shared_warning = "Redis is away: the bundled prompts answer."
            logger.warning("active prompts not read: the bundled ones answer", extra={"cause": cause(error)})
        watching = asyncio.create_task(watcher.watch())
        try:
            yield changes
        finally:
            watching.cancel()
            await asyncio.wait({watching})
