"""What the prompts say: every field of the answer's schema, and an example that is a valid answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from ingest.documents import Block, Cell, Heading, Hints, Paragraph, Parsed, Table
from ingest.tagging.positions import PostingPositions, TaggingTask
from nodes.filter_jobs import JobVerdicts
from nodes.generate_tasks import ProjectPlan
from nodes.propose_subjects import SubjectProposals
from nodes.summarize import MarketSummary
from tools.prompts.prompt import PromptFile
from tools.prompts.registry import PACKAGES, PromptRegistry
from tools.resume.profile import Resume
from tools.resume.schema import ResumeReading

SCHEMAS: dict[str, type[BaseModel]] = {
    "filter_jobs": JobVerdicts,
    "summarize": MarketSummary,
    "propose_subjects": SubjectProposals,
    "generate_tasks": ProjectPlan,
    "tag_posting": PostingPositions,
    "read_resume": ResumeReading,
}
FILES = PromptRegistry.bundled(*PACKAGES).files
HANGUL = re.compile("[가-힣]")
every_prompt = pytest.mark.parametrize("prompt", FILES.values(), ids=list(FILES))


def properties(schema: Any) -> Iterator[str]:
    """Every property name of a JSON schema, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from properties(inner)


def lines_of_json(prompt: PromptFile) -> list[str]:
    """The lines of the instructions that are JSON, as the model sees them."""
    return [line for line in prompt.texts.system.format().splitlines() if line.startswith("{")]


def test_there_is_a_prompt_for_every_purpose_in_every_language() -> None:
    assert set(FILES) == {f"{purpose}.{language}" for purpose in SCHEMAS for language in ("ko", "en")}


@every_prompt
def test_a_prompt_names_its_schema_and_explains_every_field_of_it(prompt: PromptFile) -> None:
    schema = SCHEMAS[prompt.contract.purpose]
    assert prompt.contract.schema_name == schema.__name__
    assert set(prompt.contract.fields) == set(properties(schema.model_json_schema()))
    for field in prompt.contract.fields:
        # In the instructions proper; in the example alone it would be shown and not explained.
        explained = prompt.texts.system.partition("{{")[0]
        assert re.search(rf"(?<!\w){field}(?!\w)", explained, re.ASCII), field


@every_prompt
def test_the_one_example_of_a_prompt_is_a_valid_answer_in_its_language(prompt: PromptFile) -> None:
    *_, example = lines_of_json(prompt)
    answer = SCHEMAS[prompt.contract.purpose].model_validate_json(example).model_dump_json()
    # The quote of the English example is of a Korean posting.
    said = re.sub(r'"quote":"[^"]*"', "", answer)
    assert bool(HANGUL.search(said)) == (prompt.contract.language == "ko")


@pytest.mark.parametrize(("language", "said"), [("ko", "한국어"), ("en", "English")])
def test_what_a_node_writes_is_asked_for_in_the_language_of_the_answer(language: str, said: str) -> None:
    """Postings and profiles come in either. Tagging and reading a résumé copy, and so do not."""
    for purpose in set(SCHEMAS) - {"tag_posting", "read_resume"}:
        assert said in FILES[f"{purpose}.{language}"].texts.system, purpose


@every_prompt
def test_a_prompt_says_what_each_of_its_blocks_is(prompt: PromptFile) -> None:
    for block in prompt.contract.blocks:
        assert re.search(rf"^- {block}: ", prompt.texts.system, re.MULTILINE), block


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_example_of_tagging_stands_letter_for_letter_in_its_document(language: str) -> None:
    *document, example = lines_of_json(FILES[f"tag_posting.{language}"])
    task = TaggingTask(Parsed(blocks=[*blocks(document)], parser="test/1"), Hints())
    assert task.problems(PostingPositions.model_validate_json(example)) == []


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_example_of_a_resume_stands_letter_for_letter_in_its_lines(language: str) -> None:
    text = FILES[f"read_resume.{language}"].texts.system
    lines = re.findall(r'(?:\d줄|line \d) "([^"]+)"', text)
    *_, example = lines_of_json(FILES[f"read_resume.{language}"])
    assert Resume(lines).problems(ResumeReading.model_validate_json(example)) == []


def blocks(rows: list[str]) -> Iterator[Block]:
    """The blocks that an example's rows are of."""
    read = [orjson.loads(row) for row in rows]
    cells = [[Cell(text=cell) for cell in row["cells"]] for row in read if "cells" in row]
    yield from (Heading(text=row["heading"], level=row["level"]) for row in read if "heading" in row)
    yield from (Paragraph(text=row["text"]) for row in read if "text" in row)
    if cells:
        yield Table(rows=cells)
