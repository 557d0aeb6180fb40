"""A run of the ingest: its open parts, and what each stage does with a document: parse, tag, embed, load."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
import psycopg

from ingest.documents import Cost, Tagged
from ingest.errors import DocumentUnreadableError
from ingest.load import embed, renew
from ingest.parsers.document_parser import DocumentParser, open_document_parser
from ingest.pipeline.local_engine import Counts, LocalEngine, Outcome, StageRunner
from ingest.pipeline.store import (
    ROW,
    Document,
    DocumentStore,
    PostgresFetchLog,
    PostgresJournal,
    RawFiles,
    open_store,
)
from ingest.sources.folder import FolderSource
from ingest.sources.registry import Source, open_source
from ingest.sources.web import open_web
from ingest.structured.columns import UnreadField, as_posting
from ingest.tagging.tagger import Tagger
from tools.core.errors import InvalidRequestError, StoreUnavailableError
from tools.core.settings import Settings
from tools.core.store_failures import one_line, store_failure
from tools.core.tracing import traced
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client
from tools.llm.pacing import Pacer
from tools.llm.token_estimates import usd
from tools.postings.contracts import Position, Posting
from tools.postings.deadlines import KOREA
from tools.postings.repository import forget_unused_vectors
from tools.services import Services, open_services

logger = logging.getLogger(__name__)

EMBEDDED_AT_ONCE = LOADED_AT_ONCE = 64
"""Documents."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """The open parts of a run."""

    services: Services
    store: DocumentStore
    raw: RawFiles
    parser: DocumentParser
    tagger: Tagger
    journal: PostgresJournal
    sources: list[Source]

    def runners(self) -> list[StageRunner]:
        """Returns how each stage is run, in order. Every stage is idempotent."""
        return [
            # More tasks than cores: while one document is read here, others wait for a provider.
            StageRunner("parsed", self._parse, tasks=2 * (os.cpu_count() or 1)),
            StageRunner("tagged", self._tag, tasks=self.services.settings.ingest_workers),
            StageRunner("embedded", self._embed, tasks=2, at_once=EMBEDDED_AT_ONCE),
            StageRunner("loaded", self._load, tasks=1, at_once=LOADED_AT_ONCE),
        ]

    async def collect_and_work(
        self,
        runners: Sequence[StageRunner],
        counts: Counts,
        *,
        ids: Sequence[int] = (),
        in_batches: bool = False,
        forever: bool = False,
    ) -> None:
        """Collects the sources and takes documents (of `ids` where any are given) through stages.

        Raises:
            CheckerboardError: as `LocalEngine.run`.
        """
        engine = LocalEngine(
            self.store,
            runners,
            counts,
            attempts=self.services.settings.ingest_attempts,
            ids=ids,
            in_batches=in_batches,
        )
        try:
            await engine.run(self.sources, forever=forever)
        except psycopg.Error as error:
            failure = store_failure(error)
            why = failure.message if failure else f"PostgreSQL refuses: {one_line(error)}."
            raise StoreUnavailableError(f"{why} What was made is kept; run it again.") from error

    async def tidy(self) -> None:
        """Begins a run: normalizes the postings of an earlier version, requeues what was set aside for a
        transient reason, and deletes what is not needed any more."""
        await renew(self.services)
        await self.store.requeue_transient()
        await self.store.withdraw_leftovers()
        await self.journal.forget_old()
        await forget_unused_vectors(self.services.pool)

    async def _parse(self, documents: list[Document]) -> list[Outcome]:
        """Parses one document's files into blocks; rows of structured postings need no parsing."""
        [document] = documents
        if [file["media_type"] for file in document.files] == [ROW]:
            return [Outcome()]
        document.parsed = await self.parser.parse(await self.raw.read(document.files))
        return [Outcome(document.parsed.cost, flags=document.parsed.flags)]

    async def _tag(self, documents: list[Document]) -> list[Outcome]:
        """Sorts one document into positions.

        Raises:
            DocumentUnreadableError: a row is no posting.
            NotAPostingError, ModelUnavailableError, ModelOutputError: as `Tagger.tag`.
        """
        [document] = documents
        if document.parsed is None:
            document.tagged = await self._tag_row(document)
        else:
            document.tagged = await self.tagger.tag(document.parsed, document.hints)
        return [Outcome(document.tagged.cost)]

    async def _tag_row(self, document: Document) -> Tagged:
        [file] = await self.raw.read(document.files)
        try:
            value = orjson.loads(file.content)
        except orjson.JSONDecodeError as error:
            raise DocumentUnreadableError(f"not JSON: {error}") from error

        def report(field: UnreadField) -> None:
            logger.warning("field left empty", extra={"row": document.source_id, **field._asdict()})

        today = datetime.now(KOREA).date()
        posting = as_posting(value, source=document.source, seen=today, report=report)
        return Tagged(positions=[Position.model_validate(posting.model_dump())])

    async def _embed(self, documents: list[Document]) -> list[Outcome]:
        """Embeds the texts of the documents' positions that have no vector yet."""
        postings = [posting for document in documents for posting in postings_of(document)]
        tokens = await embed(self.services, postings)
        # One request for all: its cost is recorded with the first document.
        first = Outcome(Cost(input_tokens=tokens, usd=usd(self.services.embedder.model_name, tokens, 0)))
        return [first, *(Outcome() for _ in documents[1:])]

    async def _load(self, documents: list[Document]) -> list[Outcome]:
        """Writes the documents' positions into the store of postings. A vector that was deleted meanwhile,
        or is of another embedding, is made first: a posting without a vector is never found."""
        outcomes = await self._embed(documents)
        await self.services.writer.upsert([p for document in documents for p in postings_of(document)])
        return outcomes


