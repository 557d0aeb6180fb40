"""Every error that a caller of this service can meet.

One root, one HTTP status and one code each; a class's docstring is its default message, and it
tells the reader what to do next. `serve` has one handler for the whole tree.

    CheckerboardError
    ├── UnauthorizedError         401 unauthorized
    ├── ForbiddenError            403 forbidden
    ├── SessionNotFoundError      404 session_not_found
    ├── PostingNotFoundError      404 posting_not_found
    ├── PromptNotFoundError       404 prompt_not_found
    ├── RequestTimeoutError       408 request_timeout
    ├── RunInProgressError        409 run_in_progress
    ├── IdempotencyConflictError  422 idempotency_conflict
    ├── SubjectNotFoundError      422 subject_not_found
    ├── InvalidProfileError       422 invalid_profile
    ├── InvalidRequestError       422 invalid_request
    ├── PromptInvalidError        422 prompt_invalid
    ├── NoPostingsError           503 no_postings
    ├── ModelUnavailableError     503 model_unavailable
    ├── ModelOutputError          502 model_output_invalid
    ├── StoreUnavailableError     503 store_unavailable
    ├── EmbeddingMismatchError    503 embedding_mismatch
    ├── HubUnavailableError       503 hub_unavailable
    ├── WorkerStoppingError       503 worker_stopping
    └── SetupError                500 setup_failed
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from tools.core.program import typed


class CheckerboardError(Exception):
    """Something went wrong in the service; the log of this moment says what."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    message: str
    """One sentence for the reader: what happened and what to do next."""
    details: dict[str, Any]
    """JSON-ready facts for a program: the field, the session, the limit."""

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = typed(message or inspect.cleandoc(type(self).__doc__ or "").replace("\n", " "))
        self.details = details
        super().__init__(self.message)

    def as_json(self) -> Mapping[str, Any]:
        """The body that a client sees: `{"code", "message", "details"}`."""
        return {"code": self.code, "message": self.message, "details": self.details}


class UnauthorizedError(CheckerboardError):
    """No valid API key came with the request. Send one as `Authorization: Bearer KEY`."""

    code = "unauthorized"
    status = 401


class ForbiddenError(CheckerboardError):
    """This needs the key of an administrator. The operator names those in CHECKERBOARD_ADMIN_KEYS."""

    code = "forbidden"
    status = 403


class SessionNotFoundError(CheckerboardError):
    """This session does not exist or has expired. Start a new one with POST /generate/invoke."""

    code = "session_not_found"
    status = 404


class PostingNotFoundError(CheckerboardError):
    """There is no posting with this id. GET /postings/search lists what is loaded."""

    code = "posting_not_found"
    status = 404


class PromptNotFoundError(CheckerboardError):
    """There is no such prompt or commit. GET /prompts lists the prompts."""

    code = "prompt_not_found"
    status = 404


class RequestTimeoutError(CheckerboardError):
    """The request did not arrive in time. Send it again, whole."""

    code = "request_timeout"
    status = 408


class RunInProgressError(CheckerboardError):
    """This session is at work on another request. Wait for that answer, then ask again."""

    code = "run_in_progress"
    status = 409


class IdempotencyConflictError(CheckerboardError):
    """This Idempotency-Key was used for another request. Take a new key for a new request."""

    code = "idempotency_conflict"
    status = 422


class SubjectNotFoundError(CheckerboardError):
    """This subject is not among the session's candidates. GET /sessions/{id} lists them."""

    code = "subject_not_found"
    status = 422


class InvalidProfileError(CheckerboardError):
    """The profile is not valid. `details.fields` names each field and what is wrong with it."""

    code = "invalid_profile"
    status = 422


class InvalidRequestError(CheckerboardError):
    """The request is not valid. `details.fields` names each field and what is wrong with it."""

    code = "invalid_request"
    status = 422


class PromptInvalidError(CheckerboardError):
    """A prompt cannot be used, so those in force stay. `details.prompts` says of each what is wrong."""

    code = "prompt_invalid"
    status = 422


class NoPostingsError(CheckerboardError):
    """No postings are loaded yet. Run `checkerboard ingest load FILE…` (or `checkerboard ingest
    load --samples`), then ask again."""

    code = "no_postings"
    status = 503


class ModelUnavailableError(CheckerboardError):
    """The model did not answer in time. The session is kept: ask again on it in a moment."""

    code = "model_unavailable"
    status = 503


class ModelOutputError(CheckerboardError):
    """The model's answer stayed invalid after every retry. The session is kept: ask again on it."""

    code = "model_output_invalid"
    status = 502


class StoreUnavailableError(CheckerboardError):
    """PostgreSQL or Redis did not answer. GET /readyz tells which; nothing of the session is lost."""

    code = "store_unavailable"
    status = 503


class EmbeddingMismatchError(CheckerboardError):
    """The loaded postings were embedded by another model than the one that is configured."""

    code = "embedding_mismatch"
    status = 503


class HubUnavailableError(CheckerboardError):
    """LangSmith's prompt hub did not answer, so the prompts in force stay. Ask again in a moment."""

    code = "hub_unavailable"
    status = 503


class WorkerStoppingError(CheckerboardError):
    """This worker is being stopped. Ask again in a moment: another goes on, and what was paid for is kept."""

    code = "worker_stopping"
    status = 503


class SetupError(CheckerboardError):
    """A part that the service needs could not be started. `checkerboard doctor` says what to do."""

    code = "setup_failed"


def from_json(data: Mapping[str, Any]) -> CheckerboardError:
    """Returns the error that `as_json` described, so that an error event can be raised again."""
    kind = next((c for c in CheckerboardError.__subclasses__() if c.code == data["code"]), CheckerboardError)
    return kind(data["message"], **data["details"])
