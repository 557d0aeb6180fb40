"""The judge: a model that marks a project by the rubric, and says which of two is better.

The rubric is in the prompts beside this file. Projects, profiles and postings stand in fences and are data.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field

from evals.evaluators.base import Json, Score, absent, all_absent, number
from nodes.posting_lines import excerpt
from nodes.prompt_data import profile_row
from tools.core.contracts import Language
from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.core.fencing import fence
from tools.core.settings import Settings
from tools.core.tracing import traced
from tools.llm.chat import ChatModel
from tools.llm.journal import Call
from tools.llm.openai_client import open_http_client
from tools.llm.token_estimates import usd
from tools.prompts.registry import PromptRegistry

Side = Literal["a", "b", "tie"]
JudgeEvaluator = Callable[[Json, Json, Json], Awaitable[list[Score]]]
SchemaT = TypeVar("SchemaT", bound=BaseModel)

CRITERIA = {
    "judge_fit": "fit",
    "judge_grounding": "grounding",
    "judge_concreteness": "concreteness",
    "judge_feasibility": "feasibility",
}
"""The criteria of the rubric by metric."""
_EXCERPT = 800
"""Characters of each text of a posting: quotes must be found in it, so only the longest are cut."""
_POSTINGS = 10
"""Postings in a prompt: those that the projects quote first."""
_A_FIRST: dict[str, Side] = {"first": "a", "second": "b", "tie": "tie"}
_B_FIRST: dict[str, Side] = {"first": "b", "second": "a", "tie": "tie"}


class Mark(BaseModel):
    """A mark by one criterion."""

    reason: str = Field(min_length=1, description="why, naming words of the project or a posting_id")
    score: int = Field(ge=1, le=5)


class Marks(BaseModel):
    """The marks of one project."""

    fit: Mark
    grounding: Mark
    concreteness: Mark
    feasibility: Mark


class Verdict(BaseModel):
    """Which of two projects is better."""

    reason: str = Field(min_length=1)
    better: Literal["first", "second", "tie"]


@dataclass(frozen=True, slots=True)
class Setting:
    """The person and the market a project is judged for: `wishes` are those of its turn."""

    language: Language
    profile: Json
    postings: Mapping[str, Json]
    wishes: Json


@dataclass(frozen=True, slots=True)
class Preference:
    """Which project is better, asked in both orders.

    `better` is `tie` when the judge says so both times or contradicts itself. `one_place`: it chose the same
    place in both orders, so the place decided and not the project.
    """

    better: Side
    one_place: bool
    reasons: tuple[str, str]


class Judge:
    """Asks a chat model to judge. Raises ModelUnavailableError and ModelOutputError as the model fails."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        self._prompts = PromptRegistry.bundled("evals.judge").current

    @property
    def versions(self) -> dict[str, str]:
        """The judging model, and the hash of each prompt by key (`judge_pair.ko`)."""
        prompts = {key: prompt.version for key, prompt in self._prompts.prompts.items()}
        return {"model": self._chat.model_name, **prompts}

    async def mark(self, setting: Setting, project: Json) -> Marks:
        """Marks a project by each criterion of the rubric, 1 to 5."""
        return await self._ask("judge_project", setting, Marks, project=project)

    async def prefer(self, setting: Setting, a: Json, b: Json) -> Preference:
        """Says which of two projects is better, after asking in both orders at once."""
        one, other = await asyncio.gather(
            self._ask("judge_pair", setting, Verdict, first=a, second=b),
            self._ask("judge_pair", setting, Verdict, first=b, second=a),
        )
        sides = (_A_FIRST[one.better], _B_FIRST[other.better])
        return Preference(
            better=sides[0] if sides[0] == sides[1] else "tie",
            one_place=one.better == other.better != "tie",
            reasons=(one.reason, other.reason),
        )

    async def _ask(self, purpose: str, setting: Setting, schema: type[SchemaT], **projects: Json) -> SchemaT:
        request = {"desired_job": setting.profile.get("desired_job"), **setting.wishes}
        blocks = {
            "request": fence("request", request),
            "profile": fence("profile", profile_row(setting.profile)),
            "postings": fence("postings", _posting_rows(setting.postings, projects.values())),
        }
        for name, project in projects.items():
            # An id could tell the judge where a project comes from.
            blocks[name] = fence(name, {key: value for key, value in project.items() if key != "subject_id"})
        prompt = self._prompts.get(purpose, setting.language)
        return (await self._chat.ask(prompt, blocks, schema, lambda _: [])).value


