"""What is evaluated: a case goes in, its answers come out with all that evaluators look at."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

from evals.datasets.cases import Inputs, Turn
from evals.runs.baseline import Baseline
from evals.runs.corpus import truth
from graph.errors import to_service_error
from graph.sessions.checkpointer import open_checkpointer
from graph.sessions.sessions import Run, Sessions
from tools.core.errors import CheckerboardError, InternalError
from tools.core.settings import Settings
from tools.llm.journal import Call
from tools.llm.prices import usd
from tools.postings.contracts import Language, Profile, Wishes
from tools.prompts.registry import PromptRegistry, PromptSet
from tools.services import Services, open_services

logger = logging.getLogger(__name__)

Variant = Literal["split", "baseline"]
"""The service as it is, or the one prompt it has to beat."""
PromptChoice = Literal["in-force", "bundled", "hub"]


class Answering(Protocol):
    """A variant: both ways of asking return an `Answer` as JSON, or raise a CheckerboardError. The calls of
    models that were made for it are appended to `calls`."""

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        """Returns the first answer of a new session."""

    async def regenerate(self, session_id: str, wishes: Wishes, calls: list[Call]) -> dict[str, Any]:
        """Returns the next answer of a session."""


@dataclass(frozen=True, slots=True)
class Target:
    """A variant over one corpus and one set of prompts, which no reload changes meanwhile."""

    services: Services
    variant: Variant
    answering: Answering
    prompts: PromptSet

    async def run(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the outputs for the `inputs` of a case; what they are is described in
        `docs/evaluations.md`. It raises nothing: what fails is a result, told in the outputs."""
        inputs = Inputs.model_validate(given)
        outputs: dict[str, Any] = {
            "error": None,
            "answers": [],
            "turns": [],
            "postings": {},
            "calls": [],
            "seconds": [],
            "variant": self.variant,
        }
        first = await self._asked(
            outputs, lambda calls: self.answering.generate(inputs.profile, inputs.language, calls)
        )
        if isinstance(first, CheckerboardError):
            return {**outputs, "error": first.as_json()}
        answer = first
        for turn in inputs.turns:
            wishes = _wishes(turn, answer)
            regenerate = partial(self.answering.regenerate, answer["session_id"], wishes)
            after = await self._asked(outputs, regenerate)
            if isinstance(after, CheckerboardError):
                outputs["turns"].append({"wishes": wishes.model_dump(), "error": after.as_json()})
                break
            outputs["turns"].append({"wishes": wishes.model_dump(), "error": None})
            answer = after
        try:
            outputs["postings"] = await self._postings(first["postings"])
        except Exception as error:  # noqa: BLE001 - without its postings nothing of the case can be judged
            return {**outputs, "answers": [], "turns": [], "error": _ours(error).as_json()}
        return outputs

    async def _asked(
        self, outputs: dict[str, Any], ask: Callable[[list[Call]], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any] | CheckerboardError:
        """Awaits an answer; notes it, what it cost and how long it took, or returns what failed."""
        calls: list[Call] = []
        turn = len(outputs["seconds"])
        began = time.monotonic()
        try:
            answer = await ask(calls)
        except Exception as error:  # noqa: BLE001 - whatever fails is the outcome of the case
            return _ours(error)
        finally:
            outputs["seconds"].append(round(time.monotonic() - began, 4))
            outputs["calls"] += [_call(turn, call) for call in calls]
        outputs["answers"].append(answer)
        return answer

    async def _postings(self, retrieved: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns what was retrieved, whole, with what is known of it."""
        stored = await self.services.postings.by_ids([row["posting_id"] for row in retrieved])
        known = truth()
        return {
            posting_id: {
                **posting.model_dump(mode="json"),
                "family": None,
                "hostile": False,
                **known.get((posting.source, posting.source_id), {}),
            }
            for posting_id, posting in stored.items()
        }


class _Split:
    """The service's own sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        """As `Answering.generate`."""
        return await _answered(self._sessions.generate(profile, language), calls)

    async def regenerate(self, session_id: str, wishes: Wishes, calls: list[Call]) -> dict[str, Any]:
        """As `Answering.regenerate`."""
        return await _answered(self._sessions.regenerate(session_id, wishes), calls)


async def _answered(run: Run, calls: list[Call]) -> dict[str, Any]:
    try:
        return await run.answer()
    finally:
        calls += run.calls


@asynccontextmanager
async def open_target(settings: Settings, variant: Variant, prompts: PromptChoice) -> AsyncIterator[Target]:
    """Yields the variant over the postings that `settings` name.

    `prompts`: those that the service answers from, the files of this checkout, or the newest of the hub,
    which are not put in force by it.

    Raises:
        PromptInvalidError, HubUnavailableError: the hub's prompts cannot be used.
        SetupError: a store does not answer.
    """
    async with open_services(settings) as opened:
        match prompts:
            case "in-force":
                chosen = opened.prompts.current
            case "bundled":
                chosen = opened.prompts.of_files()
            case "hub":
                chosen = await opened.prompt_changes.candidate()
        registry = PromptRegistry(opened.prompts.files, settings.models)
        registry.current = chosen
        services = replace(opened, prompts=registry)
        if variant == "baseline":
            baseline = Baseline(services)
            yield Target(services, variant, baseline, baseline.prompts.current)
            return
        saver = await open_checkpointer(settings, services.redis)
        sessions = Sessions(services, saver)
        async with aclosing(sessions):
            yield Target(services, variant, _Split(sessions), chosen)


def _ours(error: Exception) -> CheckerboardError:
    """Returns what failed as an error of ours. One that nobody foresaw is logged with its traceback."""
    ours = to_service_error(error)
    if isinstance(ours, InternalError) and ours is not error:
        logger.error("a case failed in a way that nobody foresaw", exc_info=error)
    return ours


def _wishes(turn: Turn, answer: Mapping[str, Any]) -> Wishes:
    given = turn.model_dump(exclude={"choose", "subject_id"})
    if turn.choose is None or turn.choose >= len(answer["candidates"]):
        return Wishes(**given)
    return Wishes(**given, subject_id=answer["candidates"][turn.choose]["id"])


def _call(turn: int, call: Call) -> dict[str, Any]:
    tokens_in, tokens_out = call.input_tokens, call.output_tokens
    told = tokens_in is not None and tokens_out is not None
    return {
        "turn": turn,
        "purpose": call.purpose,
        "model": call.model,
        "question": call.question,
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        # An API that does not tell its tokens is not one that costs nothing.
        "usd": usd(call.model, tokens_in or 0, tokens_out or 0) if told else None,
        "seconds": round(call.seconds, 4),
        "replayed": call.replayed,
    }
