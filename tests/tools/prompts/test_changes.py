"""Reload, pin and roll back: what is in force changes as a whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.langsmith import Fault, Gate, LangSmith
from tests.tools.prompts.conftest import FILES, NAMED, Opened, commit_all, messages, texts
from tools.core.errors import (
    HubUnavailableError,
    InvalidRequestError,
    PromptInvalidError,
    PromptNotFoundError,
)
from tools.core.settings import ModelChoice
from tools.prompts.audit_log import Change
from tools.prompts.changes import PromptChanges

FILTER = "filter_jobs.ko"
SUMMARIZE = "summarize.ko"


def versions(changes: PromptChanges) -> dict[str, str]:
    """The commit in force of every prompt that is the hub's."""
    current = changes.registry.current.prompts
    return {key: prompt.commit for key, prompt in current.items() if not prompt.version.startswith("sha256:")}


async def newest_change(changes: PromptChanges) -> Change:
    [change] = await changes.audit_log.newest(1)
    return change


async def test_a_new_commit_is_taken_by_a_reload_and_not_without_one(
    opened: Opened, standin: LangSmith
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        assert versions(changes) == first
        system = changes.registry.get("filter_jobs", "ko").render(
            dict.fromkeys(FILES[FILTER].contract.blocks, "")
        )
        assert str(system[0].content).endswith("첫째")
        second = commit_all(standin, "둘째")
        before = standin.count("/commits")
        async with opened() as other:
            assert versions(changes) == versions(other) == first
        assert standin.count("/commits") == before, "a worker that starts follows what is in force"
        # The client's cache knows a prompt by its name for five minutes: it would answer `first`.
        await changes.reload("ada")
        assert versions(changes) == second
        change = await newest_change(changes)
        assert (change.action, change.by) == ("reload", "ada")
        assert change.version_after == changes.registry.current.version != change.version_before
        assert {row["prompt"]: (row["before"], row["after"]) for row in change.changes} == {
            key: (first[key], second[key]) for key in NAMED
        }


async def test_the_service_takes_the_newest_when_it_starts(opened: Opened, standin: LangSmith) -> None:
    commit_all(standin, "첫째")
    async with opened(), opened(newest=True):
        second = commit_all(standin, "둘째")
        async with opened(newest=True) as started:
            assert versions(started) == second
            assert (await newest_change(started)).by == "start"


async def test_a_tag_in_the_name_is_followed(opened: Opened, standin: LangSmith) -> None:
    name = f"{FILTER}=filter-ko:production"
    first = standin.commit("filter-ko", messages(FILTER, "첫째"), tags=["production"])
    second = standin.commit("filter-ko", messages(FILTER, "둘째"))
    async with opened(hub_prompts=(name,)) as changes:
        assert versions(changes) == {FILTER: first}
        await changes.reload("ada")
        assert versions(changes) == {FILTER: first}, "nobody moved the tag"
        with standin.lock:
            repo = standin.hub.repos["filter-ko"]
            repo.tags["production"] = repo.find(second)
        await changes.reload("ada")
        assert versions(changes) == {FILTER: second}


async def test_one_bad_prompt_keeps_all_old_ones_and_each_problem_is_told(
    opened: Opened, standin: LangSmith
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        commit_all(standin, "둘째")
        standin.commit(
            "filter-ko", [("system", "posting_id만 답하십시오"), ("human", "{request}\n{postings}")]
        )
        with standin.lock:
            del standin.hub.repos["tag-en"]
        before = changes.registry.current
        with pytest.raises(PromptInvalidError) as refused:
            await changes.reload("ada")
        problems = refused.value.prompts
        assert set(problems) == {FILTER, "tag_posting.en"}
        assert len(problems[FILTER]) == 2, problems
        assert problems["tag_posting.en"] == ["LangSmith has no such prompt or commit: tag-en:latest."]
        assert changes.registry.current is before
        assert versions(changes) == first
        change = await newest_change(changes)
        assert (change.by, change.version_after, change.changes) == ("ada", None, [])
        assert change.problems == {"code": "prompt_invalid", "prompts": problems}


async def test_a_pin_holds_a_prompt_through_reloads(opened: Opened, standin: LangSmith) -> None:
    first, second = commit_all(standin, "첫째"), commit_all(standin, "둘째")
    async with opened() as changes:
        # As people name it: by the first digits.
        after = await changes.pin(FILTER, first[FILTER][:8], "ada")
        assert versions(changes) == second | {FILTER: first[FILTER]}
        assert (after.prompts[FILTER].pin, after.prompts[FILTER].by) == (first[FILTER][:8], "ada")
        third = commit_all(standin, "셋째")
        await changes.reload("bob")
        assert versions(changes) == third | {FILTER: first[FILTER]}
        after = await changes.pin(FILTER, None, "bob")
        assert versions(changes)[FILTER] == first[FILTER], "let go, it follows from the next reload on"
        assert after.prompts[FILTER].pin is None
        await changes.reload("bob")
        assert versions(changes) == third


async def test_a_pinned_tag_is_followed(opened: Opened, standin: LangSmith) -> None:
    standin.commit("filter-ko", messages(FILTER, "첫째"), tags=["staging"])
    commit_all(standin, "둘째")
    async with opened() as changes:
        await changes.pin(FILTER, "staging", "ada")
        third = standin.commit("filter-ko", messages(FILTER, "셋째"), tags=["staging"])
        standin.commit("filter-ko", messages(FILTER, "넷째"))
        await changes.reload("ada")
        assert versions(changes)[FILTER] == third


async def test_a_roll_back_toggles(opened: Opened, standin: LangSmith) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        second = commit_all(standin, "둘째")
        await changes.reload("ada")
        for expected in (first, second, first):
            await changes.pin(FILTER, "previous", "ada")
            assert versions(changes) == second | {FILTER: expected[FILTER]}
        third = commit_all(standin, "셋째")
        await changes.reload("ada")
        assert versions(changes) == third | {FILTER: first[FILTER]}, "rolled back is held"


async def test_a_prompt_can_be_held_at_its_file(opened: Opened, standin: LangSmith) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        await changes.pin(FILTER, "bundled", "ada")
        await changes.reload("ada")
        assert changes.registry.get("filter_jobs", "ko").version == FILES[FILTER].version
        await changes.pin(FILTER, "previous", "ada")
        assert versions(changes) == first


@pytest.mark.parametrize(
    ("key", "ref", "error"),
    [
        ("no_such.ko", "abcdef12", PromptNotFoundError),
        (FILTER, "previous", PromptNotFoundError),
        (FILTER, "no-such-tag", PromptInvalidError),
        ("filter_jobs.en", "abcdef12", PromptInvalidError),
    ],
    ids=["no such prompt", "nothing before", "no such commit", "not from the hub"],
)
async def test_a_pin_that_cannot_be_changes_nothing(
    opened: Opened, standin: LangSmith, key: str, ref: str, error: type[Exception]
) -> None:
    commit_all(standin, "첫째")
    async with opened() as changes:
        before = changes.registry.active
        with pytest.raises(error):
            await changes.pin(key, ref, "ada")
        assert changes.registry.active is before


async def test_a_pin_of_a_name_that_is_no_longer_configured_holds_nothing(
    opened: Opened, standin: LangSmith
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        await changes.pin(FILTER, first[FILTER], "ada")
        await changes.pin(SUMMARIZE, first[SUMMARIZE], "ada")
    other = standin.commit("filter-new", messages(FILTER, "다른 이름"))
    async with opened(newest=True, hub_prompts=(f"{FILTER}=filter-new",)) as changes:
        assert versions(changes) == {FILTER: other}
        assert changes.registry.shared_warning is None
        with pytest.raises(PromptInvalidError) as refused:
            await changes.pin(SUMMARIZE, "previous", "ada")
        assert "summarize-ko" in refused.value.prompts[SUMMARIZE][0]


async def test_a_roll_back_goes_past_files_that_newer_code_has_changed(
    opened: Opened, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit_all(standin, "첫째")
    always_bundled = "filter_jobs.en"
    async with opened() as changes:
        await changes.pin(FILTER, "bundled", "ada")
    newer = [replace(file, texts=texts(key, "새 코드")) for key, file in FILES.items()]
    monkeypatch.setattr("tools.prompts.prompt.bundled", lambda *_: newer)
    async with opened(newest=True) as changes:
        assert changes.registry.get("filter_jobs", "ko").version not in (FILES[FILTER].version, first[FILTER])
        with pytest.raises(PromptNotFoundError, match="before"):
            await changes.pin(always_bundled, "previous", "ada")
        await changes.pin(FILTER, "previous", "ada")
        assert versions(changes) == first
        after = await changes.pin(FILTER, "previous", "ada")
        assert after.prompts[FILTER].origin.commit == changes.registry.get("filter_jobs", "ko").version


async def test_models_change_with_a_reload_and_stay_until_another_names_some(
    opened: Opened, standin: LangSmith
) -> None:
    commit_all(standin, "첫째")
    configured = {"summarize": ModelChoice(model="small", temperature=0.5)}
    async with opened(models=configured) as changes, opened(models=configured) as other:
        assert changes.registry.get("summarize", "ko").model == configured["summarize"]
        await changes.reload("ada", {"summarize": ModelChoice(model="large")})
        chosen = ModelChoice(model="large", temperature=0.5)
        assert changes.registry.get("summarize", "ko").model == chosen
        assert (await newest_change(changes)).changes == [{"models": {"summarize": {"model": "large"}}}]
        await other.reload("bob")
        assert other.registry.get("summarize", "ko").model == chosen
        await changes.reload("ada", {})
        assert changes.registry.get("summarize", "ko").model == configured["summarize"]
        with pytest.raises(InvalidRequestError) as refused:
            await changes.reload("ada", {"sumarise": ModelChoice(model="large")})
        [field] = refused.value.fields
        assert field["field"] == "models"
        assert "sumarise" in field["problem"] and "summarize" in field["problem"]


async def test_two_changes_at_once_go_one_after_the_other(opened: Opened, standin: LangSmith) -> None:
    commit_all(standin, "첫째")
    async with opened() as one, opened() as other:
        second = commit_all(standin, "둘째")
        gate = Gate()
        standin.fail(Fault("/commits", gate=gate))
        reload = asyncio.create_task(one.reload("ada"))
        await gate.reached()
        asked = standin.count("/commits")
        pin = asyncio.create_task(other.pin(FILTER, "bundled", "bob"))
        gate.open()
        await asyncio.gather(reload, pin)
        assert standin.count("/commits") <= asked + len(NAMED)
        whole = await other.reload("bob")
        del second[FILTER]
        assert versions(other) == second, "neither undid the other"
        assert whole.prompts[FILTER].pin == "bundled"


async def test_what_a_reload_would_take_can_be_had_without_it(opened: Opened, standin: LangSmith) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        second = commit_all(standin, "둘째")
        preview_reload = await changes.preview_reload()
        assert preview_reload.prompts[FILTER].commit == second[FILTER]
        assert versions(changes) == first


async def test_a_redis_that_was_emptied_loses_no_pin_and_no_model(
    opened: Opened, standin: LangSmith, redis: Redis
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        await changes.pin(FILTER, first[FILTER], "ada")
        await changes.reload("ada", {"summarize": ModelChoice(model="large")})
        second = commit_all(standin, "둘째")
        await redis.flushdb()
        assert versions(changes) == first
        await changes.reload("ada")
        assert versions(changes) == second | {FILTER: first[FILTER]}
        assert changes.registry.get("summarize", "ko").model.model == "large"


async def test_prompts_that_nobody_named_in_the_hub_are_bundled_and_ask_nothing(
    opened: Opened, standin: LangSmith, redis: Redis
) -> None:
    async with opened(hub_prompts=()) as changes:
        assert versions(changes) == {}
        assert await redis.keys() == []
        with pytest.raises(PromptNotFoundError):
            await changes.pin(FILTER, "previous", "ada")
        await changes.reload("ada", {"summarize": ModelChoice(model="large")})
        await changes.pin(FILTER, "bundled", "ada")
    assert standin.count() == 0


async def test_names_without_a_key_are_a_warning_and_a_reload_says_so(opened: Opened) -> None:
    async with opened(langsmith_api_key=None) as changes:
        assert "LANGSMITH_API_KEY" in str(changes.registry.shared_warning)
        with pytest.raises(HubUnavailableError, match="LANGSMITH_API_KEY"):
            await changes.reload("ada")


def test_the_texts_of_these_tests_are_good() -> None:
    assert not any(FILES[key].contract.problems(texts(key, "한 줄 더")) for key in NAMED)
