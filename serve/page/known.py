"""How many postings the service knows and how new they are, counted once a minute and worker."""

from __future__ import annotations

import time

from tools.postings.repository import OpenPostings, PostingStore

FRESH_SECONDS = 60.0
"""How long a count is shown: it takes a tenth of a second for a million postings."""


class KnownPostings:
    """The open postings, as they were counted within FRESH_SECONDS."""

    def __init__(self) -> None:
        self._counted: OpenPostings | None = None
        self._until = 0.0

    async def of(self, store: PostingStore) -> OpenPostings:
        """Returns the count.

        Raises:
            psycopg.Error: PostgreSQL does not answer.
        """
        if self._counted is None or time.monotonic() >= self._until:
            self._counted = await store.open_postings()
            self._until = time.monotonic() + FRESH_SECONDS
        return self._counted
