"""What a stream tells, as clients see it: the data of its `data` events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from serve.errors import Problem
from tools.postings.contracts import Answer, Subject, Task

Node = Annotated[str, Field(description="the node that says it, as the graph names it")]


class _Event(BaseModel):
    """`elapsed_ms` are the milliseconds since the run began."""

    elapsed_ms: int = Field(ge=0, description="milliseconds since the run began")


class StartedSession(BaseModel):
    """The session that a node works on; whoever loses the stream can ask it again."""

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


class SubjectProposed(_Event):
    """A subject: first the one that is built, then the candidates."""

    type: Literal["subject"]
    node: Node
    data: Subject


class PlacedTask(Task):
    """A task, and the step it belongs to, counted from 1."""

    step: int
    step_title: str


class TaskMade(_Event):
    """A task of the project."""

    type: Literal["task"]
    node: Node
    data: PlacedTask


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
        NodeStarted | NodeFinished | SubjectProposed | TaskMade | RunSucceeded | RunFailed,
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


def _server_sent(event: str, model: str | None) -> dict[str, Any]:
    properties: dict[str, Any] = {"event": {"type": "string", "const": event}}
    if model is not None:
        schema = {"$ref": f"#/components/schemas/{model}"}
        properties["data"] = {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": schema,
        }
    return {"type": "object", "properties": properties, "required": list(properties)}
