"""One prompt, and the Markdown file that it is bundled as, one a purpose and language:

    ---
    purpose: filter_jobs
    language: ko
    blocks: [request, profile, postings]
    schema: JobVerdicts
    fields: [verdicts, posting_id, fits, reason]
    ---
    ## system
    …instructions…
    ## human
    {request}
    {profile}
    {postings}

The front matter is the contract with the node: the fences that it supplies (`tools/core/fencing.py`) and the
schema of the answer. Only the bundled file has it. The two texts are what LangSmith's hub can replace.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Formatter
from typing import Any, cast

import yaml
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import (
    ChatPromptTemplate,
    HumanMessagePromptTemplate,
    SystemMessagePromptTemplate,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tools.core.contracts import Language
from tools.core.errors import SetupError
from tools.core.fencing import fence, unfence
from tools.core.settings import ModelChoice

_Yaml = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FILE = re.compile(
    r"\A---\n(?P<front>.*?)\n---\n## system\n(?P<system>.*?)\n## human\n(?P<human>.*)\Z", re.DOTALL
)


MAX_SYSTEM_CHARS = 20_000
"""Four times the longest bundled instructions; more would crowd out the postings."""
MAX_HUMAN_CHARS = 2_000
"""The human part is the fences, and perhaps a line between them."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
"""Tab and line feed are fine. Half a surrogate pair could not even be stored."""
_FENCE_LINE = re.compile(r"^</?[a-z_]+>$", re.MULTILINE)


class Contract(BaseModel):
    """What a node supplies to its prompt and asks of it: the front matter of the prompt's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: str
    language: Language
    blocks: tuple[str, ...] = Field(description="the fences that the node supplies")
    schema_name: str = Field(alias="schema", description="the schema of the answer")
    fields: tuple[str, ...] = Field(description="every property of that schema, which the prompt explains")

    @property
    def key(self) -> str:
        """The prompt's name in this service: `filter_jobs.ko`."""
        return f"{self.purpose}.{self.language}"

    def problems(self, texts: Texts) -> list[str]:
        """Returns what is wrong with texts for this prompt, one sentence each."""
        return find_problems(texts, self.blocks, self.fields)


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a prompt: f-string templates, in which braces that are no placeholder are doubled."""

    system: str
    human: str

    def template(self) -> ChatPromptTemplate:
        """Returns LangChain's template of texts that have no problems."""
        return ChatPromptTemplate.from_messages(
            [
                SystemMessagePromptTemplate.from_template(self.system),
                HumanMessagePromptTemplate.from_template(self.human),
            ]
        )


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A prompt as its file has it."""

    contract: Contract
    texts: Texts

    @property
    def version(self) -> str:
        """A hash of the texts, so that an answer can name what made it."""
        text = f"{self.texts.system}\n## human\n{self.texts.human}"
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that can be asked. `version` names its texts: `sha256:…` of a bundled one, `name:commit` of
    the hub's. `model` is the model that answers it."""

    purpose: str
    language: Language
    version: str
    template: ChatPromptTemplate
    model: ModelChoice = field(default_factory=ModelChoice)

    @property
    def commit(self) -> str:
        """The commit in `version`; all of `version` where the prompt is bundled."""
        return self.version if self.version.startswith("sha256:") else self.version.rpartition(":")[2]

    def render(self, blocks: Mapping[str, str]) -> list[BaseMessage]:
        """Returns the messages with the fenced blocks in their places."""
        # As LangChain renders such templates; it looks into each anew for its variables.
        system, human = (cast(Any, message).prompt.template for message in self.template.messages)
        return [SystemMessage(system.format()), HumanMessage(human.format(**blocks))]


@functools.lru_cache(maxsize=128)
def prompt(contract: Contract, texts: Texts, version: str, model: ModelChoice) -> Prompt:
    """Returns the prompt of texts that have no problems. Cached: a reload builds only what it changes."""
    return Prompt(contract.purpose, contract.language, version, texts.template(), model)


def read(text: str, name: str) -> PromptFile:
    """Reads a prompt file without checking its texts.

    Raises:
        SetupError: the file lacks a part; the message names `name`.
    """
    match = _FILE.match(text)
    if match is None:
        raise SetupError(f"The prompt {name} lacks its front matter, '## system' or '## human' part.")
    try:
        contract = Contract.model_validate(yaml.load(match["front"], _Yaml))  # noqa: S506 - it is a safe one
    except (ValidationError, yaml.YAMLError) as error:
        raise SetupError(f"The front matter of the prompt {name} cannot be read: {error}") from error
    return PromptFile(contract, Texts(match["system"].strip(), match["human"].strip()))


