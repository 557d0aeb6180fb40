"""The tree of errors."""

from __future__ import annotations

import pickle
import re

import orjson
import pytest

from tools.core import errors
from tools.core.errors import (
    EmbeddingMismatchError,
    InternalError,
    InvalidRequestError,
    ModelOutputError,
    ModelUnavailableError,
    NoPostingsError,
    PromptInvalidError,
    ServiceError,
    SessionNotFoundError,
    StoreUnavailableError,
    Usage,
    from_json,
)


def tree(kind: type[ServiceError] = ServiceError) -> list[type[ServiceError]]:
    """The errors of the service; a room's own are under the same root, in a module of that room."""
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [found for child in children for found in (child, *tree(child))]


KINDS = tree()


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_code_for_programs_and_a_status(kind: type[ServiceError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.http_status < 600


def test_no_two_errors_share_a_code() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_on_one_line_what_happened(kind: type[ServiceError]) -> None:
    message = kind().message
    assert message.endswith(".")
    assert "\n" not in message
    assert "  " not in message
    assert message == str(kind())


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back_from_its_json_with_its_class_message_and_details(
    kind: type[ServiceError],
) -> None:
    error = kind("Something else happened.", session_id="s-1", retry_after_seconds=3)
    back = from_json(orjson.loads(orjson.dumps(error.as_json())))
    assert type(back) is kind
    assert (back.message, back.details) == (
        "Something else happened.",
        {"session_id": "s-1", "retry_after_seconds": 3},
    )


@pytest.mark.parametrize(
    ("error", "details"),
    [
        (SessionNotFoundError(), {}),
        (
            InvalidRequestError(fields=[{"field": "body", "problem": "too long"}]),
            {"fields": [{"field": "body", "problem": "too long"}]},
        ),
        (PromptInvalidError(prompts={"a-ko": ["no text"]}), {"prompts": {"a-ko": ["no text"]}}),
        (
            ModelUnavailableError(purpose="summarize", cause="rate_limit", status=429),
            {"purpose": "summarize", "cause": "rate_limit", "status": 429},
        ),
        (
            ModelOutputError(problems=["no JSON"], usage=Usage(3, 4)),
            {"problems": ["no JSON"], "usage": {"input_tokens": 3, "output_tokens": 4}},
        ),
        (StoreUnavailableError(store="redis", reason="disk"), {"store": "redis", "reason": "disk"}),
        (EmbeddingMismatchError(stored=[], configured=["m", 8]), {"stored": [], "configured": ["m", 8]}),
    ],
    ids=repr,
)
def test_the_details_are_the_attributes_that_are_set(error: ServiceError, details: dict[str, object]) -> None:
    assert error.details == details
    assert from_json(error.as_json()).details == details


def test_an_error_is_whole_after_pickling() -> None:
    error = ModelOutputError("It ended.", cause="refusal", usage=Usage(3, 4))
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(back), str(back), back.details) == (ModelOutputError, "It ended.", error.details)


def test_a_code_from_a_newer_service_comes_back_as_an_internal_one() -> None:
    back = from_json({"code": "from_the_future", "message": "Hm.", "details": {}})
    assert type(back) is InternalError
    assert back.message == "Hm."


def test_the_default_message_tells_what_to_do_next() -> None:
    assert "POST /generate/invoke" in SessionNotFoundError().message
    assert "checkerboard ingest load" in NoPostingsError().message


def test_the_tree_in_the_module_lists_exactly_the_errors() -> None:
    listed = re.findall(r"[├└]── (\w+) +(\d+) (\w+)", errors.__doc__ or "")
    assert sorted(listed) == sorted((kind.__name__, str(kind.http_status), kind.code) for kind in tree())
