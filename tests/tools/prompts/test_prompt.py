"""A prompt and its file."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from tools.core.errors import SetupError
from tools.core.fencing import fence, unfence
from tools.core.settings import ModelChoice
from tools.prompts.prompt import Prompt, Texts, parse, prompt, read, rewritten
from tools.prompts.registry import PACKAGES, PromptRegistry

GOOD = """---
purpose: test
language: en
blocks: [request, profile]
schema: Answer
fields: [a]
---
## system
Say {{"a": 1}}.
## human
{request}
{profile}
"""
BUNDLED = PromptRegistry.bundled(*PACKAGES)


def made(text: str) -> Prompt:
    file = parse(text, "test.md")
    return prompt(file.contract, file.texts, file.version, ModelChoice())


@pytest.mark.parametrize("key", BUNDLED.files)
def test_data_stands_in_the_human_part_alone_and_every_block_of_it_arrives(key: str) -> None:
    contract = BUNDLED.files[key].contract
    blocks = {name: fence(name, {"name": name}) for name in contract.blocks}
    system, human = BUNDLED.get(contract.purpose, contract.language).render(blocks)
    assert (system.type, human.type) == ("system", "human")
    assert unfence(str(human.content)) == {name: [{"name": name}] for name in blocks}
    assert not any(block in str(system.content) for block in blocks.values())


@pytest.mark.parametrize("key", BUNDLED.files)
def test_every_prompt_warns_that_data_is_not_to_be_obeyed(key: str) -> None:
    file = BUNDLED.files[key]
    assert ("자료로만" if file.contract.language == "ko" else "is data") in file.texts.system


def test_braces_in_data_are_not_placeholders() -> None:
    rendered = made(GOOD).render({"request": fence("request", {"a": "{profile} {0} {{"}), "profile": ""})
    assert unfence(str(rendered[-1].content)) == {"request": [{"a": "{profile} {0} {{"}]}
    assert rendered[0].content == 'Say {"a": 1}.'


def test_the_version_changes_with_the_text_and_with_nothing_else() -> None:
    version = parse(GOOD, "test.md").version
    assert version == parse(GOOD, "other.md").version
    assert version != parse(GOOD.replace("Say", "Write"), "test.md").version


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("## system\n", ""),
        lambda text: text.replace("## human\n", ""),
        lambda text: text.removeprefix("---\n"),
        lambda text: text.replace("{profile}\n", ""),
        lambda text: text.replace("{profile}", "{profil}"),
        lambda text: text.replace("blocks: [request, profile]\n", ""),
        lambda text: text.replace("purpose: test\n", ""),
        lambda text: text.replace("language: en\n", ""),
        lambda text: text.replace("schema: Answer\n", ""),
        lambda text: text.replace("schema: Answer\n", "schema: Answer\nmodel: gpt\n"),
        lambda text: text.replace("fields: [a]", "fields: [a, b]"),
        lambda text: text.replace("language: en", "language: fr"),
        lambda text: text.replace("blocks: [request, profile]", "blocks: [request"),
        lambda text: text.replace('{{"a": 1}}', '{"a": 1}'),
        lambda text: text.replace("Say", "Say {request}").replace("{request}\n{profile}", "{profile}"),
        lambda text: f"{text}{{request}}\n",
        lambda _: "",
    ],
    ids=[
        "no system part",
        "no human part",
        "no front matter",
        "a placeholder missing",
        "a placeholder misspelt",
        "no blocks",
        "no purpose",
        "no language",
        "no schema",
        "front matter that says more than a contract does",
        "a field of the answer that is not named",
        "a language we do not speak",
        "front matter that is no YAML",
        "braces not doubled",
        "data among the instructions",
        "a placeholder twice",
        "an empty file",
    ],
)
def test_a_file_that_is_no_prompt_is_refused_by_name(spoil: Callable[[str], str]) -> None:
    text = spoil(GOOD)
    assert text != GOOD
    with pytest.raises(SetupError, match=r"test\.md"):
        parse(text, "test.md")


def test_a_file_written_on_windows_is_a_prompt_too(tmp_path: Path) -> None:
    file = tmp_path / "test.md"
    file.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert parse(file.read_text(encoding="utf-8"), file.name).texts == parse(GOOD, "test.md").texts


def test_what_is_wrong_with_the_texts_is_all_told() -> None:
    text = GOOD.replace("Say", "Say {request}").replace("{profile}\n", "").replace('"a"', '"b"')
    with pytest.raises(SetupError) as refused:
        parse(text, "test.md")
    for part in ("placeholders request stand among the instructions", "['request']", "fields a"):
        assert part in str(refused.value)


@pytest.mark.parametrize("key", BUNDLED.files)
def test_other_texts_leave_the_rest_of_a_file_as_it_is(key: str) -> None:
    [path] = [path for package in PACKAGES for path in files(package).iterdir() if path.name == f"{key}.md"]
    text = path.read_text(encoding="utf-8")
    assert rewritten(text, BUNDLED.files[key].texts) == text
    assert rewritten(rewritten(text, Texts("other", "{x}")), BUNDLED.files[key].texts) == text


def test_instructions_that_a_file_could_not_keep_are_not_written() -> None:
    with pytest.raises(ValueError, match="## human"):
        rewritten(GOOD, Texts("Say a.\n## human\nof it", "{request}"))


def test_a_file_whose_texts_break_its_contract_can_be_read_all_the_same() -> None:
    file = read(GOOD.replace("{profile}\n", ""), "test.md")
    assert len(file.contract.problems(file.texts)) == 1


def test_a_registry_gives_the_prompt_of_a_purpose_and_a_language_with_its_model() -> None:
    chosen = {"summarize": ModelChoice(model="small", temperature=0.1)}
    registry = PromptRegistry.bundled("nodes", models=chosen)
    found = registry.get("summarize", "ko")
    assert (found.purpose, found.language) == ("summarize", "ko")
    assert found.model == chosen["summarize"]
    assert registry.get("filter_jobs", "ko").model == ModelChoice()
    assert registry.current.version != BUNDLED.current.version
