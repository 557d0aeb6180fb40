"""The model client's exceptions, as the service's own.

Only what the client raises is caught. Answers were read before it parsed them (`tools.llm.model_http`), so a
KeyError or TypeError out of a call is a fault of ours, and stays one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai

from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.llm.model_faults import Fault, fault
from tools.llm.openai_client import Endpoint

logger = logging.getLogger(__name__)

_UNREACHABLE = "The model cannot be reached. The session is kept: ask again on it in a moment."
_TOLD = {
    "content_filter": "The content filter of the model's API refused the request. Ask for something else, or "
    "have the operator loosen the filter.",
    "batch_size": "The model's API takes fewer texts at once. The operator has to lower "
    "CHECKERBOARD_EMBEDDING_BATCH.",
    "dimensions": "The embedding model takes no `dimensions`, or not these. The operator has to set "
    "CHECKERBOARD_EMBEDDING_SEND_DIMENSIONS=false, and CHECKERBOARD_EMBEDDING_DIMENSIONS to the model's own.",
    "quota": "The credit or spending limit of the account at the model's API is used up ({status}), which "
    "waiting does not mend. The operator has to add credit or raise the limit; the session is kept.",
    "region": "The model's API is not offered where the service runs. The operator has to take another "
    "{url}.",
    "structured_output": "The model does not take a JSON schema ({status}). The operator has to set "
    "CHECKERBOARD_STRUCTURED_OUTPUT=json_object, or take another model.",
    "model_not_found": "The model's API has no such model ({status}), or not for this key. The operator has "
    "to check {model}.",
    "parameter": "The model does not take one of its parameters ({status}). The operator has to check "
    "CHECKERBOARD_TEMPERATURE and CHECKERBOARD_MODELS.",
    "key": "The model's API refused the key. The operator has to check {key}.",
    "not_found": "There is no model's API at this address ({status}). The operator has to check {url}, which "
    "often ends in /v1.",
    "unreadable": "The model's API answered with something that is no answer. The operator has to check "
    "{url}.",
}
_TOO_LONG = {
    "CHECKERBOARD_EMBEDDING_MODEL": "A text is too long for the embedding model ({status}). The operator has "
    "to take a {model} with a longer context: up to 6,000 characters are embedded.",
    "CHECKERBOARD_CHAT_MODEL": "The prompt is too long for the model, or for the limits of its account "
    "({status}). The operator has to lower CHECKERBOARD_PROMPT_TOKENS, or take a {model} with a longer "
    "context.",
}


@contextmanager
def model_errors(purpose: str, endpoint: Endpoint) -> Iterator[None]:
    """Turns what the model's client raises into errors that tell what to do.

    Raises:
        ModelOutputError: a content filter refused the request.
        ModelUnavailableError: any other failure; `cause` tells which.
    """
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
        found = fault(error.status_code, error.response.content, error.response.headers)
        raise _told(found, purpose, endpoint) from error
    except (openai.APIConnectionError, httpx2.TransportError) as error:
        # The latter where the client hands out a body piece by piece.
        raise ModelUnavailableError(_UNREACHABLE, purpose=purpose, cause="connection") from error
    except openai.APIError as error:
        raise unreadable(purpose, endpoint) from error


def unreadable(purpose: str, endpoint: Endpoint) -> ModelUnavailableError:
    """Returns the error for an answer that is none."""
    message = _TOLD["unreadable"].format(url=endpoint.url_setting)
    return ModelUnavailableError(message, purpose=purpose, cause="unreadable")


def _told(found: Fault, purpose: str, endpoint: Endpoint) -> ModelOutputError | ModelUnavailableError:
    # Not what the API says: gateways repeat the prompt there, and the key.
    logger.warning(
        "the model's API failed",
        extra={"purpose": purpose, "cause": found.cause, "status": found.status},
    )
    if found.cause == "unreadable":
        return unreadable(purpose, endpoint)
    kind = ModelOutputError if found.cause == "content_filter" else ModelUnavailableError
    wait = found.retry_after
    return kind(
        _advice(found, endpoint),
        purpose=purpose,
        cause=found.cause,
        status=found.status,
        retry_after_seconds=None if wait is None or wait < 1 else round(wait),
    )


def _advice(found: Fault, endpoint: Endpoint) -> str:
    told = _TOO_LONG[endpoint.model_setting] if found.cause == "context_length" else _TOLD.get(found.cause)
    if told is not None:
        return told.format(
            status=found.status,
            url=endpoint.url_setting,
            key=endpoint.key_setting,
            model=endpoint.model_setting,
        )
    if found.cause == "rate_limit":
        when = _when(found.retry_after) if found.again else "when a new day has begun"
        return f"The model's API is over its rate limit. The session is kept: ask again {when}."
    if found.status < 500:  # noqa: PLR2004 - an HTTP status
        return (
            f"The model's API refused the request ({found.status}). The operator has to check the model's "
            "settings; the log has its words."
        )
    when = _when(found.retry_after, "in a moment")
    return f"The model's API is failing. The session is kept: ask again on it {when}."


def _when(seconds: float | None, unknown: str = "in a minute") -> str:
    if seconds is None or seconds < 1:
        return unknown
    if seconds <= 90:  # noqa: PLR2004 - longer is told in minutes
        return f"in {seconds:.0f} seconds"
    minutes = seconds / 60
    return f"in {minutes:.0f} minutes" if minutes <= 90 else f"in {minutes / 60:.0f} hours"  # noqa: PLR2004


def _never_connected(error: BaseException | None) -> bool:
    """Whether the connection failed: the client's aiohttp transport calls a refused one a time-out."""
    while error is not None:
        if isinstance(error, httpx2.ConnectTimeout):
            return True
        error = error.__cause__
    return False
