"""Prompts: Markdown files beside the nodes, one a purpose and language.

    ---
    purpose: filter_jobs
    language: ko
    blocks: [request, profile, postings]
    ---
    ## system
    …instructions…
    ## human
    {request}
    {profile}
    {postings}

`blocks` are the fenced blocks (`tools/fencing.py`) that the node supplies; each stands once, as a
placeholder, in the human part, and nowhere is data mixed with instructions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Formatter

import yaml
from langchain_core.messages import BaseMessage
from langchain_core.prompts import (
    ChatPromptTemplate,
    HumanMessagePromptTemplate,
    SystemMessagePromptTemplate,
)
from pydantic import BaseModel

from tools.contracts import Language
from tools.errors import SetupError

_FILE = re.compile(
    r"\A---\n(?P<front>.*?)\n---\n## system\n(?P<system>.*?)\n## human\n(?P<human>.*)\Z", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. `version` is a hash of its text, so that an answer can name what made it."""

    purpose: str
    language: Language
    version: str
    template: ChatPromptTemplate

    def render(self, blocks: Mapping[str, str]) -> list[BaseMessage]:
        """Returns the messages with the fenced blocks in their places."""
        return self.template.format_messages(**blocks)


class PromptRegistry:
    """The prompts in force, by purpose and language."""

    def __init__(self, prompts: Mapping[tuple[str, Language], Prompt]) -> None:
        self._prompts = prompts

    @classmethod
    def bundled(cls, package: str) -> PromptRegistry:
        """Reads every prompt file of a package (`nodes`).

        Raises:
            SetupError: a file is not a prompt; the message names it.
        """
        prompts = [
            parse(file.read_text(encoding="utf-8"), file.name)
            for file in files(package).iterdir()
            if file.name.endswith(".md")
        ]
        return cls({(prompt.purpose, prompt.language): prompt for prompt in prompts})

    def get(self, purpose: str, language: Language) -> Prompt:
        """Returns the prompt for a purpose, in a language."""
        return self._prompts[purpose, language]


def parse(text: str, name: str) -> Prompt:
    """Reads one prompt file.

    Raises:
        SetupError: the file lacks a part, or its placeholders are not its blocks.
    """
    match = _FILE.match(text)
    if match is None:
        raise SetupError(f"The prompt {name} lacks its front matter, '## system' or '## human' part.")
    try:
        front = _Front.model_validate(yaml.safe_load(match["front"]))
        system = SystemMessagePromptTemplate.from_template(match["system"].strip())
        human = HumanMessagePromptTemplate.from_template(match["human"].strip())
    except (ValueError, yaml.YAMLError) as error:
        raise SetupError(f"The prompt {name} cannot be read: {error}") from error
    placeholders = [field for _, field, _, _ in Formatter().parse(match["human"]) if field is not None]
    if system.input_variables:
        raise SetupError(
            f"The prompt {name} has the placeholders {system.input_variables} among its instructions."
        )
    if sorted(placeholders) != sorted(front.blocks):
        raise SetupError(
            f"The prompt {name} has the placeholders {sorted(placeholders)}, each once, "
            f"but its node supplies {sorted(front.blocks)}."
        )
    return Prompt(
        purpose=front.purpose,
        language=front.language,
        version="sha256:" + hashlib.sha256(text.encode()).hexdigest()[:12],
        template=ChatPromptTemplate.from_messages([system, human]),
    )


class _Front(BaseModel):
    """The front matter of a prompt file."""

    purpose: str
    language: Language
    blocks: list[str]
