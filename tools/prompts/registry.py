"""The prompts that a worker answers from, and the watcher that keeps them at the active set in Redis."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tools.core.contracts import Language
from tools.core.errors import PromptInvalidError
from tools.core.logs import cause
from tools.core.settings import ModelChoice
from tools.prompts import prompt as prompts
from tools.prompts.active_set import CHANNEL, ActiveSet, ActiveSetStore, FromHub
from tools.prompts.prompt import Prompt, PromptFile, Texts

logger = logging.getLogger(__name__)

PACKAGES = ("nodes", "tools.resume", "ingest.tagging")
"""Where the prompts of the graph, of résumés and of ingest's tagging are bundled."""
POLL_SECONDS = 1.0
"""A watcher polls this often, in case it missed an announcement."""


@dataclass(frozen=True)
class PromptSet:
    """Prompts that belong together, by key (`filter_jobs.ko`). It never changes."""

    prompts: Mapping[str, Prompt]

    @functools.cached_property
    def version(self) -> str:
        """A hash of all texts and model choices."""
        content = {key: [prompt.version, prompt.model.model_dump()] for key, prompt in self.prompts.items()}
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def get(self, purpose: str, language: Language) -> Prompt:
        """Returns the prompt for a purpose, in a language."""
        return self.prompts[f"{purpose}.{language}"]

    def versions(self, language: Language) -> dict[str, str]:
        """Returns the version of each prompt in a language, by purpose."""
        return {p.purpose: p.version for p in self.prompts.values() if p.language == language}


class PromptRegistry:
    """The prompts that this worker answers from."""

    def __init__(self, files: Mapping[str, PromptFile], models: Mapping[str, ModelChoice]) -> None:
        """Starts with the bundled prompts.

        Args:
            files: the bundled prompts, by key.
            models: the settings' choices, by purpose.
        """
        self.files = files
        self._models = models
        self.own_warning: str | None = None
        """Why this worker does not answer from the active set; None when it does."""
        self.shared_warning: str | None = None
        """Why the active set is not what the settings ask for; None when it is."""
        self.active: ActiveSet | None = None
        """The active set; None while this worker answers from its own files alone."""
        self.current = self.bundled_set()

    @classmethod
    def bundled(cls, *packages: str, models: Mapping[str, ModelChoice] | None = None) -> PromptRegistry:
        """Returns a registry of the prompt files of `packages`.

        Raises:
            SetupError: a file is not a prompt; the message names it.
        """
        files = {file.contract.key: file for file in prompts.bundled(*packages)}
        return cls(dict(sorted(files.items())), models or {})

    def get(self, purpose: str, language: Language) -> Prompt:
        """Returns the newest prompt for a purpose, in a language. A run takes its prompts from a snapshot of
        `current` (`tools.context`)."""
        return self.current.get(purpose, language)

    def checked(self, active: ActiveSet) -> PromptSet:
        """Returns a shared set as prompts. A prompt that the set lacks is taken from its file, and one that
        the files lack is left out: the set is then of older or newer code.

        Raises:
            PromptInvalidError: a prompt breaks the contract of its file; `prompts` has all that is wrong,
                by key.
        """
        hub = {
            key: entry.origin
            for key, entry in active.prompts.items()
            if isinstance(entry.origin, FromHub) and key in self.files
        }
        problems = {key: self.files[key].contract.problems(origin.texts) for key, origin in hub.items()}
        if invalid := {key: listed for key, listed in problems.items() if listed}:
            raise PromptInvalidError(prompts=invalid)
        pulled = {
            key: self._prompt(key, origin.texts, f"{origin.name}:{origin.commit}", active.models)
            for key, origin in hub.items()
        }
        return PromptSet({**self.bundled_set(active.models).prompts, **pulled})

    def unknown_purposes(self, models: Mapping[str, ModelChoice]) -> str | None:
        """Returns what is wrong with the purposes for which models are chosen, None when nothing is."""
        purposes = {file.contract.purpose for file in self.files.values()}
        unknown = ", ".join(sorted(set(models) - purposes))
        return f"no such purpose: {unknown}; there are {', '.join(sorted(purposes))}" if unknown else None

    def activate(self, active: ActiveSet) -> None:
        """Makes a shared set active in this worker; runs keep their snapshots.

        Raises:
            PromptInvalidError: as `checked`; nothing changes.
        """
        checked = self.checked(active)
        self.current, self.active, self.own_warning = checked, active, None

    def bundled_set(self, models: Mapping[str, ModelChoice] | None = None) -> PromptSet:
        """Returns the bundled prompts, with `models` over the settings' choices."""
        return PromptSet(
            {
                key: self._prompt(key, file.texts, file.version, models or {})
                for key, file in self.files.items()
            }
        )

    def _prompt(self, key: str, texts: Texts, version: str, models: Mapping[str, ModelChoice]) -> Prompt:
        contract = self.files[key].contract
        configured = self._models.get(contract.purpose, ModelChoice())
        choice = models.get(contract.purpose, ModelChoice()).over(configured)
        return prompts.prompt(contract, texts, version, choice)


class Watcher:
    """Keeps a worker's registry at the active set in Redis."""

    def __init__(self, registry: PromptRegistry, store: ActiveSetStore, redis: Redis) -> None:
        self._registry = registry
        self._store = store
        self._redis = redis
        self._seen: str | None = None
        """The version that was activated or refused last, so that a bad one is refused once."""

    async def poll(self) -> None:
        """Activates the set in Redis when it is another than the one seen last.

        A set that breaks a contract of this worker's files is refused: the worker stays with its own, with a
        warning. A Redis that has lost the set is given this worker's.

        Raises:
            RedisError: Redis does not answer.
        """
        registry = self._registry
        version, warning = await self._store.state()
        if version is None:
            if registry.active is not None and registry.own_warning is None:
                logger.warning("Redis has lost the active prompts: they are written again")
                await self._store.restore(registry.active)
            return  # with the warning of a start that could not write one
        registry.shared_warning = warning
        if version == self._seen:
            return
        active = await self._store.read()
        instead = f"it answers from its {'bundled' if registry.active is None else 'last good'} ones."
        if active is None:
            registry.own_warning = f"The active prompts cannot be read; {instead}"
        elif active != registry.active:  # else a change of this worker has activated it already
            try:
                registry.activate(active)
            except PromptInvalidError as error:
                misfits = ", ".join(error.prompts)
                registry.own_warning = (
                    f"The active prompts do not fit this worker's code ({misfits}); {instead}"
                )
                logger.warning("active prompts refused", extra={"prompts": list(error.prompts)})
            else:
                logger.info("prompts activated", extra={"version": registry.current.version})
        self._seen = version

    async def watch(self) -> None:
        """Polls whenever a change is announced, and every second; ends when it is cancelled."""
        redis_is_away = False
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    while True:
                        await self.poll()
                        redis_is_away = False
                        await pubsub.get_message(ignore_subscribe_messages=True, timeout=POLL_SECONDS)
            except (RedisError, OSError) as error:
                if not redis_is_away:
                    logger.warning("prompts are not watched: Redis is away", extra={"cause": cause(error)})
                redis_is_away = True
            except Exception as error:
                logger.error("watching the prompts failed", exc_info=error)  # noqa: TRY400
            await asyncio.sleep(POLL_SECONDS)
