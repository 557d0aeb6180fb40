"""The errors of the service.

Each class has a code for programs, attributes for the facts (they are the `details` of its JSON), and a
docstring, which is its default message and says what to do next. A ServiceError can meet a request and has
an HTTP status; `serve.errors` turns it into an answer. Other rooms put errors of their own, without a
status, under CheckerboardError: `ingest.errors`.

    ServiceError
    ├── InternalError             500 internal
    ├── UnauthorizedError         401 unauthorized
    ├── ForbiddenError            403 forbidden
    ├── SessionNotFoundError      404 session_not_found
    ├── ProjectNotFoundError      404 project_not_found
    ├── PostingNotFoundError      404 posting_not_found
    ├── KeptNotFoundError         404 kept_not_found
    ├── PromptNotFoundError       404 prompt_not_found
    ├── RequestTimeoutError       408 request_timeout
    ├── RunNotFoundError          404 run_not_found
    ├── RunInProgressError        409 run_in_progress
    ├── RunCancelledError         409 run_cancelled
    ├── IdempotencyConflictError  422 idempotency_conflict
    ├── SubjectNotFoundError      422 subject_not_found
    ├── InvalidProfileError       422 invalid_profile
    ├── InvalidRequestError       422 invalid_request
    ├── PromptInvalidError        422 prompt_invalid
    ├── RateLimitedError          429 rate_limited
    ├── NoPostingsError           503 no_postings
    ├── ModelUnavailableError     503 model_unavailable
    ├── ModelOutputError          502 model_output_invalid
    ├── StoreUnavailableError     503 store_unavailable
    ├── EmbeddingMismatchError    503 embedding_mismatch
    ├── HubUnavailableError       503 hub_unavailable
    ├── OverloadedError           503 overloaded
    ├── WorkerStoppingError       503 worker_stopping
    ├── RunAbandonedError         500 run_abandoned
    └── SetupError                500 setup_failed
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypedDict

from pydantic_core import to_jsonable_python

from tools.core.processes import with_command_name

ModelCause = Literal[
    "batch_failed",
    "batch_size",
    "batch_timeout",
    "circuit_open",
    "connection",
    "content_filter",
    "context_length",
    "dimensions",
    "encoding",
    "key",
    "model_not_found",
    "not_found",
    "parameter",
    "quota",
    "rate_limit",
    "recursion_limit",
    "refusal",
    "region",
    "repeats",
    "run_timeout",
    "status",
    "structured_output",
    "timeout",
    "unreadable",
]
"""Why a model gave no answer, or none that can be used."""


LimitName = Literal["requests_per_minute", "runs_at_once", "tokens_per_day", "usd_per_month"]
"""What a caller is limited in."""


class FieldProblem(TypedDict):
    """A field that is not valid, by its path in the request, and what is wrong with it."""

    field: str
    problem: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more answers of a model, as the API counted them; 0 where it did not say."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


@dataclass(eq=False, repr=False, kw_only=True)
class CheckerboardError(Exception):
    """The root of the errors that say in plain words what happened."""

    code: ClassVar[str]
    """The error's name for programs."""
    message: str = field(default="", kw_only=False)
    """One sentence for people: what happened, and what to do next."""

    def __post_init__(self) -> None:
        default = inspect.cleandoc(type(self).__doc__ or "").replace("\n", " ")
        self.message = with_command_name(self.message or default)
        super().__init__(self.message)

    @property
    def details(self) -> dict[str, Any]:
        """The attributes that are set, other than the message, as JSON."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "message"}
        return {
            name: to_jsonable_python(value)
            for name, value in values.items()
            if value not in (None, (), {})  # not set
        }

    def as_json(self) -> Mapping[str, Any]:
        """Returns the body of the answer to a client: `{"code", "message", "details"}`."""
        return {"code": self.code, "message": self.message, "details": self.details}


@dataclass(eq=False, repr=False, kw_only=True)
class ServiceError(CheckerboardError):
    """The root of the errors that a request can meet."""

    http_status: ClassVar[int]
    session_id: str | None = None
    """The session concerned, where it can be asked again."""
    retry_after_seconds: int | None = None
    """How long to wait before the next try, where that is known."""


class InternalError(ServiceError):
    """Something went wrong in the service; the log of this moment says what."""

    code = "internal"
    http_status = 500


class UnauthorizedError(ServiceError):
    """No valid API key came with the request. Send one as `Authorization: Bearer KEY`."""

    code = "unauthorized"
    http_status = 401


class ForbiddenError(ServiceError):
    """This needs the key of an administrator. The operator names those in CHECKERBOARD_ADMIN_KEYS."""

    code = "forbidden"
    http_status = 403


class SessionNotFoundError(ServiceError):
    """This session does not exist or has expired. Start a new one with POST /generate/invoke."""

    code = "session_not_found"
    http_status = 404


@dataclass(eq=False, repr=False, kw_only=True)
class ProjectNotFoundError(ServiceError):
    """This session has no project yet: its first run has not ended. Ask it again, or wait for the run."""

    code = "project_not_found"
    http_status = 404


@dataclass(eq=False, repr=False, kw_only=True)
class PostingNotFoundError(ServiceError):
    """There is no posting with this id. GET /postings/search lists what is loaded."""

    code = "posting_not_found"
    http_status = 404
    posting_id: str | None = None


class KeptNotFoundError(ServiceError):
    """Nothing is kept here: its time is over, it was deleted, or it never was. Only who kept it can delete
    it."""

    code = "kept_not_found"
    http_status = 404


@dataclass(eq=False, repr=False, kw_only=True)
class PromptNotFoundError(ServiceError):
    """There is no such prompt or commit. GET /prompts lists the prompts."""

    code = "prompt_not_found"
    http_status = 404
    prompt: str | None = None
    """Its key, or its name in the hub."""


class RequestTimeoutError(ServiceError):
    """The request did not arrive in time. Send it again, whole."""

    code = "request_timeout"
    http_status = 408


class RunInProgressError(ServiceError):
    """This session is at work on another request. Wait for that answer, then ask again."""

    code = "run_in_progress"
    http_status = 409


class RunNotFoundError(ServiceError):
    """There is no such run, or it has expired with its session. Start one with POST /runs."""

    code = "run_not_found"
    http_status = 404


class RunCancelledError(ServiceError):
    """This run was cancelled. POST /runs/{id}/resume goes on with it."""

    code = "run_cancelled"
    http_status = 409


class RunAbandonedError(ServiceError):
    """The workers that did this run ended in the middle of it, again and again. Their logs say why; POST
    /runs/{id}/resume tries once more."""

    code = "run_abandoned"
    http_status = 500


@dataclass(eq=False, repr=False, kw_only=True)
class IdempotencyConflictError(ServiceError):
    """This Idempotency-Key was used for another request. Take a new key for a new request."""

    code = "idempotency_conflict"
    http_status = 422
    fields: Sequence[FieldProblem] = ()


@dataclass(eq=False, repr=False, kw_only=True)
class SubjectNotFoundError(ServiceError):
    """This subject is not among the session's candidates. GET /sessions/{id} lists them."""

    code = "subject_not_found"
    http_status = 422
    subject_id: str | None = None
    fields: Sequence[FieldProblem] = ()


