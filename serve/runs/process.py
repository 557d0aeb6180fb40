"""A process that does background runs and serves nothing: `checkerboard worker`."""

from __future__ import annotations

import asyncio
import logging
import signal

from serve.context import open_app_context
from serve.metrics import sampled
from tools.core import spans
from tools.core.settings import Settings
from tools.core.tracing import traced

logger = logging.getLogger(__name__)


async def work(settings: Settings) -> None:
    """Does runs until a signal, and then drains: it fetches no more, and what runs may end, for
    `drain_seconds`; what is left then, or at a second signal, goes back to the queue for other workers.

    Raises:
        SetupError, StoreUnavailableError: PostgreSQL or Redis does not answer, or is not fit.
    """
    loop = asyncio.get_running_loop()
    stopping, leaving = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (leaving if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with (
        traced(),
        spans.exported(),
        open_app_context(settings, working=True) as context,
        sampled(context.services),
    ):
        logger.info("this worker does runs", extra={"places": settings.concurrency})
        await stopping.wait()
        context.runs.stop()
        ends = [asyncio.create_task(event.wait()) for event in (leaving, context.runs.idle)]
        await asyncio.wait(ends, timeout=settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
