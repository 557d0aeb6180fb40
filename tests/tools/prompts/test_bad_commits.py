"""Commits that cannot be a prompt of this service: refused by a reload, each with its reason."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.langsmith import LangSmith
from tests.langsmith.manifests import chat, constructor, in_jinja, structured
from tests.tools.prompts.conftest import FILES, Messages, Opened, commit_all, messages, texts
from tools.core.errors import PromptInvalidError
from tools.prompts.changes import PromptChanges
from tools.prompts.hub import LONGEST_PROBLEM, manifest_of
from tools.prompts.prompt import MAX_HUMAN_CHARS, MAX_SYSTEM_CHARS, Texts

KEY = "filter_jobs.ko"
SYSTEM, HUMAN = texts(KEY).system, texts(KEY).human


def said(system: str = SYSTEM, human: str = HUMAN) -> dict[str, Any]:
    """A manifest of texts that LangChain's own class might refuse."""
    manifest = copy.deepcopy(chat(messages(KEY)))
    for message, text in zip(manifest["kwargs"]["messages"], (system, human), strict=True):
        message["kwargs"]["prompt"]["kwargs"]["template"] = text
    return manifest


def with_kwargs(part: int | None = None, **kwargs: Any) -> dict[str, Any]:
    """A good manifest with other arguments: of the whole prompt, or of one message's template."""
    manifest = said()
    inner = manifest if part is None else manifest["kwargs"]["messages"][part]["kwargs"]["prompt"]
    inner["kwargs"] |= kwargs
    return manifest


