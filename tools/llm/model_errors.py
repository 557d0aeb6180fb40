"""Errors of a model's API: what an answer with an error means, and the service's error for it.

Gateways agree on little. A spent credit is 429 at OpenAI, 402 at OpenRouter and DeepSeek, 400 at LiteLLM and
Anthropic; a prompt that is too long is 400, 403, 413 or 429; an error may come with status 200, in a list, or
as JSON inside a message (`metadata.raw`). So everything in the body that looks like a code or a sentence is
collected, and the first rule that matches decides. Bodies that were seen are in
`tests/tools/llm/model_errors.jsonl`.

Only what the client raises is caught. Answers are checked before it parses them (`tools.llm.openai_client`),
so a KeyError or TypeError out of a call is a bug here, and stays one.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import openai
import orjson
from pydantic import SecretStr

from tools.core.errors import ModelCause, ModelOutputError, ModelUnavailableError

logger = logging.getLogger(__name__)

UNREADABLE = "checkerboard_unreadable"
"""The code under which `tools.llm.openai_client` passes on an answer that is none."""

_OK, _BAD_REQUEST, _BAD_GATEWAY = 200, 400, 502
_MAX_BODY = 65_536
"""Bytes of a body that are read."""
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model's API, and the settings that lead there, which errors name."""

    base_url: str | None
    api_key: SecretStr
    url_setting: str
    key_setting: str
    model_setting: str


@dataclass(frozen=True, slots=True)
class ModelError:
    """An error of a model's API. `status` is that of HTTP, or the one that an error in a 200 names."""

    cause: ModelCause
    status: int
    retryable: bool
    """Whether asking again can help, without anybody changing anything."""
    retry_after: float | None = None
    """Seconds to wait first, where the API says."""


