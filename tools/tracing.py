"""Traces for LangSmith: what they may show, and how long the service waits for them at its end.

LangSmith's own variables say whether (`LANGSMITH_TRACING`), where to (`LANGSMITH_PROJECT`) and how many
(`LANGSMITH_TRACING_SAMPLING_RATE`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import langsmith
from langsmith.utils import get_env_var, tracing_is_enabled

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
"""How long the end of a worker waits for traces that have not been sent."""
_REQUEST_MS = (5_000, 10_000)
"""Limits of one request with traces: to connect, to answer."""


@asynccontextmanager
async def traced() -> AsyncIterator[None]:
    """Hides, where tracing is on, what goes into and comes out of every run: a profile is personal data,
    and so is what is written about it. An error is then shown by its class alone, because its message may
    quote. `LANGSMITH_HIDE_INPUTS=false` and `LANGSMITH_HIDE_OUTPUTS=false` show what they name, both of
    them errors too. At the end it sends what is not sent yet, for a bounded time."""
    if not tracing_is_enabled():
        yield
        return
    hidden = {what: get_env_var(f"HIDE_{what.upper()}") != "false" for what in ("inputs", "outputs")}
    logger.warning("tracing is on: runs are sent to LangSmith", extra={"hidden": hidden})
    # Read by the client, which then sends from threads that the end of the process does not wait for:
    # with compression it is a pool's, and a LangSmith that hangs would hold the process for minutes.
    os.environ |= {"LANGSMITH_USE_DAEMON": "true", "LANGSMITH_DISABLE_RUN_COMPRESSION": "true"}
    client = langsmith.Client(
        hide_inputs=hidden["inputs"],
        hide_outputs=hidden["outputs"],
        anonymizer=_class_of_error if any(hidden.values()) else None,
        timeout_ms=_REQUEST_MS,
    )
    langsmith.configure(client=client)
    try:
        yield
    finally:
        langsmith.configure(client=None)
        if not await _closed(client):
            logger.warning("traces were lost: LangSmith did not take them in time")


def _class_of_error(shown: dict[str, Any]) -> dict[str, Any]:
    """Returns a run's error, which the client hands over as `{"error": …}`, without what it says."""
    if shown.keys() != {"error"}:
        return shown
    named = re.match(r"[\w.]+", str(shown["error"]))
    return {"error": named[0] if named else "error"}


async def _closed(client: langsmith.Client) -> bool:
    """Closes a client; returns whether everything was sent in time."""
    loop, sent = asyncio.get_running_loop(), asyncio.Event()

    def close() -> None:
        client.close(timeout=FLUSH_SECONDS)
        # Closed late, the loop is gone.
        if not loop.is_closed():
            loop.call_soon_threadsafe(sent.set)

    # A daemon, because the client bounds its waiting but not its sending, and a thread of the loop's own
    # would be waited for.
    threading.Thread(target=close, name="langsmith-close", daemon=True).start()
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await sent.wait()
    except TimeoutError:
        return False
    return True
