"""Which embedding serves, where there is a choice: the wanted one, or one that stands in for it.

The offline model embeds in two ways, by meaning and by hashed morphemes, and the postings of a database have
vectors of one, the other or both. Which serves may change while the process lives: to the wanted one once
every posting has a vector of it, and away from it where its model turns out not to run here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from tools.core.errors import ModelUnavailableError
from tools.core.logs import cause
from tools.llm.embeddings import Embedder
from tools.postings.repository import EmbeddingSet, PostingStore

logger = logging.getLogger(__name__)

PROBE_SECONDS = 20.0
"""How long a start waits for the wanted model: a second where it has to be loaded."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """A model, and the postings by its vectors."""

    embedder: Embedder
    postings: PostingStore
    vectors: EmbeddingSet

    @property
    def name(self) -> str:
        """The model's."""
        return self.embedder.model_name


class EmbeddingChoice:
    """The embeddings that a process may use, the wanted one first, and which of them serves."""

    def __init__(self, embeddings: Sequence[Embedding], *, free: bool, instead: str | None = None) -> None:
        """
        Args:
            free: whether postings may be embedded without being asked for: embedding costs no money.
            instead: why the offline model's real embedding is not among them, if it is not.
        """
        self._usable = list(embeddings)
        self._free = free
        self._instead = instead
        self._ready = True
        self.serving = embeddings[0]
        for embedding in embeddings:
            embedding.embedder.when_missing = self.give_up
        self.changed = asyncio.Event()
        """Set when postings are to be embedded, so that the wanted one can serve."""

    @property
    def wanted(self) -> Embedding:
        """The first whose model runs here."""
        return self._usable[0]

    @property
    def settled(self) -> bool:
        """Whether the wanted one serves, with a vector of every posting."""
        return self.serving is self.wanted and self._ready

    def warning(self) -> str | None:
        """Returns why another embedding serves than the best of this version; None where it does not."""
        if not self.settled and self._free:
            return f"{self.serving.name} serves while the postings are embedded by {self.wanted.name}"
        return self._instead

    async def probe(self) -> None:
        """Sees whether the wanted one's model runs here, where another can stand in for it."""
        if len(self._usable) == 1:
            return
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self.wanted.embedder.query("ready?")
        except (ModelUnavailableError, TimeoutError) as error:
            logger.warning("an embedding model did not answer", extra={"cause": cause(error)})

    async def settle(self) -> None:
        """Lets the first serve whose vectors are ready: the wanted one where none is, or nothing is
        loaded."""
        states = [await embedding.vectors.ready() for embedding in self._usable]
        chosen = next((e for e, ready in zip(self._usable, states, strict=True) if ready), self.wanted)
        if chosen is not self.serving:
            logger.warning("another embedding serves", extra={"model": chosen.name})
            self.serving = chosen
        self._ready = states[0]
        if self._free and not self.settled:
            self.changed.set()

    def give_up(self, name: str) -> None:
        """Notes that a model does not run here, where another can stand in for it."""
        if self.wanted.name != name or len(self._usable) == 1:
            return
        self._instead = f"{name} cannot run on this machine: the offline model's log says why"
        del self._usable[0]
        logger.error("an embedding model cannot run here", extra={"model": name})
        self.changed.set()