def _posting_rows(postings: Mapping[str, Json], projects: Iterable[Json]) -> list[Json]:
    quoted = {quote["posting_id"] for project in projects for quote in project["evidence"]}
    ids = [i for i in dict.fromkeys([*sorted(quoted), *postings]) if i in postings]
    texts = ("responsibilities", "requirements", "preferred")
    return [
        {
            "posting_id": i,
            "job_title": postings[i]["job_title"],
            **{key: excerpt(postings[i].get(key) or "", _EXCERPT) for key in texts},
            "skills": postings[i].get("skills") or [],
        }
        for i in ids[:_POSTINGS]
    ]


def skip_reason(settings: Settings) -> str | None:
    """Returns why the judge is left out under these settings, or None when it can be asked."""
    return "offline: the offline model cannot judge; set OPENAI_API_KEY" if settings.offline else None


@asynccontextmanager
async def open_chat(settings: Settings) -> AsyncIterator[ChatModel]:
    """Yields the chat model that judges, `settings.judge_model` where it is set."""
    own = settings.model_copy(update={"chat_model": settings.judge_model or settings.chat_model})
    async with traced(), open_http_client(own) as http_client:
        yield ChatModel(own, http_client)


def evaluator(chat: ChatModel) -> JudgeEvaluator:
    """Returns an evaluator that has the first answer's project marked, 1 to 5 by each criterion of the
    rubric; higher is better.

    Scores are None, and say why, for a case without an answer and for one on which the judge's own answer
    stayed invalid or did not come. `judge_usd` is what its calls cost. Cannot see regenerations (their wishes
    are checked by rule); `pairwise.py` tells how far the judge agrees with people.
    """

    async def evaluate(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
        if not outputs.get("answers"):
            return all_absent(CRITERIA)
        calls: list[Call] = []
        judge = Judge(chat.for_run(None, calls))
        try:
            marks = await judge.mark(setting_of(inputs, outputs), outputs["answers"][0]["project"])
        except (ModelOutputError, ModelUnavailableError) as error:
            why = f"the judge gave no valid answer: {error.message}"
            return [*all_absent(CRITERIA, why), _cost(calls)]
        by_key: dict[str, Mark] = {key: getattr(marks, name) for key, name in CRITERIA.items()}
        return [*(number(key, mark.score, mark.reason) for key, mark in by_key.items()), _cost(calls)]

    return evaluate


def _cost(calls: Sequence[Call]) -> Score:
    if any(call.input_tokens is None for call in calls):
        return absent("judge_usd", "an API did not tell its tokens")
    paid = [usd(call.model, call.input_tokens or 0, call.output_tokens or 0) for call in calls]
    known = [price for price in paid if price is not None]
    if len(known) < len(paid):
        return absent("judge_usd", f"price unknown: {calls[0].model}")
    return number("judge_usd", sum(known))


def setting_of(inputs: Json, outputs: Json) -> Setting:
    """Returns the setting of a case's first answer: the market are its kept postings."""
    kept = {p["posting_id"] for p in outputs["answers"][0]["postings"] if p["kept"]}
    postings: dict[str, Any] = {i: posting for i, posting in outputs["postings"].items() if i in kept}
    return Setting(inputs["language"], inputs["profile"], postings, wishes={})
