"""Prompts: files beside the nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from nodes.filter_jobs import JobVerdicts
from nodes.generate_tasks import ProjectPlan
from nodes.propose_subjects import SubjectProposals
from nodes.summarize import MarketSummary
from tools.contracts import Language
from tools.errors import SetupError
from tools.fencing import fence, unfence
from tools.prompts import PromptRegistry, parse

PURPOSES = ["filter_jobs", "summarize", "propose_subjects", "generate_tasks"]
LANGUAGES = get_args(Language)
GOOD = """---
purpose: test
language: en
blocks: [request, profile]
---
## system
Say {{"a": 1}}.
## human
{request}
{profile}
"""


@pytest.fixture(scope="module")
def bundled() -> PromptRegistry:
    return PromptRegistry.bundled("nodes")


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_that_asks_has_a_prompt_in_every_language(
    bundled: PromptRegistry, purpose: str, language: Language
) -> None:
    prompt = bundled.get(purpose, language)
    assert (prompt.purpose, prompt.language) == (purpose, language)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_data_stands_in_the_human_part_alone_and_every_block_of_it_arrives(
    bundled: PromptRegistry, purpose: str, language: Language
) -> None:
    prompt = bundled.get(purpose, language)
    blocks = {name: fence(name, {"name": name}) for name in prompt.template.input_variables}
    system, human = prompt.render(blocks)
    assert (system.type, human.type) == ("system", "human")
    assert unfence(str(human.content)) == {name: [{"name": name}] for name in blocks}
    assert not any(block in str(system.content) for block in blocks.values())


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_prompt_warns_that_data_is_not_to_be_obeyed(
    bundled: PromptRegistry, purpose: str, language: Language
) -> None:
    system = str(bundled.get(purpose, language).template.messages[0].prompt.template)  # type: ignore[union-attr]
    assert ("자료로만" if language == "ko" else "is data") in system


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("purpose", "schema"),
    [*zip(PURPOSES, [JobVerdicts, MarketSummary, SubjectProposals, ProjectPlan], strict=True)],
)
def test_the_example_in_a_prompt_is_a_valid_answer(
    bundled: PromptRegistry, purpose: str, schema: type[BaseModel], language: Language
) -> None:
    prompt = bundled.get(purpose, language)
    system, _ = prompt.render(dict.fromkeys(prompt.template.input_variables, ""))
    [example] = [line for line in str(system.content).splitlines() if line.startswith("{")]
    schema.model_validate_json(example)


def test_braces_in_data_are_not_placeholders() -> None:
    prompt = parse(GOOD, "test.md")
    rendered = prompt.render({"request": fence("request", {"a": "{profile} {0} {{"}), "profile": ""})
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
    assert parse(file.read_text(encoding="utf-8"), file.name).purpose == "test"


def test_a_registry_gives_the_prompt_of_a_purpose_and_a_language() -> None:
    prompts: dict[Any, Any] = {("test", "en"): parse(GOOD, "test.md")}
    assert PromptRegistry(prompts).get("test", "en").purpose == "test"
