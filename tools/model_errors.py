"""The model client's exceptions, as the service's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai

from tools.errors import ModelUnavailableError

_UNREACHABLE = "The model cannot be reached. The session is kept: ask again on it in a moment."
_UNREADABLE = (openai.APIError, ValueError, TypeError, AttributeError, LookupError)
"""What the client raises, somewhere in its parsing, when a gateway answers with a page, half a JSON
or an object that is no completion."""


@contextmanager
def model_errors(purpose: str) -> Iterator[None]:
    """Turns what the model's client raises into ModelUnavailableError."""
    try:
        yield
    except openai.APITimeoutError as error:
        if _never_connected(error):
            raise ModelUnavailableError(_UNREACHABLE, purpose=purpose, cause="connection") from error
        raise ModelUnavailableError(
            "The model did not answer in time. The session is kept: ask again on it in a moment.",
            purpose=purpose,
            cause="timeout",
        ) from error
    except openai.APIStatusError as error:
        raise ModelUnavailableError(
            _advice(error.status_code), purpose=purpose, cause="status", status=error.status_code
        ) from error
    except (openai.APIConnectionError, OSError) as error:
        raise ModelUnavailableError(_UNREACHABLE, purpose=purpose, cause="connection") from error
    except _UNREADABLE as error:
        raise ModelUnavailableError(
            "The model's API answered with something that is no answer. The operator has to check "
            "OPENAI_BASE_URL.",
            purpose=purpose,
            cause="unreadable",
        ) from error


def _advice(status: int) -> str:
    if status in (401, 403):
        return "The model's API refused the key. The operator has to check OPENAI_API_KEY."
    if status == 429:  # noqa: PLR2004 - an HTTP status
        return "The model's API is over its rate limit. The session is kept: ask again in a minute."
    if status < 500:  # noqa: PLR2004 - an HTTP status
        return (
            f"The model's API refused the request ({status}). The operator has to check the model's settings."
        )
    return "The model's API is failing. The session is kept: ask again on it in a moment."


def _never_connected(error: BaseException | None) -> bool:
    """Whether the connection failed: the client's aiohttp transport calls a refused one a time-out."""
    while error is not None:
        if isinstance(error, httpx2.ConnectTimeout):
            return True
        error = error.__cause__
    return False
