"""What goes wrong while documents are collected, read and tagged. No request meets these errors, so they have
no HTTP status; `ingest.pipeline.failures` says what each means for its document.

    IngestError
    ├── SourceRefusedError        source_refused
    ├── SourceUnavailableError    source_unavailable
    ├── DocumentUnreadableError   document_unreadable
    ├── NotAPostingError          not_a_posting
    └── ParserUnavailableError    parser_unavailable
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.documents import Cost
from tools.core.errors import CheckerboardError, ModelOutputError


@dataclass(eq=False, repr=False, kw_only=True)
class IngestError(CheckerboardError):
    """A document could not be brought in."""

    code = "ingest_failed"
    cost: Cost = field(default_factory=Cost)
    """What it cost to find that out."""


class SourceRefusedError(IngestError):
    """The source refuses to be read. Ask its owner for permission, or take an export of your own."""

    code = "source_refused"


class SourceUnavailableError(IngestError):
    """The source did not answer after every retry. Run the ingest again later: it goes on from here."""

    code = "source_unavailable"


@dataclass(eq=False, repr=False, kw_only=True)
class DocumentUnreadableError(IngestError):
    """This file cannot be read; the message says why. Mend it, then `checkerboard ingest retry`."""

    code = "document_unreadable"
    file: str | None = None
    """The name of the file."""


class NotAPostingError(IngestError):
    """No position was found in this document, so it is set aside."""

    code = "not_a_posting"


@dataclass(eq=False, repr=False, kw_only=True)
class ParserUnavailableError(IngestError):
    """The document parser did not answer. The document is tried again later."""

    code = "parser_unavailable"
    parser: str | None = None
    cause: str | None = None
    """`key`, `connection`, `timeout`, `status` or `answer`."""
    status: int | None = None
    """The HTTP status with which the parser's API answered."""
    fatal: bool = False
    """Whether it fails with every document, until somebody sets something right."""


@dataclass(eq=False, repr=False, kw_only=True)
class TaggingError(ModelOutputError):
    """The model's answers about a document stayed invalid after every retry."""

    cost: Cost = field(default_factory=Cost)
    """What the answers cost."""

    @classmethod
    def of(cls, error: ModelOutputError, cost: Cost) -> TaggingError:
        """Returns `error` with what it cost."""
        return cls(
            error.message,
            purpose=error.purpose,
            cause=error.cause,
            refusal=error.refusal,
            problems=error.problems,
            usage=error.usage,
            cost=cost,
        )
