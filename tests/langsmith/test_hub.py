"""The hub of the stand-in, as the real SDK uses it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.prompts.structured import StructuredPrompt
from langsmith import AsyncClient, Client
from langsmith.utils import LangSmithAuthError, LangSmithConflictError, LangSmithError, LangSmithNotFoundError

from tests.langsmith import LangSmith
from tests.langsmith.manifests import constructor, in_jinja, structured

FIRST = [("system", "공고에서 요구하는 기술을 정리하세요."), ("human", "{postings}")]
SECOND = [("system", "공고에서 요구하는 기술을 세 줄로 정리하세요."), ("human", "{postings}")]
NAME = "summarize_ko"


def texts(prompt: Any) -> list[tuple[str, str]]:
    return [(message.prompt.template, message.__class__.__name__) for message in prompt.messages]


def test_a_commit_made_on_the_server_is_pulled_with_its_hash(standin: LangSmith, client: Client) -> None:
    made = standin.commit(NAME, FIRST)
    assert re.fullmatch("[0-9a-f]{64}", made)
    prompt = client.pull_prompt(NAME)
    assert texts(prompt) == texts(ChatPromptTemplate.from_messages(FIRST))
    assert prompt.metadata["lc_hub_commit_hash"] == made
    assert prompt.invoke({"postings": "Kotlin"}).to_string().endswith("Kotlin")


def test_a_process_finds_it_by_its_environment(standin: LangSmith, monkeypatch: pytest.MonkeyPatch) -> None:
    made = standin.commit(NAME, FIRST)
    for name, value in standin.environment().items():
        monkeypatch.setenv(name, value)
    client = Client(auto_batch_tracing=False)
    assert client.pull_prompt_commit(NAME).commit_hash == made
    client.close()


def test_hashes_beginnings_of_hashes_and_tags_name_a_commit(standin: LangSmith, client: Client) -> None:
    old = standin.commit(NAME, FIRST, tags=["production"])
    new = standin.commit(NAME, SECOND, tags=["staging"])
    assert old != new
    named = {"": new, ":latest": new, ":production": old, ":staging": new, f":{old}": old, f":{old[:8]}": old}
    for suffix, commit in named.items():
        assert client.pull_prompt_commit(NAME + suffix).commit_hash == commit, suffix
    standin.commit(NAME, FIRST, tags=["production"])
    assert client.pull_prompt_commit(f"{NAME}:production", skip_cache=True).commit_hash not in (old, new)
    for unknown in (f"{NAME}:nobody", f"{NAME}:{old[:7]}", "no_such_prompt"):
        with pytest.raises(LangSmithNotFoundError, match=r"(Commit|Repository) not found"):
            client.pull_prompt(unknown)


async def test_prompts_are_pushed_and_pulled(
    standin: LangSmith, client: Client, async_client: AsyncClient
) -> None:
    first, second = (ChatPromptTemplate.from_messages(said) for said in (FIRST, SECOND))
    url = client.push_prompt(NAME, object=first, description="요약", commit_tags=["production", "v1"])
    await async_client.push_prompt(NAME, object=second, commit_description="세 줄로", tags=["ko"])
    old, new = standin.hub.repos[NAME].commits
    assert old.commit_hash[:8] in url
    assert texts(client.pull_prompt(f"{NAME}:production")) == texts(first)
    pulled = await async_client.pull_prompt(NAME)
    assert texts(pulled) == texts(second)
    assert (await async_client.pull_prompt_commit(f"{NAME}:v1")).commit_hash == old.commit_hash
    listed = list(client.list_prompt_commits(NAME))
    assert [row.commit_hash for row in listed] == [new.commit_hash, old.commit_hash]
    assert [row.parent_commit_hash for row in listed] == [old.commit_hash, None]
    assert [row.description for row in listed] == ["세 줄로", None]
    assert [row.commit_hash async for row in async_client.list_prompt_commits(NAME, limit=1)] == [
        new.commit_hash
    ]
    described = client.get_prompt(NAME)
    assert described is not None
    assert (described.description, described.tags, described.num_commits) == ("요약", ["ko"], 2)


def test_a_long_history_comes_in_pages(standin: LangSmith, client: Client) -> None:
    made = [standin.commit(NAME, [("human", f"{number}: {{postings}}")]) for number in range(45)]
    assert [row.commit_hash for row in client.list_prompt_commits(NAME)] == made[::-1]
    assert standin.count(f"/commits/-/{NAME}", "GET") == 3


async def test_prompts_are_listed_archived_and_deleted(
    standin: LangSmith, client: Client, async_client: AsyncClient
) -> None:
    for name in ("summarize_ko", "summarize_en", "tag_postings"):
        standin.commit(name, FIRST)
    client.update_prompt("summarize_ko", is_archived=True)
    assert [p.repo_handle for p in client.list_prompts().repos] == ["tag_postings", "summarize_en"]
    found = await async_client.list_prompts(query="summarize", limit=1)
    assert ([p.repo_handle for p in found.repos], found.total) == (["summarize_en"], 1)
    await async_client.delete_prompt("tag_postings")
    assert client.get_prompt("tag_postings") is None
    assert await async_client.get_prompt("summarize_ko") is not None


def test_conflicts_are_refused(standin: LangSmith, client: Client) -> None:
    client.create_prompt(NAME)
    with pytest.raises(LangSmithConflictError, match="already exists"):
        client.create_prompt(NAME)
    first = ChatPromptTemplate.from_messages(FIRST)
    client.push_prompt(NAME, object=first)
    with pytest.raises(LangSmithConflictError, match="Nothing to commit"):
        client.push_prompt(NAME, object=first)
    old = standin.hub.repos[NAME].commits[0].commit_hash
    client.push_prompt(NAME, object=ChatPromptTemplate.from_messages(SECOND), commit_tags="production")
    with pytest.raises(LangSmithConflictError, match="latest commit"):
        client.create_commit(NAME, first, parent_commit_hash=old)
    with pytest.raises(LangSmithConflictError, match="Tag already exists"):
        client.create_commit(NAME, first, tags="production")
    assert standin.hub.repos[NAME].tags["production"] is standin.hub.repos[NAME].commits[1]
    with pytest.raises(LangSmithError, match="repo_handle"):
        client.create_prompt("Summarize KO")


async def test_a_wrong_key_is_refused_everywhere(standin: LangSmith) -> None:
    standin.commit(NAME, FIRST)
    stranger = Client(api_url=standin.url, api_key="lsv2_pt_other", auto_batch_tracing=False)
    async with AsyncClient(api_url=standin.url, api_key="lsv2_pt_other") as other:
        with pytest.raises(LangSmithAuthError, match="Invalid token"):
            stranger.pull_prompt(NAME)
        with pytest.raises(LangSmithAuthError, match="Invalid token"):
            await other.pull_prompt(NAME)
        with pytest.raises(LangSmithAuthError):
            stranger.create_prompt("another")
    stranger.close()


def test_prompts_that_somebody_should_refuse_are_handed_out(standin: LangSmith, client: Client) -> None:
    schema = {"title": "Summary", "type": "object", "properties": {"skills": {"type": "array"}}}
    standin.commit("with_schema", structured(FIRST, schema))
    pulled = client.pull_prompt("with_schema")
    assert isinstance(pulled, StructuredPrompt)
    assert pulled.schema_ == schema
    standin.commit("in_jinja", in_jinja(FIRST))
    with pytest.raises(ValueError, match="Jinja2 templates are not allowed"):
        client.pull_prompt("in_jinja")
    standin.commit("foreign", constructor("subprocess", "Popen", args=["true"]))
    with pytest.raises(ValueError, match="Popen"):
        client.pull_prompt("foreign")
    chain = {"first": standin.hub.repos["with_schema"].commits[0].manifest, "last": constructor("a", "Model")}
    standin.commit("chained", constructor("langchain", "schema", "runnable", "RunnableSequence", **chain))
    assert isinstance(client.pull_prompt("chained"), StructuredPrompt)
    whole = client.pull_prompt_commit("chained", include_model=True)
    assert whole.manifest["kwargs"]["last"]["id"] == ["a", "Model"]