class NotAskedError(Exception):
    """A model is not asked now: it is down, or its API has asked for a pause that is too long to be waited.

    Attributes:
        cause: which of both.
        seconds: after which it will be asked again.
    """

    def __init__(self, cause: Literal["circuit_open", "rate_limit"], seconds: float) -> None:
        super().__init__(cause)
        self.cause: Literal["circuit_open", "rate_limit"] = cause
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Rule:
    cause: ModelCause
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    statuses: frozenset[int] | None = None
    """With which statuses the words count; None: with all. A code always counts."""
    always: frozenset[int] = frozenset()
    """Statuses that need no words."""

    def matches(self, status: int, codes: set[str], words: str) -> bool:
        if status in self.always or codes & self.codes:
            return True
        counts = self.statuses is None or status in self.statuses
        return counts and self.words is not None and self.words.search(words) is not None


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_REFUSED = frozenset({400, 413, 422})
_RULES = (
    _Rule(
        "content_filter",
        _names(
            "content_filter content_policy_violation contentpolicyviolation "
            "responsibleaipolicyviolation content_policy_violation_error moderation_blocked "
            "flagged_input data_inspection_failed datainspectionfailed prohibited_content "
            "sensitive_content guardrail_intervened"
        ),
        _words(
            r"content management policy|content[ _-]?(?:policy|filter)|contentpolicyviolation|safety system"
            r"|flagged|requires moderation|inappropriate content|prohibited content"
            r"|(?:prompt|input|request|response|output|content) (?:was|is|has been) (?:blocked|filtered)"
        ),
        frozenset({400, 403, 422, 451, 500, 502}),
        frozenset({451}),
    ),
    _Rule(
        "batch_size",
        words=_words(
            r"batch[ _-]?size|too many (?:inputs|texts|documents|items)|in one batch|maximum \d+ items"
            r"|at most \d+ (?:inputs|texts|documents|items|requests)"
        ),
        statuses=_REFUSED,
    ),
    _Rule("encoding", words=_words(r"encoding[ _]format"), statuses=_REFUSED),
    _Rule("dimensions", words=_words(r"dimension|matryoshka"), statuses=_REFUSED),
    _Rule(
        "context_length",
        _names(
            "context_length_exceeded string_above_max_length request_too_large "
            "exceed_context_size_error model_max_prompt_tokens_exceeded contextwindowexceedederror "
            "tokens_limit_reached"
        ),
        _words(
            r"context[ _-]?(?:length|window|size|overflow)|contextwindowexceeded|(?:prompt|input|request|"
            r"message)s? (?:is |are |was )?too (?:long|large)|too many (?:input )?tokens|max_new_tokens"
            r"|input tokens? (?:count|exceed)|(?:maximum|max) (?:model |input |prompt |sequence )?length"
            r"|exceeds? the (?:maximum|limit|max|model)[^\n]*tokens|less than \d+ tokens|too large for model"
            r"|reduce (?:the length|your (?:prompt|input|message))|max_tokens must be at least 1, got -"
            r"|context the overflows"
        ),
        frozenset({400, 403, 413, 422, 500, 502, 503}),
        frozenset({413}),
    ),
    # Larger than a whole minute's tokens: no waiting makes it smaller.
    _Rule("context_length", words=_words(r"request too large"), statuses=frozenset({429})),
    _Rule(
        "quota",
        _names(
            "insufficient_quota credit_balance_exhausted organization_spend_limit_exceeded "
            "project_spend_limit_exceeded organization_usage_limit_exceeded billing_hard_limit_reached "
            "billing_not_active billing_error insufficient_balance insufficient_user_quota "
            "budget_exceeded quota_exceeded enforced_spend_limit_reached arrearage payment_required "
            "insufficient_credits"
        ),
        _words(
            r"insufficient (?:credit|balance|quota|fund)|credit balance|out of credits?|(?:requires|add|buy|"
            r"purchase) (?:more )?credits|exceeded your (?:current|monthly) (?:quota|allowed)|budget has "
            r"been exceeded|exceeded budget|exceededbudget|over budget|crossed budget|spend(?:ing)? limit"
            r"|billing|payment required|account is not active|account is in good standing"
        ),
        frozenset({400, 401, 403, 429, 500, 502, 503}),
        frozenset({402}),
    ),
    _Rule(
        "region",
        frozenset({"unsupported_country_region_territory"}),
        _words(
            r"country, region|(?:user )?location is not supported|not (?:available|supported) in your "
            r"(?:country|region|location)"
        ),
    ),
    _Rule(
        "structured_output",
        words=_words(r"response_format|response format|json_schema|json mode|structured output"),
        statuses=frozenset({400, 422}),
    ),
    _Rule(
        "model_not_found",
        _names(
            "model_not_found modelnotfound deploymentnotfound model_not_available model_decommissioned "
            "unknown_model invalid_model model_not_supported"
        ),
        _words(
            r"\bmodels?\b[^\n]{0,120}(?:(?:does not|doesn't|not) exist|not found|has been (?:deprecated|"
            r"decommissioned|retired|shut down)|no longer (?:available|supported)|is not (?:available|valid|"
            r"supported|a valid))|(?:unknown|invalid|no such|unsupported) model|no endpoints found"
            r"|not a valid model|deployment[^\n]{0,120}(?:does not exist|not found)|try pulling it"
            r"|access to (?:the )?model"
        ),
        frozenset({400, 403, 404, 422, 500}),
    ),
    _Rule(
        "parameter",
        frozenset({"unsupported_parameter", "unsupported_value"}),
        _words(r"temperature|top_p|reasoning_effort|max_completion_tokens|unsupported (?:parameter|value)"),
        frozenset({400, 422}),
    ),
    _Rule(
        "key",
        _names(
            "invalid_api_key incorrect_api_key authentication_error invalid_authentication "
            "api_key_invalid unauthenticated account_deactivated missing_api_key no_api_key "
            "permission_denied"
        ),
        _words(
            r"(?:invalid|incorrect|missing|expired|wrong|no)\b[^\n.]{0,30}\bapi[ _-]?key"
            r"|api[ _-]?key[^\n.]{0,30}(?:not valid|invalid|expired|missing|not found|disabled)"
            r"|no auth credentials"
        ),
        frozenset({400, 404}),
        frozenset({401, 403}),
    ),
    _Rule("not_found", always=frozenset({404, 405})),
    _Rule(
        "rate_limit",
        _names(
            "rate_limit_exceeded rate_limit_error too_many_requests resource_exhausted slow_down "
            "toomanyrequests throttling"
        ),
        always=frozenset({429}),
    ),
)

_DOWN: frozenset[ModelCause | None] = frozenset({"connection", "timeout", "circuit_open"})
_CODES = _names("code type status reason error_type error_code errorcode quotaid object param")
_SENTENCES = _names("message msg detail details error error_message raw description title")
_DAILY_LIMIT = _words(r"per[ _-]?day|\(?[TR]PD\)?:|limit: 0\b")
_WAIT = _words(
    r"(?:retry|try again)(?: again)? (?:in|after) (?:(\d+)h)?(?:(\d+)m(?!s))?([\d.]+)?\s?(ms|s|seconds?)?"
)


