"""Stored keys: helpers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.keys.store import Limits, create_key
from tools.core.database import Connection, connect, migrate
from tools.core.settings import Settings


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Connection]:
    """A connection to the database of `settings`, migrated: what a command has."""
    assert settings.database_url is not None
    await migrate(settings.database_url)
    async with await connect(settings.database_url) as connection:
        yield connection


async def made(connection: Connection, name: str, *, admin: bool = False) -> str:
    """Makes a key; returns it."""
    return await create_key(connection, name, "admin" if admin else "client", Limits())


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
