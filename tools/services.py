"""What a node can call, in one object."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tools.chat import ChatModel
from tools.database import Pool, open_pool
from tools.embedding_sets import EmbeddingSet
from tools.embeddings import Embedder
from tools.openai_client import open_http_client
from tools.posting_writes import PostingWriter
from tools.postings import PostingStore
from tools.prompts import PromptRegistry
from tools.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one process, opened once and shared by all its runs."""

    settings: Settings
    pool: Pool
    chat: ChatModel
    embedder: Embedder
    postings: PostingStore
    writer: PostingWriter
    vectors: EmbeddingSet
    prompts: PromptRegistry


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Yields the services; closes their connections at the end.

    `settings` must name every part (`tools.embedded.attached` sees to that).
    """
    async with open_http_client(settings) as http_client:
        pool = await open_pool(settings)
        embedder = Embedder(settings, http_client)
        embedding: dict[str, Any] = {"model": embedder.model_name, "dimensions": embedder.dimensions}
        try:
            yield Services(
                settings=settings,
                pool=pool,
                chat=ChatModel(settings, http_client),
                embedder=embedder,
                postings=PostingStore(pool, **embedding),
                writer=PostingWriter(pool),
                vectors=EmbeddingSet(pool, **embedding),
                prompts=PromptRegistry.bundled("nodes"),
            )
        finally:
            await pool.close()
