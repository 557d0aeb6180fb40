"""A run as AG-UI has it (https://docs.ag-ui.com, protocol 1.0): the run's own events, translated.

What goes out: `RUN_STARTED`; a `STATE_SNAPSHOT` that names the session and the run; `STEP_STARTED` and
`STEP_FINISHED` for each node; a `STATE_DELTA` (JSON Patch) whenever the project or its candidates have
grown, until the state is the `Answer`; what a node found and what the project rests on as `CUSTOM` events;
the project in a few words as a message of the assistant, so that a chat window has something to show; and
one `RUN_FINISHED` or `RUN_ERROR`. What comes in: `AgUiInput`.
"""

# Without `from __future__ import annotations`: FastAPI reads the types of a route that is made here.
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Annotated, Any, TypeGuard

from ag_ui.core import (
    PROTOCOL_VERSION,
    BaseEvent,
    CustomEvent,
    RunErrorEvent,
    RunFinishedCancelledOutcome,
    RunFinishedEvent,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    StateDeltaEvent,
    StateSnapshotEvent,
    StepFinishedEvent,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from ag_ui.encoder import EventEncoder
from fastapi import APIRouter, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.background import BackgroundTask

from graph.sessions.sessions import Caller, Event
from serve.callers import BEARER
from serve.context import AppContext, ContextDep
from serve.errors import responses
from serve.langserve_routes import EventStream, JsonRoute
from serve.limits.holds import Door
from serve.run_models import GenerateInput, RegenerateInput
from serve.runs.events import LAST
from serve.runs.store import ENDED, RunRecord
from serve.server_sent import EventStreamResponse, on_one_line
from tools.core.contracts import Answer, Language, Profile, Project, Subject, Wishes
from tools.core.errors import (
    InvalidProfileError,
    RunNotFoundError,
    SessionNotFoundError,
    WorkerStoppingError,
)

State = dict[str, Any]
Id = Annotated[str, Field(min_length=1, max_length=200)]
OUR_ID = re.compile("[A-Za-z0-9_-]{1,64}")
MAX_JOB = 200
"""Longest `desired_job` of a profile, in characters."""
Operation = dict[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""

AGUI_EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["data"],
}
"""How OpenAPI describes one of its server-sent events, whose data is what AG-UI describes."""

OF_THE_SUBJECT = tuple(name for name in Project.model_fields if name in Subject.model_fields)
"""What a project has of its subject, so that it can be shown before its plan is made."""


class Translation:
    """The AG-UI events of one run, made of its own, one after the other.

    It holds what a listener's state is by now. Whatever comes in, each step that was opened is closed, and
    there is one last event.
    """

    def __init__(self, thread_id: str, run_id: str, state: State) -> None:
        """Begins with a listener's state: what it holds besides an answer stays in it.

        Args:
            thread_id: AG-UI's thread, as the client named it.
            run_id: AG-UI's run, as the client named it.
            state: what the run begins with; `session_id` and `run_id` in it are the service's.
        """
        self.state: State = {
            **{key: value for key, value in state.items() if key not in Answer.model_fields},
            "session_id": state["session_id"],
            "project": None,
            "candidates": [],
        }
        self.ended = False
        self._ids = {"thread_id": thread_id, "run_id": run_id}
        self._open: dict[str, None] = {}
        self._subjects: dict[int, dict[str, Any]] = {}
        self._steps: dict[int, str] = {}
        self._tasks: dict[tuple[int, int], dict[str, Any]] = {}

    def begin(self) -> Iterator[BaseEvent]:
        """Yields what stands before all else."""
        yield RunStartedEvent(**self._ids, protocol_version=PROTOCOL_VERSION)
        yield StateSnapshotEvent(snapshot=self.state)

    def of(self, event: Event) -> Iterator[BaseEvent]:
        """Yields the AG-UI events that one of the run's events becomes; none once the run has ended."""
        if self.ended:
            return
        data = event["data"]
        match event["type"]:
            case "queued":
                # It waits, or waits again because its worker has ended: all is told anew from here on.
                yield from self._close_steps()
                self._forget()
                yield from self._grow(self._growing())
                yield CustomEvent(name="queued", value=None)
            case "node_started":
                yield from self._enter(event["node"])
            case "node_finished":
                # Where the beginning was dropped from the stream, the step begins here.
                yield from self._enter(event["node"])
                found = {"node": event["node"], "elapsed_ms": event["elapsed_ms"], "message": data}
                yield CustomEvent(name="finding", value=found)
                yield from self._leave(event["node"])
            case "subject":
                self._subjects[data["position"]] = data["subject"]
                yield from self._grow(self._growing())
            case "task":
                self._steps[data["step"]] = data["step_title"]
                self._tasks[data["step"], data["position"]] = data["task"]
                yield from self._grow(self._growing())
            case "withdrawn":
                self._withdraw(data["what"], data["positions"])
                yield from self._grow(self._growing())
            case "result":
                yield from self._succeed(data)
            case "error":
                yield from self._fail(data)
            case "reconnect":
                # This worker ends. The run goes on; AG-UI has no way to come again for the rest.
                yield from self._fail(WorkerStoppingError(session_id=self.state["session_id"]).as_json())

    def _enter(self, node: str) -> Iterator[BaseEvent]:
        if node not in self._open:
            self._open[node] = None
            yield StepStartedEvent(step_name=node)

    def _leave(self, node: str) -> Iterator[BaseEvent]:
        del self._open[node]
        yield StepFinishedEvent(step_name=node)

    def _withdraw(self, what: str, positions: list[int] | None) -> None:
        if what == "subjects":
            for position in list(self._subjects) if positions is None else positions:
                self._subjects.pop(position, None)
        else:
            # Tasks are checked as one plan: where some fall, the plan is written anew.
            self._tasks.clear()
            self._steps.clear()

    def _forget(self) -> None:
        self._subjects.clear()
        self._tasks.clear()
        self._steps.clear()

    def _growing(self) -> State:
        """Returns what is known of the answer by now."""
        main = self._subjects.get(0)
        project: dict[str, Any] | None = None
        if main is not None or self._tasks:
            about = {"subject_id": main["id"], **{key: main[key] for key in OF_THE_SUBJECT}} if main else {}
            project = {**about, "steps": self._plan(), "evidence": []}
        candidates = [subject for place, subject in sorted(self._subjects.items()) if place > 0]
        return {"project": project, "candidates": candidates}

    def _plan(self) -> list[dict[str, Any]]:
        places = sorted(self._tasks)
        return [
            {"title": title, "tasks": [self._tasks[place] for place in places if place[0] == step]}
            for step, title in sorted(self._steps.items())
        ]

    def _grow(self, known: Mapping[str, Any]) -> Iterator[BaseEvent]:
        grown = {**self.state, **known}
        if delta := list(patch(self.state, grown)):
            self.state = grown
            yield StateDeltaEvent(delta=delta)

    def _succeed(self, answer: dict[str, Any]) -> Iterator[BaseEvent]:
        yield from self._grow(answer)
        yield CustomEvent(name="evidence", value=answer["project"]["evidence"])
        if answer["warnings"]:
            yield CustomEvent(name="warnings", value=answer["warnings"])
        yield from self._close_steps()
        message = {"message_id": f"{self._ids['run_id']}-project"}
        yield TextMessageStartEvent(**message, role="assistant")
        yield TextMessageContentEvent(**message, delta=_in_a_few_words(answer["project"]))
        yield TextMessageEndEvent(**message)
        yield self._finished(RunFinishedSuccessOutcome())

    def _fail(self, error: Mapping[str, Any]) -> Iterator[BaseEvent]:
        yield from self._close_steps()
        if error["code"] == "run_cancelled":
            yield self._finished(RunFinishedCancelledOutcome())
            return
        self.ended = True
        details = {"details": error["details"]}
        yield RunErrorEvent(message=error["message"], code=error["code"], metadata=details)

    def _close_steps(self) -> Iterator[BaseEvent]:
        for node in list(self._open):
            yield from self._leave(node)

    def _finished(self, outcome: RunFinishedSuccessOutcome | RunFinishedCancelledOutcome) -> BaseEvent:
        self.ended = True
        where = {"session_id": self.state["session_id"]}
        return RunFinishedEvent(**self._ids, result=where, outcome=outcome)


def _in_a_few_words(project: Mapping[str, Any]) -> str:
    """Returns a project's title and why it is recommended, as Markdown."""
    return f"**{project['title']}**\n\n{project['summary']}"


def patch(old: Any, new: Any, path: str = "") -> Iterator[Operation]:
    """Yields the operations of a JSON Patch (RFC 6902) that make `new` of `old`, both JSON values.

    Lists are compared place by place: what is written here grows at its end.
    """
    match old, new:
        case dict(), dict():
            for key in old.keys() - new.keys():
                yield {"op": "remove", "path": _below(path, key)}
            for key, value in new.items():
                if key in old:
                    yield from patch(old[key], value, _below(path, key))
                else:
                    yield {"op": "add", "path": _below(path, key), "value": value}
        case list(), list():
            for place, (was, value) in enumerate(zip(old, new, strict=False)):
                yield from patch(was, value, _below(path, place))
            for place in range(len(old) - 1, len(new) - 1, -1):
                yield {"op": "remove", "path": _below(path, place)}
            for place in range(len(old), len(new)):
                yield {"op": "add", "path": _below(path, place), "value": new[place]}
        case _ if type(old) is not type(new) or old != new:
            yield {"op": "replace", "path": path, "value": new}


def _below(path: str, key: str | int) -> str:
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"


class AgUiContext(BaseModel):
    """What a run is asked for with."""

    model_config = ConfigDict(extra="allow")

    profile: Profile | None = Field(
        None, description="who looks for a project; one that differs from the session's begins a new session"
    )
    language: Language | None = Field(None, description="of a new session; `ko` when left out")
    wishes: Wishes | None = Field(None, description="what the next project of the session should be like")


class AgUiState(AgUiContext):
    """The state of an AG-UI client: what it asks with, and, after the first run, what it was sent."""

    session_id: str | None = Field(None, description="the session to go on with, if it is there")
    run_id: str | None = Field(None, description="the newest run; one that has not ended is watched again")


class AgUiMessage(BaseModel):
    """A message of an AG-UI conversation. The last counts, if it is the person's."""

    model_config = ConfigDict(extra="ignore")

    role: str
    content: Any = None

    def text(self) -> str:
        """Returns its words; of a message in parts, those of its texts."""
        parts = self.content if isinstance(self.content, list) else [self.content]
        texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
        return "\n".join(text for text in texts if isinstance(text, str)).strip()


class AgUiRequest(BaseModel):
    """What is read of AG-UI's `RunAgentInput`. The rest of it, tools say, is ignored."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)

    thread_id: Id
    run_id: Id
    state: AgUiState | None = None
    forwarded_props: AgUiContext | None = Field(None, description="for this run; goes before `state`")
    messages: list[AgUiMessage] = []

    def given(self, name: str) -> Any:
        """Returns what this run is asked for with: of `forwardedProps`, else of `state`."""
        for part in (self.forwarded_props, self.state):
            if (value := getattr(part, name, None)) is not None:
                return value
        return None

    def words(self) -> str:
        """Returns what the person said since the last run, which ended with a message of the assistant."""
        last = self.messages[-1] if self.messages else None
        return last.text() if last is not None and last.role == "user" else ""

    def generation(self) -> GenerateInput:
        """Returns the generation that is asked for.

        Raises:
            InvalidProfileError: neither a profile came nor words to make one of.
            RequestValidationError: the words do not do for one.
        """
        profile: Profile | None = self.given("profile")
        words = self.words()
        if profile is None and not words:
            problem = "is missing, and no message of the person stands in for it"
            raise InvalidProfileError(fields=[{"field": "state.profile", "problem": problem}])
        if words:
            with self._blaming_the_words():
                profile = _with_words(profile, words)
        return GenerateInput(profile=profile, language=self.given("language") or "ko")

    def regeneration(self, session_id: str) -> RegenerateInput:
        """Returns the regeneration that is asked for.

        Raises:
            RequestValidationError: the words are too many.
        """
        wishes: Wishes = self.given("wishes") or Wishes()
        feedback = wishes.feedback or self.words() or None
        with self._blaming_the_words():
            return RegenerateInput(session_id=session_id, **{**wishes.model_dump(), "feedback": feedback})

    @contextmanager
    def _blaming_the_words(self) -> Iterator[None]:
        """Tells the client that the last message is what is not valid; all else has been looked at before."""
        try:
            yield
        except ValidationError as error:
            place = ("body", "messages", len(self.messages) - 1, "content")
            raise RequestValidationError([{**item, "loc": place} for item in error.errors()]) from error


def _with_words(profile: Profile | None, words: str) -> Profile:
    """Returns a profile with what a person wrote; without one, the first line is the desired job."""
    if profile is not None:
        introduction = "\n".join(filter(None, (profile.introduction, words)))
        return Profile.model_validate({**profile.model_dump(), "introduction": introduction})
    job = words.splitlines()[0][:MAX_JOB]
    return Profile(desired_job=job, introduction=words if words != job else None)


def _is_of(session: Mapping[str, Any], profile: Profile) -> bool:
    """Says whether a session was begun with this profile. A person's words may have been added to it."""
    begun_with = Profile.model_validate(session["profile"])
    added = (begun_with.introduction or "").startswith(profile.introduction or "")
    return added and begun_with.model_copy(update={"introduction": profile.introduction}) == profile


router = APIRouter(prefix="/agui", tags=["agui"], route_class=JsonRoute, dependencies=[Security(BEARER)])


@router.post(
    "/run",
    operation_id="run_agui",
    response_class=EventStream,
    openapi_extra={
        "responses": {
            "200": {
                "description": "AG-UI's events, as server-sent events",
                "content": {"text/event-stream": {"itemSchema": AGUI_EVENT}},
            }
        }
    },
    responses=responses(401, 404, 408, 413, 415, 422, 429, 500, 503),
)
async def run_agui(request: Request, context: ContextDep, body: AgUiRequest) -> Response:
    """Generates or regenerates for an AG-UI client (`HttpAgent`, CopilotKit): `threadId`, or `session_id` in
    the state, is the session to go on with; where there is none, one is made of `profile` in the state, or of
    the person's last message. A client that leaves cancels the run."""
    caller: Caller = request.state.caller
    record, about = await _open_run(context, body, caller) or await _new_run(
        context, body, caller, Door(request)
    )
    state = {**((body.state and body.state.model_extra) or {}), **about}
    state |= {"session_id": record.session_id, "run_id": record.run_id}
    translation = Translation(body.thread_id, body.run_id, state)

    async def let_go() -> None:
        if not translation.ended:
            await context.runs.cancel(record.run_id, caller.owner)

    return EventStreamResponse(_server_sent(context, record, translation), BackgroundTask(let_go))


async def _open_run(
    context: AppContext, body: AgUiRequest, caller: Caller
) -> tuple[RunRecord, dict[str, Any]] | None:
    """Returns the run that the state names, if it has not ended: its stream was cut off, and is told anew."""
    if body.state is None or not _is_ours(body.state.run_id):
        return None
    try:
        record = await context.runs.get(body.state.run_id, caller.owner)
    except RunNotFoundError:
        return None
    about = {"profile": _plain(body.given("profile")), "language": body.given("language")}
    return None if record.state in ENDED else (record, about)


async def _new_run(
    context: AppContext, body: AgUiRequest, caller: Caller, door: Door
) -> tuple[RunRecord, dict[str, Any]]:
    """Starts a run, on the client's session where it has one; returns it and what it is about."""
    session = await _session(context, body, caller)
    if session is None:
        generation = body.generation()
        record = await context.runs.start(caller, "generate", generation, door)
        return record, {"profile": _plain(generation.profile), "language": generation.language}
    asked = body.regeneration(session["session_id"])
    record = await context.runs.start(caller, "regenerate", asked, door)
    of_session = Profile.model_validate(session["profile"])
    return record, {"profile": _plain(of_session), "language": session["language"]}


async def _session(context: AppContext, body: AgUiRequest, caller: Caller) -> Mapping[str, Any] | None:
    """Returns the session to go on with; None where a new one is to be begun."""
    profile: Profile | None = body.given("profile")
    for session_id in (body.thread_id, body.state.session_id if body.state else None):
        if _is_ours(session_id):
            try:
                session = await context.sessions.view(session_id, caller.owner)
            except SessionNotFoundError:
                continue
            return session if profile is None or _is_of(session, profile) else None
    return None


def _is_ours(name: str | None) -> TypeGuard[str]:
    """Says whether a client's word for a session or a run could be one of the service's."""
    return name is not None and OUR_ID.fullmatch(name) is not None


def _plain(profile: Profile | None) -> dict[str, Any] | None:
    return None if profile is None else profile.model_dump(mode="json", exclude_defaults=True)


async def _server_sent(
    context: AppContext, record: RunRecord, translation: Translation
) -> AsyncGenerator[bytes]:
    encoder = EventEncoder()

    def lines(events: Iterable[BaseEvent]) -> bytes:
        return b"".join(on_one_line(encoder.encode(event).encode()) for event in events)

    yield lines(translation.begin())
    last: Event = {"type": "error", "node": None, "elapsed_ms": 0, "data": RunNotFoundError().as_json()}
    async with aclosing(context.runs.watch(record.run_id)) as batches:
        async for batch in batches:
            told = [event.as_json() for event in batch]
            # One that failed and was resumed has an `error` in its midst: what ends it is where it ends.
            last = next((event for event in reversed(told) if event["type"] in LAST), last)
            going = [event for event in told if event["type"] not in LAST]
            yield lines(made for event in going for made in translation.of(event)) or b": heartbeat\n\n"
    yield lines(translation.of(last))
