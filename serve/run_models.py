"""What `/generate` and `/regenerate` are sent and answer with: bodies and events of LangServe's protocol."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from langserve import CustomUserType
from langserve.schema import BatchResponseMetadata, InvokeResponseMetadata
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from serve.errors import Problem
from tools.core.contracts import Answer, Language, Profile, Subject, Task, Wishes

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
    """A body. The error for one without its main member shows how it looks."""

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
    diff: StrictBool | None = Field(None, description="LangChain's JavaScript client sends it; ignored")


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


Node = Annotated[str, Field(description="the node that says it, as the graph names it")]


class _Event(BaseModel):
    """`elapsed_ms` are the milliseconds since the run began."""

    elapsed_ms: int = Field(ge=0, description="milliseconds since the run began")


class StartedSession(BaseModel):
    """The session that a node works on: after a lost stream it can be asked again."""

    session_id: str


class NodeStarted(_Event):
    """A node begins."""

    type: Literal["node_started"]
    node: Node
    data: StartedSession


class NodeFinished(_Event):
    """A node has ended; `data` is one line of what it found, in the language of the session."""

    type: Literal["node_finished"]
    node: Node
    data: str


Attempt = Annotated[
    int, Field(ge=1, description="which answer of the model it is out of; repeats and broken ones count")
]


class PlacedSubject(BaseModel):
    """A subject and its place: 0 is the one that is built, the candidates follow."""

    attempt: Attempt
    position: int = Field(ge=0)
    subject: Subject


class SubjectProposed(_Event):
    """A subject, as soon as the model has written it. It stands unless a `withdrawn` takes it back."""

    type: Literal["subject"]
    node: Node
    data: PlacedSubject


class PlacedTask(BaseModel):
    """A task and its place: its step, and its place in that, both from 0."""

    attempt: Attempt
    step: int = Field(ge=0)
    step_title: str
    position: int = Field(ge=0)
    task: Task


class TaskMade(_Event):
    """A task of the project, as soon as the model has written it. It stands unless a `withdrawn` takes it
    back."""

    type: Literal["task"]
    node: Node
    data: PlacedTask


class Withdrawal(BaseModel):
    """What no longer stands."""

    attempt: Attempt
    what: Literal["subjects", "tasks"]
    positions: list[int] | None = Field(description="of the subjects; null: all of them. Tasks go together")


class Withdrawn(_Event):
    """What was shown did not stand up to a check, or the model had to begin again."""

    type: Literal["withdrawn"]
    node: Node
    data: Withdrawal


class RunSucceeded(_Event):
    """The last event of a run that succeeded: its answer."""

    type: Literal["result"]
    node: None
    data: Answer


class RunFailed(_Event):
    """The last event of a run that failed. Its details name the session, which can be asked again."""

    type: Literal["error"]
    node: None
    data: Problem


RunEvent = TypeAliasType(
    "RunEvent",
    Annotated[
        NodeStarted | NodeFinished | SubjectProposed | TaskMade | Withdrawn | RunSucceeded | RunFailed,
        Field(discriminator="type", description="one event of `/stream`, by its `type`"),
    ],
)


class StreamMetadata(BaseModel):
    """LangServe's first event of `/stream`."""

    run_id: str


class StreamFailure(BaseModel):
    """LangServe's event for a stream that broke off."""

    status_code: int
    message: str


class LangChainEvent(BaseModel):
    """One event of `/stream_events`, as LangChain's `astream_events` (v2) has them."""

    event: str = Field(description="`on_chain_start`, `on_chain_stream` or `on_chain_end`")
    name: str = Field(description="`generate`, `regenerate`, or a node's name")
    run_id: str
    parent_ids: list[str]
    tags: list[str]
    metadata: dict[str, Any]
    data: dict[str, Any]


def event_stream(*, metadata: bool, data: str) -> dict[str, Any]:
    """Returns what OpenAPI adds to a route that streams: the form of each server-sent event, as OpenAPI
    3.2 writes it. `data` names the model of the `data` events; `metadata`: whether such an event comes
    first."""
    kinds = {"data": data, "error": StreamFailure.__name__}
    if metadata:
        kinds = {"metadata": StreamMetadata.__name__, **kinds}
    forms = [_server_sent(event, model) for event, model in kinds.items()]
    content = {"text/event-stream": {"itemSchema": {"oneOf": [*forms, _server_sent("end", None)]}}}
    return {"responses": {"200": {"description": "server-sent events", "content": content}}}


def _server_sent(event: str | None, model: str | None) -> dict[str, Any]:
    named = {"type": "string"} if event is None else {"type": "string", "const": event}
    properties: dict[str, Any] = {"event": named}
    if model is not None:
        schema = {"$ref": f"#/components/schemas/{model}"}
        properties["data"] = {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": schema,
        }
    return {"type": "object", "properties": properties, "required": list(properties)}


def numbered_event_stream(data: str) -> dict[str, Any]:
    """As `event_stream`, of a stream whose events have ids and are named by their type."""
    described = _server_sent(None, data)
    content = {"text/event-stream": {"itemSchema": described}}
    return {"responses": {"200": {"description": "server-sent events", "content": content}}}
