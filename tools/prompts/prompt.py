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

The front matter is the contract with the node, whose fences (`tools/core/fencing.py`) and whose answer's
schema it names; it stands in the bundled file alone. The two texts are what LangSmith's hub can replace.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files

import yaml
from langchain_core.messages import BaseMessage
from langchain_core.prompts import (
    ChatPromptTemplate,
    HumanMessagePromptTemplate,
    SystemMessagePromptTemplate,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tools.core.errors import SetupError
from tools.llm.model_choice import ModelChoice
from tools.postings.contracts import Language
from tools.prompts.checks import problems

_Yaml = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FILE = re.compile(
    r"\A---\n(?P<front>.*?)\n---\n## system\n(?P<system>.*?)\n## human\n(?P<human>.*)\Z", re.DOTALL
)


class Contract(BaseModel):
    """What a node demands of its prompt: the front matter of the prompt's file."""

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
        """Returns what is wrong with texts as this prompt, one sentence each."""
        return problems(texts.system, texts.human, self.blocks, self.fields)


@dataclass(frozen=True, slots=True)
class Texts:
    """What a prompt says: f-string templates, in which braces that are no placeholder are doubled."""

    system: str
    human: str

    def template(self) -> ChatPromptTemplate:
        """Returns them as LangChain's template, which `checks.problems` has found nothing against."""
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
        said = f"{self.texts.system}\n## human\n{self.texts.human}"
        return "sha256:" + hashlib.sha256(said.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in force. `version` names its texts: `sha256:…` of a bundled one, `name:commit` of the
    hub's. `model` is who is to answer it."""

    purpose: str
    language: Language
    version: str
    template: ChatPromptTemplate
    model: ModelChoice = field(default_factory=ModelChoice)

    @property
    def commit(self) -> str:
        """What in `version` follows the name of the hub's prompt; all of it, where it is bundled."""
        return self.version if self.version.startswith("sha256:") else self.version.rpartition(":")[2]

    def render(self, blocks: Mapping[str, str]) -> list[BaseMessage]:
        """Returns the messages with the fenced blocks in their places."""
        return self.template.format_messages(**blocks)


@functools.lru_cache(maxsize=128)
def prompt(contract: Contract, texts: Texts, version: str, model: ModelChoice) -> Prompt:
    """Returns the prompt of texts that `checks.problems` has found nothing against. What a reload leaves as
    it is, is not built anew."""
    return Prompt(contract.purpose, contract.language, version, texts.template(), model)


def read(text: str, name: str) -> PromptFile:
    """Reads one prompt file, whose texts may break its contract (`Contract.problems`).

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
    """Reads one prompt file that is to be used.

    Raises:
        SetupError: the file lacks a part, or its texts break its contract; the message names `name`.
    """
    file = read(text, name)
    if found := file.contract.problems(file.texts):
        raise SetupError(f"The prompt {name} cannot be used: {'; '.join(found)}.")
    return file


def rewritten(text: str, texts: Texts) -> str:
    """Returns a prompt file's text with other texts under its front matter.

    Raises:
        ValueError: the file could not tell where the instructions end.
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
