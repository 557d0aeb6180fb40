"""What the runnables are sent and what they answer with, in LangServe's envelopes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from langserve import CustomUserType
from langserve.schema import BatchResponseMetadata, InvokeResponseMetadata
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tools.postings.contracts import Answer, Language, Profile, Wishes

MAX_BATCH = 10
"""Inputs of one batch: as many of the longest profiles as a body may hold."""


class GenerateInput(CustomUserType):
    """Input of `/generate`: a profile, and the language to answer in."""

    model_config = ConfigDict(extra="forbid")

    profile: Profile
    language: Language = "ko"


class RegenerateInput(CustomUserType, Wishes):
    """Input of `/regenerate`: a session, and what the next project should be like."""

    session_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")

    def wishes(self) -> Wishes:
        """What is asked of the next project, without the session it is asked of."""
        return Wishes(**self.model_dump(exclude={"session_id"}))


def _one_or_each(value: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(v, dict) for v in value)):
        return value
    raise PydanticCustomError("one_or_each", "is an object, or a list with an object for each input")


class Ignored(BaseModel):
    """What LangServe's clients send besides the input. Nothing in it changes the answer."""

    model_config = ConfigDict(extra="allow")


IgnoredEach = Annotated[
    Ignored | list[Ignored],
    BeforeValidator(_one_or_each),
    Field(description="one for all inputs, or a list with one for each"),
]


class _Envelope(BaseModel):
    """The members of a body that are read; whoever leaves out what it is about is told how it looks."""

    model_config = ConfigDict(extra="forbid")
    about: ClassVar[str]
    example: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _wrapped(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            raise PydanticCustomError("no_object", "is an object: {example}", {"example": cls.example})
        if cls.about not in body:
            has = {"about": cls.about, "example": cls.example}
            raise PydanticCustomError("unwrapped", "has no `{about}`; wrap it: {example}", has)
        return body


class _One(_Envelope):
    """A body with one input."""

    about = "input"
    config: Ignored = Field(default_factory=Ignored)
    kwargs: Ignored = Field(default_factory=Ignored)


class _Batch(_Envelope):
    """A body with several inputs."""

    about = "inputs"
    config: IgnoredEach = Field(default_factory=Ignored)
    kwargs: IgnoredEach = Field(default_factory=Ignored)

    @model_validator(mode="after")
    def _as_many_as_inputs(self) -> Self:
        wanted = len(getattr(self, self.about))
        for name in ("config", "kwargs"):
            given = getattr(self, name)
            if isinstance(given, list) and len(given) != wanted:
                has = {"name": name, "given": len(given), "wanted": wanted}
                raise PydanticCustomError("uneven", "{name} is a list of {given} for {wanted} inputs", has)
        return self


class _Events(_One):
    """A body with one input, and which runs' events are wanted; null: of all."""

    include_names: list[str] | None = None
    include_types: list[str] | None = None
    include_tags: list[str] | None = None
    exclude_names: list[str] | None = None
    exclude_types: list[str] | None = None
    exclude_tags: list[str] | None = None
    diff: bool | None = Field(None, description="LangChain's JavaScript client sends it; ignored")


Batched = Field(max_length=MAX_BATCH, description="answered in this order")
_GENERATE = '{"profile": {"desired_job": "…"}}'
_REGENERATE = '{"session_id": "…"}'


class GenerateRequest(_One):
    """One profile to generate for."""

    example = f'{{"input": {_GENERATE}}}'
    input: GenerateInput


class GenerateBatchRequest(_Batch):
    """Several profiles to generate for."""

    example = f'{{"inputs": [{_GENERATE}]}}'
    inputs: list[GenerateInput] = Batched


class GenerateEventsRequest(_Events):
    """One profile to generate for, and which of LangChain's events are wanted."""

    example = GenerateRequest.example
    input: GenerateInput


class RegenerateRequest(_One):
    """One session to go on with."""

    example = f'{{"input": {_REGENERATE}}}'
    input: RegenerateInput


class RegenerateBatchRequest(_Batch):
    """Several sessions to go on with."""

    example = f'{{"inputs": [{_REGENERATE}]}}'
    inputs: list[RegenerateInput] = Batched


class RegenerateEventsRequest(_Events):
    """One session to go on with, and which of LangChain's events are wanted."""

    example = RegenerateRequest.example
    input: RegenerateInput


class RunResponse(BaseModel):
    """The answer of one run, as LangServe wraps it."""

    output: Answer
    metadata: InvokeResponseMetadata


class BatchResponse(BaseModel):
    """The answers of a batch, in the order of its inputs, as LangServe wraps them."""

    output: list[Answer]
    metadata: BatchResponseMetadata
