"""The tree of errors."""

from __future__ import annotations

import re

import orjson
import pytest

from tools.core import errors
from tools.core.errors import CheckerboardError, NoPostingsError, SessionNotFoundError, from_json


def tree(kind: type[CheckerboardError] = CheckerboardError) -> list[type[CheckerboardError]]:
    """The errors of the service; a room's own are under the same root, in a module of that room."""
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [found for child in children for found in (child, *tree(child))]


KINDS = [CheckerboardError, *tree()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_code_for_programs_and_a_status(kind: type[CheckerboardError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.status < 600


def test_no_two_errors_share_a_code() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_on_one_line_what_happened(kind: type[CheckerboardError]) -> None:
    message = kind().message
    assert message.endswith(".")
    assert "\n" not in message
    assert "  " not in message
    assert message == str(kind())


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back_from_its_json_with_its_class_message_and_details(
    kind: type[CheckerboardError],
) -> None:
    error = kind("Something else happened.", session_id="s-1", limit=3)
    back = from_json(orjson.loads(orjson.dumps(error.as_json())))
    assert type(back) is kind
    assert (back.message, back.details) == ("Something else happened.", {"session_id": "s-1", "limit": 3})


def test_a_code_from_a_newer_service_comes_back_as_the_root() -> None:
    back = from_json({"code": "from_the_future", "message": "Hm.", "details": {}})
    assert type(back) is CheckerboardError
    assert back.message == "Hm."


def test_the_default_message_tells_what_to_do_next() -> None:
    assert "POST /generate/invoke" in SessionNotFoundError().message
    assert "checkerboard ingest load" in NoPostingsError().message


def test_the_tree_in_the_module_lists_exactly_the_errors() -> None:
    listed = re.findall(r"[├└]── (\w+) +(\d+) (\w+)", errors.__doc__ or "")
    assert sorted(listed) == sorted((kind.__name__, str(kind.status), kind.code) for kind in tree())
