"""Keys of administrators beside those of callers."""

from __future__ import annotations

import pytest

from serve.callers import ApiKeys
from tests.serve.test_callers import bearer, digest
from tools.core.errors import ForbiddenError, UnauthorizedError

ADA, BOB = f"ada:{digest('key-a')}", f"bob:{digest('key-b')}"


def test_an_administrator_is_known_by_the_name_of_the_key_and_may_call() -> None:
    keys = ApiKeys(BOB, ADA)
    assert keys.admin(bearer("key-a")) == "ada"
    assert keys.owner(bearer("key-a")) == "ada"


def test_a_caller_is_no_administrator_and_a_stranger_is_neither() -> None:
    keys = ApiKeys(BOB, ADA)
    with pytest.raises(ForbiddenError):
        keys.admin(bearer("key-b"))
    for headers in ({}, bearer("key-c"), {"authorization": "key-a"}):
        with pytest.raises(UnauthorizedError):
            keys.admin(headers)


def test_without_administrators_nobody_is_one() -> None:
    for headers in ({}, bearer("key-b"), bearer("anything")):
        with pytest.raises(ForbiddenError):
            ApiKeys(None).admin(headers)
    with pytest.raises(ForbiddenError):
        ApiKeys(BOB).admin(bearer("key-b"))
    # Where callers have keys, nothing is said to those without one.
    for headers in ({}, bearer("anything")):
        with pytest.raises(UnauthorizedError):
            ApiKeys(BOB).admin(headers)


@pytest.mark.parametrize("configured", ["", " , "])
def test_a_list_that_names_no_administrator_is_refused(configured: str) -> None:
    with pytest.raises(ValueError, match="CHECKERBOARD_ADMIN_KEYS is set and names nobody"):
        ApiKeys(BOB, configured)


def test_where_everybody_may_call_an_administrator_still_needs_the_key() -> None:
    keys = ApiKeys(None, ADA)
    assert keys.owner({}) == ""
    assert keys.admin(bearer("key-a")) == "ada"
    with pytest.raises(UnauthorizedError):
        keys.admin({})


@pytest.mark.parametrize(
    "admins", [f"ada:{digest('key-b')}", f"bob:{digest('key-a')}"], ids=["one key", "one name"]
)
def test_nobody_is_both_by_accident(admins: str) -> None:
    """Which of both a key is would be a matter of order."""
    with pytest.raises(ValueError, match="share a name or a key"):
        ApiKeys(BOB, admins)


def test_a_wrong_entry_is_told_by_its_setting() -> None:
    with pytest.raises(ValueError, match="CHECKERBOARD_ADMIN_KEYS is a list of name:sha256") as refused:
        ApiKeys(BOB, "ada:my-secret-key")
    assert "my-secret-key" not in str(refused.value)
