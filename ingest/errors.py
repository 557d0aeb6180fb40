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

from tools.core.errors import CheckerboardError


class IngestError(CheckerboardError):
    """A document could not be brought in."""

    code = "ingest_failed"


class SourceRefusedError(IngestError):
    """The source refuses to be read. Ask its owner for permission, or take an export of your own."""

    code = "source_refused"


class SourceUnavailableError(IngestError):
    """The source did not answer after every retry. Run the ingest again later: it goes on from here."""

    code = "source_unavailable"


class DocumentUnreadableError(IngestError):
    """This file cannot be read; the message says why. Mend it, then `checkerboard ingest retry`."""

    code = "document_unreadable"


class NotAPostingError(IngestError):
    """No position was found in this document, so it is set aside."""

    code = "not_a_posting"


class ParserUnavailableError(IngestError):
    """The document parser did not answer. The document is tried again later."""

    code = "parser_unavailable"
