"""The connections and clients that a process opens once and all its runs share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from tools.core.cache import Cache
from tools.core.database import Pool, open_pool
from tools.core.redis_client import open_redis
from tools.core.settings import Settings
from tools.llm.chat import ChatModel
from tools.llm.embedding_models import EmbeddingModel, embedding_models, why_morphemes
from tools.llm.embeddings import Embedder
from tools.llm.openai_client import open_http_client
from tools.llm.pauses import Pauses, open_pauses
from tools.postings.embedding_choice import Embedding, EmbeddingChoice
from tools.postings.repository import EmbeddingSet, PostingStore, PostingWriter
from tools.prompts.changes import PromptChanges, open_prompts
from tools.prompts.registry import PromptRegistry
from tools.retrieval.analyser import Analyser
from tools.retrieval.index import TermIndex
from tools.retrieval.search import PostingSearch, search_cache


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one process, opened once and shared by all its runs."""

    settings: Settings
    redis: Redis
    pool: Pool
    chat: ChatModel
    embeddings: EmbeddingChoice
    writer: PostingWriter
    analyser: Analyser
    terms: TermIndex
    search_cache: Cache
    pauses: Pauses
    prompts: PromptRegistry
    prompt_changes: PromptChanges

    @property
    def embedder(self) -> Embedder:
        """The model that embeds now."""
        return self.embeddings.serving.embedder

    @property
    def postings(self) -> PostingStore:
        """The postings, as they are searched now."""
        return self.embeddings.serving.postings

    @property
    def search(self) -> PostingSearch:
        """The search, as it is done now."""
        return PostingSearch(self.postings, self.embedder, self.analyser, self.search_cache)

    @property
    def vectors(self) -> EmbeddingSet:
        """The vectors by which they are searched."""
        return self.embeddings.serving.vectors


@asynccontextmanager
async def open_services(settings: Settings, *, newest_prompts: bool = False) -> AsyncIterator[Services]:
    """Yields the services; closes their connections at the end.

    `settings` must name every part (`local.servers.embedded_servers` sees to that). `newest_prompts`
    activates the hub's newest, as the whole service does when it starts; a worker takes what is active.
    """
    async with (
        await open_pool(settings) as pool,
        open_http_client(settings) as http_client,
        open_redis(settings) as redis,
        open_pauses(redis) as pauses,
        open_prompts(settings, redis, pool, newest=newest_prompts) as prompt_changes,
        aclosing(search_cache(settings, redis)) as cache,
        aclosing(Analyser()) as analyser,
    ):
        embeddings = EmbeddingChoice(
            [_embedding(settings, http_client, pool, model, pauses) for model in embedding_models(settings)],
            free=settings.embeddings_offline,
            instead=why_morphemes(settings) if settings.embeddings_offline else None,
        )
        await embeddings.probe()
        await embeddings.settle()
        yield Services(
            settings=settings,
            redis=redis,
            pool=pool,
            chat=ChatModel(settings, http_client, pauses=pauses, falls_back=True),
            embeddings=embeddings,
            writer=PostingWriter(pool),
            analyser=analyser,
            terms=TermIndex(pool, analyser),
            search_cache=cache,
            pauses=pauses,
            prompts=prompt_changes.registry,
            prompt_changes=prompt_changes,
        )


def _embedding(
    settings: Settings, http_client: Any, pool: Pool, model: EmbeddingModel, pauses: Pauses
) -> Embedding:
    embedder = Embedder(settings, http_client, model, pauses)
    own: dict[str, Any] = {"model": embedder.model_name, "dimensions": embedder.dimensions}
    return Embedding(embedder, PostingStore(pool, **own), EmbeddingSet(pool, **own))