def plain() -> Messages:
    return messages(KEY)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a placeholder missing": (said(human="{request}\n{postings}"), "has to have ['postings', 'profile'"),
    "a placeholder more": (said(human=f"{HUMAN}\n{{notes}}"), "'notes'"),
    "a placeholder twice": (said(human=f"{HUMAN}\n{{request}}"), "each once"),
    "a placeholder without a name": (said(human=f"{HUMAN}\n{{}}"), "['', 'postings'"),
    "an attribute": (said(human=HUMAN.replace("{request}", "{request.__class__}")), "request.__class__"),
    "an index": (said(human=HUMAN.replace("{request}", "{request[0]}")), "request[0]"),
    "a conversion": (said(human=HUMAN.replace("{request}", "{request!r}")), "request!r"),
    "a format": (said(human=HUMAN.replace("{request}", "{request:>9999999}")), "request:>9999999"),
    "an empty format": (said(human=HUMAN.replace("{request}", "{request:}")), "alone on its line"),
    "a placeholder within a format": (
        said(human=HUMAN.replace("{request}", "{request:{profile}}")),
        "{profile}",
    ),
    "data in the middle of a line": (
        said(human=HUMAN.replace("{request}", "자료: {request}")),
        "alone on its line",
    ),
    "data among the instructions": (
        said(system=f"{SYSTEM}\n{{postings}}"),
        "postings stand among the instructions",
    ),
    "an open brace": (said(system=f"{SYSTEM}\n{{"), "not doubled"),
    "a brace that closes nothing": (said(system=f"{SYSTEM}\n}}"), "not doubled"),
    "no instructions": (said(system=" \n"), "the system part is empty"),
    "nothing for data": (said(human=""), "the human part is empty"),
    "instructions too long": (said(system=SYSTEM + "가" * MAX_SYSTEM_CHARS), f"at most {MAX_SYSTEM_CHARS}"),
    "a human part too long": (said(human=HUMAN + "가" * MAX_HUMAN_CHARS), f"at most {MAX_HUMAN_CHARS}"),
    "a control character": (said(system=f"{SYSTEM}\x1b[2J"), "control characters"),
    "a byte order mark": (said(system=f"\ufeff{SYSTEM}"), "control characters"),
    "a fence of its own": (said(human=f"<request>\n{{{{}}}}\n</request>\n{HUMAN}"), "which only the service"),
    "a field of the answer not named": (said(system=SYSTEM.replace("posting_id", "id")), "fields posting_id"),
    "jinja2": (in_jinja(plain()), "jinja2 template"),
    "mustache": (with_kwargs(1, template_format="mustache"), "mustache template"),
    "partial variables": (chat(plain(), {"request": "…"}), "request itself (partial variables)"),
    "partial variables of a message": (with_kwargs(0, partial_variables={"a": "b"}), "a itself (partial"),
    "partial variables of no known form": (with_kwargs(partial_variables=5), "partial variables"),
    "a model": (
        constructor("langchain", "chat_models", "openai", "ChatOpenAI", model="gpt"),
        "it is a ChatOpenAI",
    ),
    "a class of somebody else's": (
        constructor("evil", "ChatPromptTemplate", messages=[]),
        "evil.ChatPromptTemplate",
    ),
    "no class at all": ({"lc": 1, "type": "not_implemented", "id": ["x"]}, "no serialised prompt"),
    "a secret": ({"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}, "no serialised prompt"),
    "another schema": (
        structured(plain(), {"title": "Other", "type": "object", "properties": {}}),
        "schema is Other",
    ),
    "three messages": (chat([*plain(), ("human", "답하십시오")]), "two messages"),
    "one message": (chat(plain()[1:]), "two messages"),
    "no messages": (with_kwargs(messages=None), "two messages"),
    "the wrong order": (chat(plain()[::-1]), "first message is a HumanMessagePromptTemplate"),
    "an answer in place of data": (
        chat([plain()[0], ("ai", HUMAN)]),
        "second message is a AIMessagePromptTemplate",
    ),
    "a template that is no text": (with_kwargs(0, template=["x"]), "has no text"),
}


@pytest.fixture(scope="module")
async def changes(langsmith: LangSmith, opened_for_module: Opened) -> AsyncIterator[PromptChanges]:
    """One service for all: nothing that is refused leaves a trace in it."""
    commit_all(langsmith, "좋은 것")
    async with opened_for_module() as opened:
        yield opened


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_commit_is_refused_with_its_reason(
    langsmith: LangSmith, changes: PromptChanges, kind: str
) -> None:
    manifest, reason = BAD[kind]
    before = changes.registry.current
    langsmith.commit("filter-ko", manifest)
    with pytest.raises(PromptInvalidError) as refused:
        await changes.reload("ada")
    assert list(refused.value.prompts) == [KEY]
    assert reason in " ".join(refused.value.prompts[KEY])
    assert changes.registry.current is before


GOOD: dict[str, dict[str, Any]] = {
    "a schema of the right name": structured(
        plain(), {"title": "JobVerdicts", "type": "object", "properties": {}}
    ),
    "plain messages": constructor(
        "langchain",
        "prompts",
        "chat",
        "ChatPromptTemplate",
        messages=[
            constructor("langchain", "schema", "messages", "SystemMessage", content=SYSTEM.format()),
            chat(plain())["kwargs"]["messages"][1],
        ],
    ),
    "line ends of Windows": said(SYSTEM.replace("\n", "\r\n"), HUMAN.replace("\n", "\r\n")),
}


@pytest.mark.parametrize("kind", GOOD)
async def test_a_prompt_that_was_saved_another_way_is_taken(
    langsmith: LangSmith, changes: PromptChanges, kind: str
) -> None:
    commit = langsmith.commit("filter-ko", GOOD[kind])
    await changes.reload("ada")
    taken = changes.registry.get("filter_jobs", "ko")
    assert taken.commit == commit
    own = changes.registry.bundled_set().get("filter_jobs", "ko")
    blocks = {name: f"<{name}>" for name in FILES[KEY].contract.blocks}
    assert taken.render(blocks) == own.render(blocks)


HOSTILE: dict[str, dict[str, Any]] = {
    "a class that PostgreSQL cannot store": constructor("langchain", "x\x00y"),
    "a name that PostgreSQL cannot store": with_kwargs(partial_variables={"x\x00y": "x"}),
    "a placeholder of megabytes": said(f"{SYSTEM}{{{'x' * 2_000_000}}}"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_is_told_of_a_hostile_commit_can_be_stored_and_read(
    langsmith: LangSmith, changes: PromptChanges, opened_for_module: Opened, kind: str
) -> None:
    langsmith.commit("filter-ko", HOSTILE[kind])
    with pytest.raises(PromptInvalidError) as refused:
        await changes.reload("ada")
    told = refused.value.prompts[KEY]
    assert all(problem.isprintable() and len(problem) <= LONGEST_PROBLEM for problem in told)
    [change] = await changes.audit_log.newest(1)
    assert change.problems["prompts"] == {KEY: told}
    async with opened_for_module(newest=True) as started:
        assert f"{KEY} cannot be used" in str(started.registry.shared_warning)


def test_a_half_of_a_surrogate_pair_is_refused() -> None:
    """JSON can carry one, and nothing that is stored can."""
    assert FILES[KEY].contract.problems(Texts(f"{SYSTEM}\ud83d", HUMAN)) == [
        "the system part has control characters"
    ]


def test_what_is_pushed_can_be_pulled() -> None:
    assert manifest_of(texts(KEY)) == chat(plain())
