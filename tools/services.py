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
from tools.llm.embeddings import Embedder
from tools.llm.openai_client import open_http_client
from tools.postings.repository import EmbeddingSet, PostingStore, PostingWriter
from tools.prompts.changes import PromptChanges, open_prompts
from tools.prompts.registry import PromptRegistry
from tools.retrieval.analyser import Analyser
from tools.retrieval.index import TermIndex
from tools.retrieval.kept_searches import search_cache
from tools.retrieval.search import PostingSearch


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one process, opened once and shared by all its runs."""

    settings: Settings
    redis: Redis
    pool: Pool
    chat: ChatModel
    embedder: Embedder
    postings: PostingStore
    writer: PostingWriter
    vectors: EmbeddingSet
    analyser: Analyser
    terms: TermIndex
    search: PostingSearch
    searches: Cache
    prompts: PromptRegistry
    prompt_changes: PromptChanges


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
        open_prompts(settings, redis, pool, newest=newest_prompts) as prompt_changes,
        aclosing(search_cache(settings, redis)) as searches,
        aclosing(Analyser()) as analyser,
    ):
        embedder = Embedder(settings, http_client)
        embedding: dict[str, Any] = {"model": embedder.model_name, "dimensions": embedder.dimensions}
        postings = PostingStore(pool, **embedding)
        yield Services(
            settings=settings,
            redis=redis,
            pool=pool,
            chat=ChatModel(settings, http_client),
            embedder=embedder,
            postings=postings,
            writer=PostingWriter(pool),
            vectors=EmbeddingSet(pool, **embedding),
            analyser=analyser,
            terms=TermIndex(pool, analyser),
            searches=searches,
            search=PostingSearch(postings, embedder, analyser, searches),
            prompts=prompt_changes.registry,
            prompt_changes=prompt_changes,
        )
