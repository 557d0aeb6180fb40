"""The model client's exceptions, as the service's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai

from tools.errors import ModelUnavailableError


@contextmanager
def model_errors(purpose: str) -> Iterator[None]:
    """Turns what the model's client raises into ModelUnavailableError.

    The two ways in which an answer is cut (`LengthFinishReasonError`,
    `ContentFilterFinishReasonError`) pass through: they are answers, and the caller asks again.
    """
    try:
        yield
    except openai.APITimeoutError as error:
        raise ModelUnavailableError(
            "The model did not answer in time. The session is kept: ask again on it in a moment.",
            purpose=purpose,
            cause="timeout",
        ) from error
    except openai.APIStatusError as error:
        raise ModelUnavailableError(
            _advice(error.status_code), purpose=purpose, cause="status", status=error.status_code
        ) from error
    except (openai.APIError, OSError) as error:
        raise ModelUnavailableError(purpose=purpose, cause="connection") from error


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
