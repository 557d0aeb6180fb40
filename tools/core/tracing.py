"""Traces for LangSmith: what they hide, and how long the service waits for them at its end.

LangSmith's own variables set whether (`LANGSMITH_TRACING`), where to (`LANGSMITH_PROJECT`) and how many
(`LANGSMITH_TRACING_SAMPLING_RATE`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import langsmith
from langsmith.utils import get_env_var, tracing_is_enabled

from tools.core.proxies import proxy_for

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
"""How long the end of a worker waits for traces that have not been sent."""
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?=\()", re.ASCII)
"""The class at the start of an error's text: `ValueError('…`. Only the class is shown."""
_REQUEST_MS = (5_000, 10_000)
"""Limits of one request with traces: to connect, to answer."""


_client: langsmith.Client | None = None
"""The client of this process, once it traces."""


class _HidingClient(langsmith.Client):
    """Sends only the names and times of a run's events: that of a retry has the error's message."""

    def create_run(self, name: str, inputs: dict[str, Any], run_type: Any, **run: Any) -> None:
        """As the client's own."""
        super().create_run(name, inputs, run_type, **_quiet(run))

    def update_run(self, run_id: Any, **run: Any) -> None:
        """As the client's own."""
        super().update_run(run_id, **_quiet(run))


def hide() -> None:
    """Hides the inputs and outputs of runs in every trace of this process: a profile is personal data, and so
    is what is written about it. Errors are shown by their classes, because messages may quote.
    `LANGSMITH_HIDE_INPUTS=false` and `LANGSMITH_HIDE_OUTPUTS=false` show what they name, and errors where
    both are set.

    Called by all that makes runs: a chat model, and Studio's entry before anything else. The environment is
    set too, for clients of others, such as LangGraph's Agent Server, and for processes started from here.
    """
    global _client  # noqa: PLW0603 - one client a process, as LangSmith's own
    hidden = {what: _hides(what) for what in ("inputs", "outputs")}
    os.environ |= {
        f"LANGSMITH_HIDE_{what.upper()}": str(is_hidden).lower() for what, is_hidden in hidden.items()
    }
    get_env_var.cache_clear()  # type: ignore[attr-defined]
    if _client is not None or not tracing_is_enabled():
        return
    logger.warning("tracing is on: runs are sent to LangSmith", extra={"hidden": hidden})
    # With these the client sends from threads that the end of the process does not wait for. With
    # compression it would use a pool's, and a LangSmith that hangs would hold the process for minutes.
    os.environ |= {"LANGSMITH_USE_DAEMON": "true", "LANGSMITH_DISABLE_RUN_COMPRESSION": "true"}
    everything = any(hidden.values())
    _client = (_HidingClient if everything else langsmith.Client)(
        hide_inputs=hidden["inputs"],
        hide_outputs=hidden["outputs"],
        anonymizer=_class_of_error if everything else None,
        timeout_ms=_REQUEST_MS,
    )
    use_proxy_for(_client)
    langsmith.configure(client=_client)


def use_proxy_for(client: langsmith.Client) -> None:
    """Sets the proxy of a LangSmith client; none where LangSmith is on this machine.

    Raises:
        SetupError: the environment names one that cannot be used.
    """
    proxy = proxy_for(client.api_url)
    client.session.trust_env = False
    client.session.proxies = {"http": proxy, "https": proxy} if proxy else {}
    # With `trust_env` the session would have read this itself.
    client.session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


@asynccontextmanager
async def traced() -> AsyncIterator[None]:
    """Hides (`hide`), and at the end sends traces that are not sent yet, for a limited time."""
    global _client  # noqa: PLW0603
    hide()
    client = _client
    try:
        yield
    finally:
        if client is not None:
            if _client is client:
                _client = None
                langsmith.configure(client=None)
            # Longer than is waited for here: giving up looks to its caller as if all were sent.
            if not await in_time(lambda: client.close(timeout=2 * FLUSH_SECONDS), FLUSH_SECONDS):
                logger.warning("traces were lost: LangSmith did not take them in time")


def _hides(what: str) -> bool:
    value: str | None = get_env_var(f"HIDE_{what.upper()}")
    return (value or "").strip().lower() not in ("false", "0", "no", "off")


def _quiet(run: dict[str, Any]) -> dict[str, Any]:
    if not run.get("events"):
        return run
    return {**run, "events": [{key: event.get(key) for key in ("name", "time")} for event in run["events"]]}


def _class_of_error(shown: dict[str, Any]) -> dict[str, Any]:
    """Returns a run's error, which the client gives as `{"error": …}`, as its class."""
    if shown.keys() != {"error"}:
        return shown
    match = _ERROR.match(str(shown["error"]))
    return {"error": match[0] if match else "error"}


async def in_time(close: Callable[[], None], seconds: float) -> bool:
    """Closes what sends traces; returns whether that ended in time."""
    loop, sent = asyncio.get_running_loop(), asyncio.Event()

    def closing() -> None:
        close()
        # Closed late, the loop is gone.
        if not loop.is_closed():
            loop.call_soon_threadsafe(sent.set)

    # A daemon: the client limits its waiting but not its sending, and a thread of the loop's own pool would
    # be waited for.
    threading.Thread(target=closing, name="langsmith-close", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            await sent.wait()
    except TimeoutError:
        return False
    return True