@dataclass(eq=False, repr=False, kw_only=True)
class InvalidProfileError(ServiceError):
    """The profile is not valid. `details.fields` names each field and what is wrong with it."""

    code = "invalid_profile"
    http_status = 422
    fields: Sequence[FieldProblem] = ()


@dataclass(eq=False, repr=False, kw_only=True)
class InvalidRequestError(ServiceError):
    """The request is not valid. `details.fields` names each field and what is wrong with it."""

    code = "invalid_request"
    http_status = 422
    fields: Sequence[FieldProblem] = ()
    file: str | None = None
    """The file that a command was given."""
    line: int | None = None
    """The line of that file."""


@dataclass(eq=False, repr=False, kw_only=True)
class PromptInvalidError(ServiceError):
    """A prompt cannot be used, so the active ones stay. `details.prompts` says of each what is wrong."""

    code = "prompt_invalid"
    http_status = 422
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The problems of each prompt, by its key."""


@dataclass(eq=False, repr=False, kw_only=True)
class RateLimitedError(ServiceError):
    """You have used what you may for now. Ask again after the seconds in Retry-After; nothing was begun, and
    nothing paid for."""

    code = "rate_limited"
    http_status = 429
    limit: LimitName | None = None
    """What there was no more of."""
    allowed: float | None = None
    """How much of it there is."""


class NoPostingsError(ServiceError):
    """No postings are loaded yet. Run `checkerboard ingest load FILE…` (or `checkerboard ingest
    load --samples`), then ask again."""

    code = "no_postings"
    http_status = 503


@dataclass(eq=False, repr=False, kw_only=True)
class ModelUnavailableError(ServiceError):
    """The model did not answer in time. Ask again in a moment."""

    code = "model_unavailable"
    http_status = 503
    purpose: str | None = None
    """What the model was asked for: the node's name, or `embeddings`."""
    cause: ModelCause | None = None
    status: int | None = None
    """The HTTP status with which the model's API answered."""
    dimensions: int | None = None
    """How many the embedding model gives."""
    configured: int | None = None
    """How many were expected."""
    problems: Sequence[str] = ()
    """What the API says is wrong with a batch."""


