"""The judge: a model that marks a project by the rubric, and says which of two is better.

The rubric is in the prompts beside this file. Whatever a project, a profile or a posting says stands in
fences and is data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field

from nodes.texts import excerpt, profile_row
from tools.core.fencing import fence
from tools.llm.chat import ChatModel
from tools.postings.contracts import Language
from tools.prompts.registry import PromptRegistry

Json = dict[str, Any]
Side = Literal["a", "b", "tie"]
M = TypeVar("M", bound=BaseModel)

_EXCERPT = 800
"""Characters of each text of a posting: a quote must be found in it, so only the longest are cut."""
_POSTINGS = 10
"""Postings shown: those that the projects quote first."""


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
    """For whom and on what market a project is judged: `wishes` are those of its turn."""

    language: Language
    profile: Json
    postings: Mapping[str, Json]
    wishes: Json


@dataclass(frozen=True, slots=True)
class Preference:
    """Which project is better, asked in both orders.

    `better` is `tie` when the judge says so both times or contradicts itself. `one_place`: it chose the same
    place in both orders, so that place decided and not the project.
    """

    better: Side
    one_place: bool
    reasons: tuple[str, str]


class Judge:
    """Asks a chat model to judge."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        self._prompts = PromptRegistry.bundled("evals.judge").current

    @property
    def versions(self) -> dict[str, str]:
        """What judged: the model, and the hash of each prompt by key (`judge_pair.ko`)."""
        prompts = {key: prompt.version for key, prompt in self._prompts.prompts.items()}
        return {"model": self._chat.model_name, **prompts}

    async def mark(self, setting: Setting, project: Json) -> Marks:
        """Marks a project by each criterion of the rubric, 1 to 5.

        Raises:
            ModelUnavailableError, ModelOutputError: the model failed.
        """
        return await self._ask("judge_project", setting, Marks, project=project)

    async def prefer(self, setting: Setting, a: Json, b: Json) -> Preference:
        """Says which of two projects is better, after asking in both orders at once.

        Raises:
            ModelUnavailableError, ModelOutputError: the model failed.
        """
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

    async def _ask(self, purpose: str, setting: Setting, schema: type[M], **projects: Json) -> M:
        request = {"desired_job": setting.profile.get("desired_job"), **setting.wishes}
        shown = {name: _shown(project) for name, project in projects.items()}
        blocks = {
            "request": fence("request", request),
            "profile": fence("profile", profile_row(setting.profile)),
            "postings": fence("postings", _posting_rows(setting.postings, projects.values())),
            **{name: fence(name, project) for name, project in shown.items()},
        }
        prompt = self._prompts.get(purpose, setting.language)
        return (await self._chat.ask(prompt, blocks, schema, lambda _: [])).value


_A_FIRST: dict[str, Side] = {"first": "a", "second": "b", "tie": "tie"}
_B_FIRST: dict[str, Side] = {"first": "b", "second": "a", "tie": "tie"}


def _shown(project: Json) -> Json:
    """A project without the ids by which a judge could tell where it came from."""
    return {key: value for key, value in project.items() if key != "subject_id"}


def _posting_rows(postings: Mapping[str, Json], projects: Any) -> list[Json]:
    quoted = [quote["posting_id"] for project in projects for quote in project["evidence"]]
    ids = [i for i in dict.fromkeys([*sorted(set(quoted)), *postings]) if i in postings]
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
