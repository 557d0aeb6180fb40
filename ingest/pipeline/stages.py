"""What each stage does with a document: parse, tag, embed, load."""

from __future__ import annotations

import logging
import os
from datetime import datetime

import orjson

from ingest.documents import Cost, Tagged
from ingest.errors import DocumentUnreadableError
from ingest.load import embed_lacking
from ingest.parsers.document_parser import Parsers
from ingest.pipeline.local_engine import Outcome, Step
from ingest.pipeline.store import ROW, Document, RawFiles
from ingest.structured.columns import UnreadField, as_posting
from ingest.tagging.tagger import Tagger
from tools.llm.token_estimates import usd
from tools.postings.contracts import Position, Posting
from tools.postings.deadlines import KOREA
from tools.services import Services

logger = logging.getLogger(__name__)

EMBED_BATCH = 64
LOAD_BATCH = 64


class Stages:
    """The work of the stages. Each is idempotent."""

    def __init__(self, raw: RawFiles, parsers: Parsers, tagger: Tagger, services: Services) -> None:
        self._raw = raw
        self._parsers = parsers
        self._tagger = tagger
        self._services = services

    def steps(self, *, tagging: int) -> list[Step]:
        """Returns the steps of the pipeline; `tagging` documents are tagged at the same time."""
        return [
            # More workers than cores: while one document is read here, others wait for a provider.
            Step("parsed", self.parse, workers=2 * (os.cpu_count() or 1)),
            Step("tagged", self.tag, workers=tagging),
            Step("embedded", self.embed, workers=2, batch=EMBED_BATCH),
            Step("loaded", self.load, workers=1, batch=LOAD_BATCH),
        ]

    async def parse(self, documents: list[Document]) -> list[Outcome]:
        """Parses one document's files into blocks; rows of structured postings need no parsing."""
        [document] = documents
        if [file["media_type"] for file in document.files] == [ROW]:
            return [Outcome()]
        document.parsed = await self._parsers.read(await self._raw.read(document.files))
        return [Outcome(document.parsed.cost, flags=document.parsed.flags)]

    async def tag(self, documents: list[Document]) -> list[Outcome]:
        """Sorts one document into positions.

        Raises:
            DocumentUnreadableError: a row is no posting.
            NotAPostingError, ModelUnavailableError, ModelOutputError: as `Tagger.tag`.
        """
        [document] = documents
        if document.parsed is None:
            document.tagged = await self._tag_row(document)
        else:
            document.tagged = await self._tagger.tag(document.parsed, document.hints)
        return [Outcome(document.tagged.cost)]

    async def embed(self, documents: list[Document]) -> list[Outcome]:
        """Embeds the texts of the documents' positions that have no vector yet."""
        return await self._embed(
            [posting for document in documents for posting in postings(document)], documents
        )

    async def load(self, documents: list[Document]) -> list[Outcome]:
        """Writes the documents' positions into the store of postings. A vector that was deleted meanwhile,
        or is of another embedding, is made first: a posting without a vector is never found."""
        loaded = [posting for document in documents for posting in postings(document)]
        outcomes = await self._embed(loaded, documents)
        await self._services.writer.upsert(loaded)
        return outcomes

    async def _embed(self, positions: list[Posting], documents: list[Document]) -> list[Outcome]:
        tokens = await embed_lacking(self._services, positions)
        # The batch was one request: its cost is recorded with its first document.
        first = Outcome(Cost(input_tokens=tokens, usd=usd(self._services.embedder.model_name, tokens, 0)))
        return [first, *(Outcome() for _ in documents[1:])]

    async def _tag_row(self, document: Document) -> Tagged:
        [file] = await self._raw.read(document.files)
        try:
            value = orjson.loads(file.content)
        except orjson.JSONDecodeError as error:
            raise DocumentUnreadableError(f"not JSON: {error}") from error

        def report(field: UnreadField) -> None:
            logger.warning("field left empty", extra={"row": document.source_id, **field._asdict()})

        today = datetime.now(KOREA).date()
        posting = as_posting(value, source=document.source, seen=today, report=report)
        return Tagged(positions=[Position.model_validate(posting.model_dump())])


def postings(document: Document) -> list[Posting]:
    """Returns the postings of a tagged document, one for each position."""
    assert document.tagged is not None  # noqa: S101 - the stage before has made it
    key = {"source": document.source, "source_id": document.source_id}
    return [
        Posting.model_validate(
            {"url": document.hints.url, **position.model_dump(exclude_none=True), **key, "position": number}
        )
        for number, position in enumerate(document.tagged.positions)
    ]
