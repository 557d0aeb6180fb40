"""What a failure of a stage means: is the document to blame, the provider, or is nothing to go on with?"""

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
"""Causes for which the model fails with every document alike, until somebody sets something right."""
_OF_THE_DOCUMENT = ("refusal", "content_filter")
"""Causes that asking again about the same document would bring again, and be paid for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as it is kept with the document."""

    stage: str
    code: str
    message: str
    final: bool
    """Trying again is of no use."""
    passing: bool
    """The reason lies outside the document and passes: the next run tries it again by itself."""
    fatal: bool
    """The whole run cannot go on."""
    cost: Cost
    """What it cost to find that out."""

    def as_json(self) -> dict[str, Any]:
        """What is kept in the document's row."""
        return {
            "stage": self.stage,
            "code": self.code,
            "message": self.message,
            "passing": self.passing,
        }


def failure(error: Exception, stage: str) -> Failure:
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
        passing=not too_long and isinstance(error, ModelUnavailableError | ParserUnavailableError),
        fatal=of_the_model
        or key_refused
        or isinstance(error, EmbeddingMismatchError | SetupError | StoreUnavailableError),
        cost=error.cost if isinstance(error, IngestError | TaggingError) else Cost(),
    )
