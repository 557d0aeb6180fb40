"""What a failure of a stage means: for its document, for the provider, for the whole run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import psycopg

from ingest.documents import Cost
from ingest.errors import (
    DocumentUnreadableError,
    IngestError,
    NotAPostingError,
    ParserUnavailableError,
    TaggingError,
)
from tools.core.errors import (
    CheckerboardError,
    EmbeddingMismatchError,
    InternalError,
    ModelOutputError,
    ModelUnavailableError,
    SetupError,
    StoreUnavailableError,
)
from tools.core.store_failures import store_failure

logger = logging.getLogger(__name__)

_OF_THE_MODEL = (
    "key",
    "quota",
    "region",
    "model_not_found",
    "not_found",
    "structured_output",
    "parameter",
    "dimensions",
    "batch_size",
)
"""Causes for which the model fails with every document, until somebody changes a setting or an account."""
_OF_THE_DOCUMENT = ("refusal", "content_filter")
"""Causes that would come again, and be paid for again, with every further try of the same document."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as it is stored with its document."""

    stage: str
    code: str
    message: str
    final: bool
    """A further try would fail too."""
    transient: bool
    """The reason lies outside the document and goes away: the next run requeues the document by itself."""
    fatal: bool
    """The whole run has to end."""
    cost: Cost
    """What the failed try cost."""

    def as_json(self) -> dict[str, Any]:
        """What is stored in the document's row, and shown by `ingest status --json`."""
        return {
            "stage": self.stage,
            "code": self.code,
            "message": self.message,
            "passing": self.transient,
        }


def failure_of(error: Exception, stage: str) -> Failure:
    """Returns what `error` means for a document on its way to `stage`."""
    if isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
        error = InternalError(f"PostgreSQL ended the transaction: {error}")
    error = store_failure(error) or error
    if not isinstance(error, CheckerboardError):
        logger.exception("unexpected error in a stage", extra={"stage": stage}, exc_info=error)
        error = InternalError(f"{type(error).__name__}: {error}")
    of_the_model = isinstance(error, ModelUnavailableError) and error.cause in _OF_THE_MODEL
    declined = isinstance(error, ModelOutputError) and error.cause in _OF_THE_DOCUMENT
    too_long = isinstance(error, ModelUnavailableError) and error.cause == "context_length"
    key_refused = isinstance(error, ParserUnavailableError) and error.fatal
    return Failure(
        stage=stage,
        code=error.code,
        message=error.message,
        final=declined or isinstance(error, DocumentUnreadableError | NotAPostingError),
        transient=not too_long and isinstance(error, ModelUnavailableError | ParserUnavailableError),
        fatal=of_the_model
        or key_refused
        or isinstance(error, EmbeddingMismatchError | SetupError | StoreUnavailableError),
        cost=error.cost if isinstance(error, IngestError | TaggingError) else Cost(),
    )
