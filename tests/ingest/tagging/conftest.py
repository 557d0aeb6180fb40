"""A tagger over the offline model, and over a model that says what a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ingest.tagging.tagger import Tagger
from local.model import rules
from local.model.server import create_app, running
from tests.offline import SECRET
from tools.core.settings import Settings
from tools.llm.chat import ChatModel
from tools.llm.journal import ResponseJournal
from tools.llm.openai_client import open_http_client
from tools.prompts.registry import PromptRegistry

NOTHING: dict[str, Any] = {
    "responsibilities": [],
    "requirements": [],
    "preferred": [],
    "company": None,
    "employment_type": None,
    "experience": None,
    "location": None,
    "deadline": None,
    "skills": [],
    "normalized_company": None,
    "normalized_skills": [],
}


def stated(*positions: dict[str, Any], common: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer of the model: what is left out of a position is empty."""
    return {
        "is_posting": True,
        "common": NOTHING | (common or {}),
        "positions": [NOTHING | {"normalized_title": None} | position for position in positions],
    }


class Script:
    """The offline model's rules, until a test says what is to be answered instead."""

    KNOWN = rules.KNOWN

    def __init__(self) -> None:
        self._answers: list[dict[str, Any]] = []
        self.asked: list[dict[str, list[dict[str, Any]]]] = []

    def say(self, *answers: dict[str, Any]) -> None:
        """From now on answers come in this order, the last one again and again; without any, by rule."""
        self._answers = list(answers)
        self.asked = []

    def answer(self, schema_name: str, blocks: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        self.asked.append(blocks)
        if not self._answers:
            return rules.answer(schema_name, blocks)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@dataclass(frozen=True, slots=True)
class Server:
    """One model server for all tests: each start of one loads a tokeniser."""

    url: str
    script: Script


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[Server]:
    script = Script()
    async with running(create_app(script, secret=SECRET)) as url:
        yield Server(url, script)


@pytest.fixture
def script(server: Server) -> Iterator[Script]:
    """What the model says; by rule again after the test."""
    server.script.say()
    yield server.script
    server.script.say()


Opened = Callable[..., AbstractAsyncContextManager[Tagger]]


@pytest.fixture
def opened(server: Server, script: Script) -> Opened:
    """Opens a tagger with settings of the test's own."""

    @asynccontextmanager
    async def open_tagger(journal: ResponseJournal | None = None, **update: Any) -> AsyncIterator[Tagger]:
        settings = settings_for(server, **update)
        async with open_http_client(settings) as http_client:
            prompts = PromptRegistry.bundled("ingest.tagging")
            yield Tagger(ChatModel(settings, http_client), prompts, journal)

    return open_tagger


@pytest.fixture
async def tagger(opened: Opened) -> AsyncIterator[Tagger]:
    """A tagger; an answer that is not all of the document goes back once."""
    async with opened(output_retries=1) as tagger:
        yield tagger


def settings_for(server: Server, **update: Any) -> Settings:
    """Settings that name the server."""
    return Settings(openai_base_url=server.url, openai_api_key="any", model_timeout_seconds=60, **update)
