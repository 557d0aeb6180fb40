"""A run of the ingest: opens its parts, collects its sources, takes its documents through the stages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ingest.load import renew
from ingest.parsers.document_parser import open_parsers
from ingest.pipeline.local_engine import Pipeline, Step
from ingest.pipeline.progress import Counts
from ingest.pipeline.stages import Stages
from ingest.pipeline.store import DocumentStore, PostgresFetchLog, PostgresJournal, RawFiles, open_store
from ingest.sources.folder import FolderSource
from ingest.sources.registry import Source, open_source
from ingest.sources.web import open_web
from ingest.tagging.batch_api import BatchTagger
from ingest.tagging.tagger import Tagger
from tools.core.errors import InvalidRequestError, StoreUnavailableError
from tools.core.settings import Settings
from tools.core.store_failures import one_line, store_failure
from tools.core.tracing import traced
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client
from tools.llm.pacing import Pacer
from tools.services import Services, open_services


@dataclass(frozen=True, slots=True)
class Ingest:
    """The open parts of a run."""

    services: Services
    store: DocumentStore
    stages: Stages
    batches: BatchTagger
    answers: PostgresJournal
    sources: list[Source]

    def steps(self) -> list[Step]:
        """Returns all steps of the pipeline."""
        return self.stages.steps(tagging=self.services.settings.ingest_workers)

    async def collect_and_work(
        self,
        steps: Sequence[Step],
        counts: Counts,
        *,
        ids: Sequence[int] = (),
        in_batches: bool = False,
        forever: bool = False,
    ) -> None:
        """Collects the sources and takes documents (of `ids` where any are given) through `steps`.

        Raises:
            CheckerboardError: as `Pipeline.run`.
        """
        pipeline = Pipeline(
            self.store,
            steps,
            counts,
            attempts=self.services.settings.ingest_attempts,
            ids=ids,
            in_batches=in_batches,
        )
        try:
            await pipeline.run(self.sources, forever=forever)
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
        await self.answers.forget_old()
        await self.services.vectors.forget_unused()


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
        raw = RawFiles(settings.raw or Path(settings.home) / "raw")
        store = await stack.enter_async_context(open_store(settings.database_url, services.pool, raw))
        web = await stack.enter_async_context(open_web(settings, PostgresFetchLog(services.pool)))
        # Every answer is recorded and so paid for once, over all runs.
        journal = PostgresJournal(services.pool)
        parsers = await stack.enter_async_context(open_parsers(settings, journal=journal))
        model = await stack.enter_async_context(open_http_client(settings))
        chat = ChatModel(settings, model, Pacer(settings.chat_per_second))
        tagger = Tagger(chat, services.prompts, journal)
        stages = Stages(raw, parsers, tagger, services)
        sources = [open_source(spec, settings, web) for spec in specs]
        _refuse_namesakes(sources)
        batches = BatchTagger(tagger, settings, model)
        yield Ingest(services, store, stages, batches, journal, sources)


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
