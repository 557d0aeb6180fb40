"""The client of Redis, before anything is asked of it."""

from __future__ import annotations

import pytest

from tools.core.errors import SetupError
from tools.core.redis_client import open_redis, redis_url
from tools.core.settings import Settings


@pytest.mark.parametrize(
    "url", ["unused", "localhost:6379", "http://127.0.0.1:6379", "redis://127.0.0.1:port"]
)
async def test_what_is_no_url_of_a_redis_is_told_by_its_setting(url: str) -> None:
    with pytest.raises(SetupError, match="REDIS_URL is not a Redis URL"):
        async with open_redis(Settings(redis_url=url)):
            pass


# What a store's URL may say.
@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("redis://host", "redis://host"),
        ("redis://u:p@host:6380/0", "redis://u:p@host:6380/0"),
        ("unix:///a%20b.sock?db=0", "unix:///a%20b.sock?db=0"),
        ("redis://host?decode_responses=True", "redis://host"),
        ("redis://host/0?protocol=3&client_name=me&encoding=latin-1", "redis://host/0?client_name=me"),
        ("rediss://host?ssl_cert_reqs=none&max_connections=1", "rediss://host?ssl_cert_reqs=none"),
        ("unix://:p%3F@/s.sock?db=0&socket_timeout=60", "unix://:p%3F@/s.sock?db=0"),
    ],
)
def test_where_and_who_is_kept_and_how_is_not(given: str, taken: str) -> None:
    assert redis_url(given) == taken


@pytest.mark.parametrize(
    "given", ["redis://host/1", "redis://host?db=2", "unix:///s.sock?db=3", "redis://host/x"]
)
def test_a_database_that_cannot_be_searched_is_refused(given: str) -> None:
    with pytest.raises(SetupError, match="database 0"):
        redis_url(given)


@pytest.mark.parametrize("given", ["host:6379", "http://host", "redis://host?db=one"])
def test_what_is_no_url_of_redis_is_refused(given: str) -> None:
    with pytest.raises(SetupError, match="not a Redis URL"):
        redis_url(given)
