"""The limit of open files: each of the people in flight has a connection, and so has the call for them."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Any

from tools.core.settings import Settings

OTHERS = 256
"""What a worker has open beside connections: the program's files, its log, clients that are refused."""


def raise_limit() -> int:
    """Raises this process's limit to the most that it may; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS refuses what its kernel does not hold, although it names no limit.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft


def report(settings: Settings) -> dict[str, Any]:
    """Returns the `limit` of this process, how many may be `needed`, and a `warning` where that is more."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = 2 * settings.concurrency + settings.database_pool + settings.redis_pool + OTHERS
    enough = limit == resource.RLIM_INFINITY or limit >= needed
    warning = (
        f"This process may open {limit} files; with CHECKERBOARD_CONCURRENCY={settings.concurrency} it may "
        f"need {needed}. Raise the limit (`ulimit -n`, `LimitNOFILE=`), or lower the setting."
    )
    return {"ok": True, "limit": limit, "needed": needed, "warning": None if enough else warning}
