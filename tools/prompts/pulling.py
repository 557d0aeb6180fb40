"""Prompts as they come from the hub, many at a time, and what is wrong with each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from tools.core.errors import HubUnavailableError, PromptInvalidError, PromptNotFoundError
from tools.prompts.active_set import FromHub
from tools.prompts.hub import Hub
from tools.prompts.manifest import ManifestError, texts_of
from tools.prompts.prompt import PromptFile

PULL_SECONDS = 30.0
"""How long all prompts together may take to come from the hub."""
LONGEST_PROBLEM = 500
"""Characters of what is told of a problem; one about every field of the longest schema has half of that."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of the hub, by key (`filter_jobs.ko`)."""

    came: dict[str, FromHub] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """Why a prompt cannot be used, also where it came; a sentence for each problem."""
    away: dict[str, list[str]] = field(default_factory=dict)
    """Why the hub did not give a prompt."""

    def require(self) -> None:
        """Raises HubUnavailableError where the hub did not give a prompt."""
        if self.away:
            raise HubUnavailableError(next(iter(self.away.values()))[0], prompts=self.away)

    def all_or_none(self) -> dict[str, FromHub]:
        """Returns the prompts when every one of them can be used.

        Raises:
            PromptInvalidError: one cannot. `details.prompts` has all that is wrong, by key.
            HubUnavailableError: the hub did not give one.
        """
        if self.wrong:
            raise PromptInvalidError(prompts={**self.wrong, **self.away})
        self.require()
        return self.came


async def pulled(
    hub: Hub | None, refs: Mapping[str, tuple[str, str]], files: Mapping[str, PromptFile]
) -> Pulled:
    """Asks the hub for all that `refs` names (name and ref, by key), at the same time, and holds what
    comes against the contracts of `files`.

    Raises:
        HubUnavailableError: together they take too long, or there is no hub to ask.
    """
    if not refs:
        return Pulled()
    if hub is None:
        raise HubUnavailableError(
            "CHECKERBOARD_HUB_PROMPTS is set without LANGSMITH_API_KEY. The operator has to set both."
        )
    try:
        async with asyncio.timeout(PULL_SECONDS):
            asked = (_one(hub, name, ref, files[key]) for key, (name, ref) in refs.items())
            found = await asyncio.gather(*asked)
    except TimeoutError as error:
        raise HubUnavailableError("LangSmith takes too long. Ask again in a moment.") from error
    result = Pulled()
    for key, outcome in zip(refs, found, strict=True):
        match outcome:
            case FromHub():
                result.came[key] = outcome
                if problems := files[key].contract.problems(outcome.texts):
                    result.wrong[key] = [_told(problem) for problem in problems]
            case HubUnavailableError():
                result.away[key] = [_told(outcome.message)]
            case _:
                result.wrong[key] = [_told(str(outcome))]
    return result


def _told(problem: str) -> str:
    """Returns a problem as it can be stored and sent: what it quotes of a commit may be megabytes, and hold
    what no database takes."""
    cut = problem if len(problem) <= LONGEST_PROBLEM else problem[: LONGEST_PROBLEM - 1] + "…"
    return "".join(character if character.isprintable() else "\ufffd" for character in cut)


async def _one(
    hub: Hub, name: str, ref: str, file: PromptFile
) -> FromHub | HubUnavailableError | PromptNotFoundError | ManifestError:
    try:
        commit = await hub.pull(name, ref)
        texts = texts_of(commit.manifest, file.contract.schema_name)
    except (HubUnavailableError, PromptNotFoundError, ManifestError) as error:
        return error
    return FromHub(name=name, commit=commit.hash, system=texts.system, human=texts.human)