@dataclass(eq=False, repr=False, kw_only=True)
class ModelOutputError(ServiceError):
    """The model's answer stayed invalid after every retry. Ask again in a moment."""

    code = "model_output_invalid"
    http_status = 502
    purpose: str | None = None
    """What the model was asked for: the node's name."""
    cause: ModelCause | None = None
    """`refusal` and `content_filter` mean that asking again is of no use, `repeats` that it takes other
    wishes."""
    status: int | None = None
    """The HTTP status with which a content filter answered."""
    refusal: str | None = None
    """The model's words, where it refuses."""
    problems: Sequence[str] = ()
    """What is wrong with the last answer."""
    usage: Usage | None = None
    """The tokens that the answers used up."""


@dataclass(eq=False, repr=False, kw_only=True)
class StoreUnavailableError(ServiceError):
    """PostgreSQL or Redis did not answer. GET /readyz tells which; nothing of the session is lost."""

    code = "store_unavailable"
    http_status = 503
    store: Literal["postgresql", "redis"] | None = None
    reason: str | None = None
    """Why, where that is known: `memory`, `disk`, `refused`, … (`tools.core.store_failures`)."""


@dataclass(eq=False, repr=False, kw_only=True)
class EmbeddingMismatchError(ServiceError):
    """The loaded postings were embedded by another model than the one that is configured."""

    code = "embedding_mismatch"
    http_status = 503
    stored: Sequence[str | int] | None = None
    """Model and dimensions of the loaded postings."""
    configured: Sequence[str | int] | None = None
    """Model and dimensions of the settings."""


@dataclass(eq=False, repr=False, kw_only=True)
class HubUnavailableError(ServiceError):
    """LangSmith's prompt hub did not answer, so the active prompts stay. Ask again in a moment."""

    code = "hub_unavailable"
    http_status = 503
    prompt: str | None = None
    """The name in the hub that was asked for."""
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The problems of each prompt, by its key."""


@dataclass(eq=False, repr=False, kw_only=True)
class OverloadedError(ServiceError):
    """All places for runs are taken. Ask again in a few seconds; nothing was begun, and nothing paid for."""

    code = "overloaded"
    http_status = 503
    retry_after_seconds: int | None = 5
    """Of 4,000 runs that take 160 s each, 125 end in that time."""


class WorkerStoppingError(ServiceError):
    """This worker is being stopped. Ask again in a moment: another goes on, and what was paid for is kept."""

    code = "worker_stopping"
    http_status = 503


@dataclass(eq=False, repr=False, kw_only=True)
class SetupError(ServiceError):
    """A part that the service needs could not be started. `checkerboard doctor` says what to do."""

    code = "setup_failed"
    http_status = 500
    lacking: Sequence[str] = ()
    """The extensions or modules that a store has not."""


def from_json(data: Mapping[str, Any]) -> ServiceError:
    """Returns the error that `as_json` described, so that an error event can be raised again."""
    kind = next((c for c in ServiceError.__subclasses__() if c.code == data["code"]), InternalError)
    names = {item.name for item in fields(kind)}
    details = {name: value for name, value in data["details"].items() if name in names}
    if "usage" in details:
        details["usage"] = Usage(**details["usage"])
    return kind(data["message"], **details)
