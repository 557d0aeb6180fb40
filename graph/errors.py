"""What the libraries under a run raise, as the service's own errors."""

from __future__ import annotations

from langgraph.errors import GraphRecursionError

from tools.core.errors import InternalError, ModelOutputError, ModelUnavailableError, ServiceError
from tools.core.store_failures import store_failure


def to_service_error(error: Exception) -> ServiceError:
    """Returns the typed error for what a run raised; an unknown one becomes an
    InternalError, whose cause the caller logs."""
    match error:
        case ServiceError():
            return error
        case TimeoutError():
            return ModelUnavailableError(
                "The run took longer than its limit. The session is kept: ask again on it.",
                cause="run_timeout",
            )
        case GraphRecursionError():
            return ModelOutputError(cause="recursion_limit")
        case _:
            return store_failure(error) or InternalError()