def parse(text: str, name: str) -> PromptFile:
    """Reads a prompt file and checks its texts.

    Raises:
        SetupError: the file lacks a part, or its texts break its contract; the message names `name`.
    """
    file = read(text, name)
    if problems := file.contract.problems(file.texts):
        raise SetupError(f"The prompt {name} cannot be used: {'; '.join(problems)}.")
    return file


def rewritten(text: str, texts: Texts) -> str:
    """Returns a prompt file's text with other texts under its front matter.

    Raises:
        ValueError: the file would not show where the instructions end.
    """
    match = _FILE.match(text)
    assert match is not None  # noqa: S101 - it has been read before
    written = f"---\n{match['front']}\n---\n## system\n{texts.system}\n## human\n{texts.human}\n"
    if read(written, "").texts != texts:
        raise ValueError("a line of the instructions reads '## human', at which a file would end them")
    return written


def bundled(*packages: str) -> Iterator[PromptFile]:
    """Yields the prompt files of packages (`nodes`).

    Raises:
        SetupError: a file is not a prompt; the message names it.
    """
    for package in packages:
        for file in files(package).iterdir():
            if file.name.endswith(".md"):
                yield parse(file.read_text(encoding="utf-8"), file.name)


def find_problems(texts: Texts, blocks: Sequence[str], fields: Iterable[str]) -> list[str]:
    """Returns what is wrong with a prompt's texts, one sentence each.

    Args:
        texts: f-string templates.
        blocks: the fences that the node supplies. Each stands once in the human part, alone on its line, and
            none among the instructions.
        fields: the properties of the answer's schema, each of which the instructions name.
    """
    system, human = texts.system, texts.human
    problems = []
    for part, text, limit in (("system", system, MAX_SYSTEM_CHARS), ("human", human, MAX_HUMAN_CHARS)):
        if len(text) > limit:
            problems.append(f"the {part} part has {len(text)} characters; at most {limit} are taken")
        if not text.strip():
            problems.append(f"the {part} part is empty")
        if _CONTROL.search(text):
            problems.append(f"the {part} part has control characters")
    if line := _FENCE_LINE.search(human):
        problems.append(f"the human part has {line[0]}, a line of a fence, which only the service writes")
    problems += _placeholder_problems(system, human, blocks)
    # Whole words: `fit` does not name `fits`.
    unnamed = [name for name in fields if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", system, re.ASCII)]
    if unnamed:
        problems.append(f"the instructions do not name the answer's fields {', '.join(unnamed)}")
    return problems or _rendering_problems(system, human, blocks)


def _placeholder_problems(system: str, human: str, blocks: Sequence[str]) -> list[str]:
    try:
        in_system, in_human = _placeholders(system), _placeholders(human)
    except ValueError as error:
        return [f"braces that are no placeholder are not doubled ({error})"]
    problems = []
    if in_system:
        named = ", ".join(in_system)
        problems.append(f"the placeholders {named} stand among the instructions, where no data may stand")
    if sorted(in_human) != sorted(blocks):
        problems.append(
            f"the human part has the placeholders {sorted(in_human)}, but has to have "
            f"{sorted(blocks)}, each once"
        )
    else:
        lines = human.splitlines()
        problems += [
            f"{{{name}}} has to stand alone on its line" for name in blocks if f"{{{name}}}" not in lines
        ]
    return problems


def _placeholders(template: str) -> list[str]:
    """Returns the placeholders as they are written, attributes, conversions and formats included, so that
    none of those equals a block's name.

    Raises:
        ValueError: a brace is open, or closes nothing.
    """
    return [
        f"{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
        for _, name, spec, conversion in Formatter().parse(template)
        if name is not None
    ]


def _rendering_problems(system: str, human: str, blocks: Sequence[str]) -> list[str]:
    """Renders a sample in which data looks like a placeholder and like a fence."""
    sample = {name: {"name": name, "text": "{request} </postings>"} for name in blocks}
    try:
        system.format()
        rendered = unfence(human.format(**{name: fence(name, row) for name, row in sample.items()}))
    except (ValueError, LookupError) as error:
        return [f"it does not render ({error!r})"]
    if rendered != {name: [row] for name, row in sample.items()}:
        return ["its data does not arrive whole in the fences of the human part"]
    return []
