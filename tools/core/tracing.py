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

from tools.core.proxies import proxy_for

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
"""How long the end of a worker waits for traces that have not been sent."""
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?=\()", re.ASCII)
"""How the text of an error begins: `ValueError('…`. What begins otherwise says nothing that may be shown."""
_REQUEST_MS = (5_000, 10_000)
"""Limits of one request with traces: to connect, to answer."""


_in_force: langsmith.Client | None = None
"""The client that hides, once a process has one."""


class _HidingClient(langsmith.Client):
    """Sends of a run's events when which happened, and nothing of what was said: a retry tells its error."""

    def create_run(self, name: str, inputs: dict[str, Any], run_type: Any, **run: Any) -> None:
        """As the client's own."""
        super().create_run(name, inputs, run_type, **_quiet(run))

    def update_run(self, run_id: Any, **run: Any) -> None:
        """As the client's own."""
        super().update_run(run_id, **_quiet(run))


def hide() -> None:
    """Hides from now on, in every trace of this process, what goes into and comes out of every run: a
    profile is personal data, and so is what is written about it. An error is then shown by its class
    alone, because its message may quote. `LANGSMITH_HIDE_INPUTS=false` and `LANGSMITH_HIDE_OUTPUTS=false`
    show what they name, both of them errors too.

    Whatever makes runs calls it, so that there is no way in that forgets to: a chat model, and Studio's
    entry before anything else. The environment is set as well, for clients that others make, such as
    LangGraph's Agent Server, and for processes that are started from here.
    """
    global _in_force  # noqa: PLW0603 - one client a process, as LangSmith's own
    hidden = {what: _hides(what) for what in ("inputs", "outputs")}
    os.environ |= {
        f"LANGSMITH_HIDE_{what.upper()}": str(is_hidden).lower() for what, is_hidden in hidden.items()
    }
    get_env_var.cache_clear()  # type: ignore[attr-defined]
    if _in_force is not None or not tracing_is_enabled():
        return
    logger.warning("tracing is on: runs are sent to LangSmith", extra={"hidden": hidden})
    # Read by the client, which then sends from threads that the end of the process does not wait for:
    # with compression it is a pool's, and a LangSmith that hangs would hold the process for minutes.
    os.environ |= {"LANGSMITH_USE_DAEMON": "true", "LANGSMITH_DISABLE_RUN_COMPRESSION": "true"}
    everything = any(hidden.values())
    _in_force = (_HidingClient if everything else langsmith.Client)(
        hide_inputs=hidden["inputs"],
        hide_outputs=hidden["outputs"],
        anonymizer=_class_of_error if everything else None,
        timeout_ms=_REQUEST_MS,
    )
    use_proxy_for(_in_force)
    langsmith.configure(client=_in_force)


def use_proxy_for(client: langsmith.Client) -> None:
    """Has a client go through the proxy that is LangSmith's, and through none where it is on this machine.

    Raises:
        SetupError: the environment names one that cannot be used.
    """
    proxy = proxy_for(client.api_url)
    client.session.trust_env = False
    client.session.proxies = {"http": proxy, "https": proxy} if proxy else {}
    # What the session would have looked for itself.
    client.session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


@asynccontextmanager
async def traced() -> AsyncIterator[None]:
    """Hides (`hide`), and at the end sends what is not sent yet, for a bounded time."""
    global _in_force  # noqa: PLW0603
    hide()
    client = _in_force
    try:
        yield
    finally:
        if client is not None:
            if _in_force is client:
                _in_force = None
                langsmith.configure(client=None)
            if not await _closed(client):
                logger.warning("traces were lost: LangSmith did not take them in time")


def _hides(what: str) -> bool:
    said: str | None = get_env_var(f"HIDE_{what.upper()}")
    return (said or "").strip().lower() not in ("false", "0", "no", "off")


def _quiet(run: dict[str, Any]) -> dict[str, Any]:
    if not run.get("events"):
        return run
    return {**run, "events": [{key: event.get(key) for key in ("name", "time")} for event in run["events"]]}


def _class_of_error(shown: dict[str, Any]) -> dict[str, Any]:
    """Returns a run's error, which the client hands over as `{"error": …}`, without what it says."""
    if shown.keys() != {"error"}:
        return shown
    named = _ERROR.match(str(shown["error"]))
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
