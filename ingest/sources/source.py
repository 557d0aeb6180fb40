"""The one interface of all sources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from ingest.documents import Collected, Listed


class Source(Protocol):
    """Where postings come from."""

    @property
    def name(self) -> str:
        """Its specification as a person writes it: `greenhouse:acme`, `folder:posters`."""

    def documents(self) -> AsyncIterator[Collected | Listed]:
        """Yields what the source has now, one document at a time.

        A document that cannot be fetched is logged and passed over, and no `Listed` is yielded for
        its scope then; what cannot go on at all ends the iteration with an error.

        Raises:
            SourceRefusedError: the source does not want to be read; it is not asked again in this run.
            SourceUnavailableError: the source did not answer after every retry.
            InvalidRequestError: there is no such folder, board or date range.
        """
