"""What the libraries under a run raise, as the service's own errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.errors import GraphRecursionError

from tools.core.errors import InternalError, ModelOutputError, ModelUnavailableError, ServiceError
from tools.core.store_failures import store_failure


def to_service_error(error: Exception) -> ServiceError:
    """Returns the typed error for what was raised; an unknown one becomes an InternalError, which is
    logged with its traceback by whoever ends the work."""
    match error:
        case ServiceError():
            return error
        case GraphRecursionError():
            return ModelOutputError(cause="recursion_limit")
        case _:
            return store_failure(error) or InternalError()


@asynccontextmanager
async def run_limit(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Ends a run that takes longer; yields the limit, which stands still while the run waits for its turn
    (`tools/core/slots.py`).

    Raises:
        ModelUnavailableError: it did. The model is what a run waits for.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ModelUnavailableError(
            "The run took longer than its limit. Its session, if it has one, is kept: ask again on it.",
            cause="run_timeout",
        ) from error
