"""Databases of a test's own, cloned from a template on the embedded PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from tools.core.settings import Settings


@asynccontextmanager
async def cloned(settings: Settings, template: str) -> AsyncIterator[Settings]:
    """Yields settings with a new database like `template`; drops it at the end."""
    name = f"test_{uuid.uuid4().hex}"
    await create(settings, name, template)
    try:
        yield with_database(settings, name)
    finally:
        await _administrate(settings, f'drop database "{name}" with (force)')


def environment(settings: Settings) -> dict[str, str]:
    """What tells a process of its own where the home and the servers of `settings` are."""
    return {
        "CHECKERBOARD_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
        "CHECKERBOARD_CACHE_MEGABYTES": str(settings.cache_megabytes),
    }


async def create(settings: Settings, name: str, template: str = "template1") -> None:
    """Creates a database."""
    await _administrate(settings, f'create database "{name}" template "{template}"')


def with_database(settings: Settings, name: str) -> Settings:
    """Returns settings whose database is `name`, on the same server."""
    assert settings.database_url is not None
    url = settings.database_url.replace("/postgres?", f"/{name}?")
    return settings.model_copy(update={"database_url": url})


async def _administrate(settings: Settings, statement: str) -> None:
    assert settings.database_url is not None
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection:
        await connection.execute(statement)
