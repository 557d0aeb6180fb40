"""The one interface of all parsers."""

from __future__ import annotations

from typing import Protocol

from ingest.documents import Parsed, RawFile


class Parser(Protocol):
    """Reads a file into blocks."""

    @property
    def name(self) -> str:
        """Its name in the setting that orders the parsers: `local`, `upstage`, `vision`."""

    async def parse(self, file: RawFile) -> Parsed:
        """Reads one file, all its pages.

        Raises:
            DocumentUnreadableError: this file cannot be read by this parser, however often one tries.
            ParserUnavailableError: the parser did not answer; it may later.
        """
