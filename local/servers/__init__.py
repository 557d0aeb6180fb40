"""The parts that run inside: PostgreSQL, Redis and the offline model, for whoever gives no URL.

Each is started by its first user, shared by every worker and command of the same home, and stopped
by the last one that leaves, in whatever way it leaves.

    attached            (here)           what a command or a worker calls
    membership, locks                    a user's side: join, leave
    keeper              (a process)      starts, watches and stops one server
    postgres, redis, model               what a keeper knows of each part
    probe                                asks any PostgreSQL and Redis for what the service needs
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.servers.membership import Membership
    from local.servers.state import Running
    from tools.core.settings import Settings

__all__ = ["PARTS", "attached"]

JOIN_SECONDS = 180.0
"""How long all parts together may take to start: a first start makes a database, on any disk."""
_POLL_SECONDS = 0.01

logger = logging.getLogger(__name__)


PARTS = ("postgres", "redis", "model")


@contextmanager
def attached(settings: Settings, *, parts: Collection[str] = PARTS) -> Iterator[Settings]:
    """Yields settings whose `database_url` and `redis_url` are set, and the address of each model that is
    the offline one: `openai_base_url`, or `embedding_base_url` where that one only embeds; of those of
    `parts`, where not all are needed.

    What the settings name is taken as it is. The rest is embedded and held for the duration: a
    first start takes seconds, joining what runs a few milliseconds. It blocks: call it before the
    event loop starts, or in a thread. Leaving as the last user waits until the servers have stopped.

    Raises:
        SetupError: a part does not start; the message says why and what to do.
    """
    # A keeper imports this package too, and should stay small.
    from local.servers.home import part_home  # noqa: PLC0415
    from local.servers.membership import Membership  # noqa: PLC0415

    wanted = {
        field: Membership(part_home(part, settings.home))
        for field, part, needed in (
            ("database_url", "postgres", settings.database_url is None),
            ("redis_url", "redis", settings.redis_url is None),
            ("openai_base_url", "model", settings.offline),
            ("embedding_base_url", "model", settings.embeddings_offline and not settings.offline),
        )
        if needed and part in parts
    }
    # Where both are the offline model, embeddings are beside the chat model.
    beside = {"embedding_base_url": None} if settings.offline and settings.embeddings_offline else {}
    try:
        found = {field: server.url for field, server in _join(wanted).items()}
        yield settings.model_copy(update={**beside, **found})
    finally:
        # All are released before any is waited for, so that they stop at the same time.
        last = [membership for membership in wanted.values() if membership.release()]
        for membership in wanted.values():
            if membership in last:
                membership.leave()
            else:
                membership.close()


def _join(wanted: dict[str, Membership]) -> dict[str, Running]:
    """Asks all parts in turn until each serves: their keepers start them at the same time."""
    from tools.core.errors import SetupError  # noqa: PLC0415

    joined: dict[str, Running] = {}
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        for field, membership in wanted.items():
            if field not in joined and (server := membership.poll()) is not None:
                joined[field] = server
        if len(joined) == len(wanted):
            return joined
        if time.monotonic() > deadline:
            missing = ", ".join(field for field in wanted if field not in joined)
            raise SetupError(
                f"The embedded parts for {missing} were not ready within {JOIN_SECONDS:.0f} s; their logs in "
                f"{membership.logs}."
            )
        time.sleep(_POLL_SECONDS)
