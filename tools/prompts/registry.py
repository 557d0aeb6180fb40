"""A worker's copy of the prompts in force."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from tools.core.errors import PromptInvalidError
from tools.llm.model_choice import ModelChoice
from tools.postings.contracts import Language
from tools.prompts import prompt as prompts
from tools.prompts.active_set import ActiveSet, FromHub
from tools.prompts.prompt import Prompt, PromptFile, Texts

PACKAGES = ("nodes", "ingest.tagging")
"""Where the prompts of the graph and of ingest's tagging are bundled."""


@dataclass(frozen=True)
class PromptSet:
    """Prompts that belong together, by key (`filter_jobs.ko`). Nothing in it changes."""

    prompts: Mapping[str, Prompt]

    @functools.cached_property
    def version(self) -> str:
        """A hash of all texts and model choices: what one set answers, another of the version would."""
        said = {key: [prompt.version, prompt.model.model_dump()] for key, prompt in self.prompts.items()}
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def get(self, purpose: str, language: Language) -> Prompt:
        """Returns the prompt for a purpose, in a language."""
        return self.prompts[f"{purpose}.{language}"]

    def versions(self, language: Language) -> dict[str, str]:
        """Returns the version of each prompt in a language, by purpose."""
        return {p.purpose: p.version for p in self.prompts.values() if p.language == language}


class PromptRegistry:
    """The prompts that this worker answers from."""

    def __init__(self, files: Mapping[str, PromptFile], models: Mapping[str, ModelChoice]) -> None:
        """`files` are the bundled prompts by key, which are in force until `take` is called; `models` the
        settings' choices by purpose."""
        self.files = files
        self._models = models
        self.own_warning: str | None = None
        """Why this worker answers from other prompts than those in force; None when it does not."""
        self.shared_warning: str | None = None
        """Why those in force are not what the settings ask for; None when they are."""
        self.in_force: ActiveSet | None = None
        """The shared set it follows; None while it answers from its own files alone."""
        self.current = self.of_files()

    @classmethod
    def bundled(cls, *packages: str, models: Mapping[str, ModelChoice] | None = None) -> PromptRegistry:
        """Returns a registry of the prompt files of `packages`.

        Raises:
            SetupError: a file is not a prompt; the message names it.
        """
        found = sorted(prompts.bundled(*packages), key=lambda file: file.contract.key)
        files = {file.contract.key: file for file in found}
        return cls(files, models or {})

    def get(self, purpose: str, language: Language) -> Prompt:
        """Returns the newest prompt for a purpose, in a language. A run takes its prompts from a snapshot of
        `current`, which it keeps though others come into force."""
        return self.current.get(purpose, language)

    def checked(self, in_force: ActiveSet) -> PromptSet:
        """Returns a shared set as prompts. A prompt of these files that the set does not know is taken
        from its file; one that the files do not know is passed over: the code is newer, or older.

        Raises:
            PromptInvalidError: a prompt breaks the contract of its file. `details.prompts` has all that
                is wrong, by key.
        """
        hub = {
            key: entry.origin
            for key, entry in in_force.prompts.items()
            if isinstance(entry.origin, FromHub) and key in self.files
        }
        wrong = {
            key: found
            for key, origin in hub.items()
            if (found := self.files[key].contract.problems(origin.texts))
        }
        if wrong:
            raise PromptInvalidError(prompts=wrong)
        taken = {
            key: self._prompt(key, origin.texts, f"{origin.name}:{origin.commit}", in_force.models)
            for key, origin in hub.items()
        }
        return PromptSet({**self.of_files(in_force.models).prompts, **taken})

    def unknown_purposes(self, models: Mapping[str, ModelChoice]) -> str | None:
        """Returns what is wrong with the purposes for which models are chosen, None when nothing is."""
        purposes = {file.contract.purpose for file in self.files.values()}
        unknown = ", ".join(sorted(set(models) - purposes))
        return f"no such purpose: {unknown}; there are {', '.join(sorted(purposes))}" if unknown else None

    def take(self, in_force: ActiveSet) -> None:
        """Puts a shared set in force in this worker; runs that have begun keep theirs.

        Raises:
            PromptInvalidError: as `checked`; what was in force stays.
        """
        checked = self.checked(in_force)
        self.current, self.in_force, self.own_warning = checked, in_force, None

    def of_files(self, models: Mapping[str, ModelChoice] | None = None) -> PromptSet:
        """Returns the bundled prompts, with `models` over the settings' choices."""
        own = {
            key: self._prompt(key, file.texts, file.version, models or {}) for key, file in self.files.items()
        }
        return PromptSet(own)

    def _prompt(self, key: str, texts: Texts, version: str, models: Mapping[str, ModelChoice]) -> Prompt:
        contract = self.files[key].contract
        configured = self._models.get(contract.purpose, ModelChoice())
        choice = models.get(contract.purpose, ModelChoice()).over(configured)
        return prompts.prompt(contract, texts, version, choice)