def read_error(status: int, body: bytes | str, headers: Mapping[str, str]) -> ModelError:
    """Returns what an answer with an error means."""
    codes: set[str] = set()
    sentences: list[str] = []
    waits: list[str] = []
    for name, text in _collect(_json(body)):
        if name == "retrydelay":
            waits.append(text)
        elif name in _CODES:
            codes.add(text.lower())
        else:
            sentences.append(text)
    words = "\n".join(sentences)
    if status != _OK:
        cause = _cause(status, codes, words)
    else:
        named = next((int(c) for c in codes if c.isdecimal() and 400 <= int(c) < 600), None)  # noqa: PLR2004
        cause = _cause(named or _BAD_REQUEST, codes, words)
        status = named or (_BAD_GATEWAY if cause == "status" else _BAD_REQUEST)
    if cause == "rate_limit":
        retryable = _DAILY_LIMIT.search("\n".join([words, *codes])) is None
    else:
        retryable = cause == "status" and (status in (408, 409) or status >= 500)  # noqa: PLR2004
    return ModelError(cause, status, retryable, _retry_after(headers, waits, words))


def is_down(cause: ModelCause | None, status: int | None) -> bool:
    """Whether an error says that the model is down, and nothing about the request: it cannot be reached, does
    not answer in time, or its API fails."""
    return cause in _DOWN or (cause == "status" and status is not None and status >= 500)  # noqa: PLR2004


def is_error(body: Any) -> bool:
    """Whether an answer with status 200 is an error all the same."""
    if isinstance(body, list):
        return len(body) == 1 and is_error(body[0])
    if not isinstance(body, dict):
        return False
    # A batch has `errors` of its own.
    errors = body.get("errors") and "id" not in body
    return bool(body.get("error") or errors or "error" in (body.get("object"), body.get("type")))


def _cause(status: int, codes: set[str], words: str) -> ModelCause:
    if UNREADABLE in codes:
        return "unreadable"
    if "resource_exhausted" in codes:
        # Google writes of quota and billing also when it means a minute's share.
        return "rate_limit"
    return next((rule.cause for rule in _RULES if rule.matches(status, codes, words)), "status")


def _json(body: bytes | str) -> Any:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    text = text[:_MAX_BODY].strip().removeprefix("\ufeff")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # A proxy's page says nothing about the model.
        return None if text.startswith("<") else {"message": text[:2000]}


def _collect(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yields what may be a code or a sentence, after the key that it is under."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _collect({"message": item} if isinstance(item, str) else item, depth + 1)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        name = key.lower()
        if name == "flagged_input":
            yield "code", name
        elif isinstance(item, str) and item.lstrip()[:1] in ("{", "["):
            yield from _collect(_json(item), depth + 1)
        elif isinstance(item, str | int) and not isinstance(item, bool):
            if name in _CODES or name in _SENTENCES or name == "retrydelay":
                yield name, str(item)
        else:
            yield from _collect(item, depth + 1)


def _retry_after(headers: Mapping[str, str], waits: list[str], words: str) -> float | None:
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0.0, float(headers[name]) / divisor)
        except (KeyError, ValueError):
            continue
    for wait in waits:
        try:
            return float(wait.rstrip("s"))
        except ValueError:
            continue
    written = _WAIT.search(words)
    if written is None or not any(written.groups()[:3]):
        return None
    hours, minutes, rest, unit = written.groups()
    seconds = float((rest or "0").strip(".") or 0) / (1000 if unit == "ms" else 1)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


