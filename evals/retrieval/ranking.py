"""What is measured: something that ranks the loaded postings for a search text."""

from __future__ import annotations

from typing import Protocol

from tools.postings.contracts import FoundPosting
from tools.services import Services


class Ranker(Protocol):
    """A way of searching. The suites ask for rankings through this alone, so that another way is measured
    by the same queries and labels."""

    async def rank(self, query: str, k: int) -> list[FoundPosting]:
        """Returns at most `k` postings, best first, none of them twice."""


class Nearest:
    """What the service does (`nodes/retrieve.py`): the postings whose embedding is nearest."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def rank(self, query: str, k: int) -> list[FoundPosting]:
        """Embeds the query and asks the store.

        Raises:
            ModelUnavailableError: the embedding did not come.
        """
        vector = await self._services.embedder.query(query)
        return await self._services.postings.nearest(vector, k=k)
