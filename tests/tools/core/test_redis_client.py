"""The client of Redis, before anything is asked of it."""

from __future__ import annotations

import pytest

from tools.core.errors import SetupError
from tools.core.redis_client import open_redis
from tools.core.settings import Settings


@pytest.mark.parametrize(
    "url", ["unused", "localhost:6379", "http://127.0.0.1:6379", "redis://127.0.0.1:port"]
)
async def test_what_is_no_url_of_a_redis_is_told_by_its_setting(url: str) -> None:
    with pytest.raises(SetupError, match="REDIS_URL is not a Redis URL"):
        async with open_redis(Settings(redis_url=url)):
            pass
