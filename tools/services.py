"""What a node can call, in one object."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tools.chat import ChatModel
from tools.database import open_pool
from tools.embeddings import Embedder
from tools.openai_client import open_http_client
from tools.postings import PostingStore
from tools.prompts import PromptRegistry
from tools.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one process, opened once and shared by all its runs."""

    settings: Settings
    chat: ChatModel
    embedder: Embedder
    postings: PostingStore
    prompts: PromptRegistry


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Yields the services; closes their connections at the end.

    `settings` must name every part (`tools.embedded.attached` sees to that).
    """
    async with open_http_client(settings) as http_client:
        pool = await open_pool(settings)
        try:
            yield Services(
                settings=settings,
                chat=ChatModel(settings, http_client),
                embedder=Embedder(settings, http_client),
                postings=PostingStore(pool),
                prompts=PromptRegistry.bundled("nodes"),
            )
        finally:
            await pool.close()