@asynccontextmanager
async def open_ingest(settings: Settings, specs: Sequence[str] = ()) -> AsyncIterator[Ingest]:
    """Opens the parts of a run that collects `specs` (`folder:posters`, `greenhouse:acme`).

    Raises:
        InvalidRequestError: a source is not known, or what it names does not exist.
        EmbeddingMismatchError: the loaded postings were embedded by another model.
        SetupError: PostgreSQL does not answer.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(traced())
        services = await stack.enter_async_context(open_services(settings))
        await services.vectors.require_ready()
        assert settings.database_url is not None  # noqa: S101 - `embedded_servers` has filled it
        raw = RawFiles.of(settings)
        store = await stack.enter_async_context(open_store(settings.database_url, services.pool, raw))
        web = await stack.enter_async_context(open_web(settings, PostgresFetchLog(services.pool)))
        # Every answer is recorded and so paid for once, over all runs.
        journal = PostgresJournal(services.pool)
        parser = await stack.enter_async_context(open_document_parser(settings, journal=journal))
        model = await stack.enter_async_context(open_http_client(settings))
        chat = ChatModel(settings, model, Pacer(settings.chat_per_second), pauses=services.pauses)
        tagger = Tagger(chat, services.prompts, journal)
        sources = [open_source(spec, settings, web) for spec in specs]
        _refuse_namesakes(sources)
        yield Ingest(services, store, raw, parser, tagger, journal, sources)


def _refuse_namesakes(sources: Sequence[Source]) -> None:
    """Refuses two folders of one name: a folder's name is the key of its documents, so they would overwrite
    each other's."""
    roots: dict[str, Path] = {}
    for source in sources:
        if isinstance(source, FolderSource):
            root = roots.setdefault(source.root.name, source.root)
            if root != source.root:
                raise InvalidRequestError(
                    f"Two folders are named {source.root.name!r}, and documents are known by their folder's "
                    "name. Rename one, or put both into one folder and name that."
                )


def postings_of(document: Document) -> list[Posting]:
    """Returns the postings of a tagged document, one for each position."""
    assert document.tagged is not None  # noqa: S101 - the stage before has made it
    key = {"source": document.source, "source_id": document.source_id}
    return [
        Posting.model_validate(
            {"url": document.hints.url, **position.model_dump(exclude_none=True), **key, "position": number}
        )
        for number, position in enumerate(document.tagged.positions)
    ]