_UNREACHABLE = "The model cannot be reached. Ask again in a moment."
_NOT_ASKED = {
    "circuit_open": "The model does not answer, and is not asked for a while: ask again {when}. What was "
    "answered before is kept.",
    "rate_limit": "The model's API is over its rate limit: ask again {when}.",
}
_ADVICE = {
    "content_filter": "The content filter of the model's API refused the request. Ask for something else, or "
    "have the operator loosen the filter.",
    "batch_size": "The model's API takes fewer texts at once. The operator has to lower "
    "CHECKERBOARD_EMBEDDING_BATCH.",
    "dimensions": "The embedding model takes no `dimensions`, or not these. The operator has to set "
    "CHECKERBOARD_EMBEDDING_SEND_DIMENSIONS=false, and CHECKERBOARD_EMBEDDING_DIMENSIONS to the model's own.",
    "quota": "The credit or spending limit of the account at the model's API is used up ({status}), which "
    "waiting does not mend. The operator has to add credit or raise the limit.",
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
_PROMPT_TOO_LONG = (
    "The prompt is too long for the model, or for the limits of its account ({status}). The operator has to "
    "lower CHECKERBOARD_PROMPT_TOKENS, or take a {model} with a longer context."
)
_TOO_LONG = {
    "CHECKERBOARD_EMBEDDING_MODEL": "A text is too long for the embedding model ({status}). The operator has "
    "to take a {model} with a longer context: up to 6,000 characters are embedded.",
    "CHECKERBOARD_CHAT_MODEL": _PROMPT_TOO_LONG,
    "CHECKERBOARD_FALLBACK_MODEL": _PROMPT_TOO_LONG,
}


@contextmanager
def model_errors(purpose: str, endpoint: Endpoint) -> Iterator[None]:
    """Turns what the model's client raises into errors that say what to do.

    Raises:
        ModelOutputError: a content filter refused the request.
        ModelUnavailableError: any other failure; `cause` says which.
    """
    try:
        yield
    except NotAskedError as error:
        seconds = max(1, math.ceil(error.seconds))
        message = _NOT_ASKED[error.cause].format(when=_when(seconds))
        raise ModelUnavailableError(
            message, purpose=purpose, cause=error.cause, retry_after_seconds=seconds
        ) from error
    except openai.APITimeoutError as error:
        if _never_connected(error):
            raise ModelUnavailableError(_UNREACHABLE, purpose=purpose, cause="connection") from error
        raise ModelUnavailableError(purpose=purpose, cause="timeout") from error
    except openai.APIStatusError as error:
        meaning = read_error(error.status_code, error.response.content, error.response.headers)
        raise _service_error(meaning, purpose, endpoint) from error
    except (openai.APIConnectionError, httpx2.TransportError) as error:
        # The latter where the client hands out a body piece by piece.
        raise ModelUnavailableError(_UNREACHABLE, purpose=purpose, cause="connection") from error
    except openai.APIError as error:
        raise unreadable_answer(purpose, endpoint) from error


def unreadable_answer(purpose: str, endpoint: Endpoint) -> ModelUnavailableError:
    """Returns the error for an answer that is none."""
    message = _ADVICE["unreadable"].format(url=endpoint.url_setting)
    return ModelUnavailableError(message, purpose=purpose, cause="unreadable")


def _service_error(
    error: ModelError, purpose: str, endpoint: Endpoint
) -> ModelOutputError | ModelUnavailableError:
    # Not the API's words: gateways repeat the prompt there, and the key.
    logger.warning(
        "the model's API failed", extra={"purpose": purpose, "cause": error.cause, "status": error.status}
    )
    if error.cause == "unreadable":
        return unreadable_answer(purpose, endpoint)
    kind = ModelOutputError if error.cause == "content_filter" else ModelUnavailableError
    wait = error.retry_after
    return kind(
        _advice(error, endpoint),
        purpose=purpose,
        cause=error.cause,
        status=error.status,
        retry_after_seconds=None if wait is None or wait < 1 else round(wait),
    )


def _advice(error: ModelError, endpoint: Endpoint) -> str:
    too_long = error.cause == "context_length"
    advice = _TOO_LONG[endpoint.model_setting] if too_long else _ADVICE.get(error.cause)
    if advice is not None:
        return advice.format(
            status=error.status,
            url=endpoint.url_setting,
            key=endpoint.key_setting,
            model=endpoint.model_setting,
        )
    if error.cause == "rate_limit":
        when = _when(error.retry_after) if error.retryable else "when a new day has begun"
        return f"The model's API is over its rate limit: ask again {when}."
    if error.status < 500:  # noqa: PLR2004 - an HTTP status
        return (
            f"The model's API refused the request ({error.status}). The operator has to check the model's "
            "settings."
        )
    return f"The model's API is failing: ask again {_when(error.retry_after, 'in a moment')}."


def _when(seconds: float | None, unknown: str = "in a minute") -> str:
    if seconds is None or seconds < 1:
        return unknown
    if seconds <= 90:  # noqa: PLR2004 - more is written in minutes
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
