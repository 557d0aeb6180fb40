"""Kept projects: each with all that its page shows, in PostgreSQL, for as long as `kept_days` says.

A project is kept whole, with the texts of the postings that it quotes, so that neither its session nor
those postings have to be there any more. Of the person there are the desired job and the skills. Its id is
the right to read it; who kept it may delete it. What has expired is not found from that moment on, and every
worker deletes such rows when it starts and once an hour.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field

from tools.core.contracts import (
    AnswerWarning,
    Language,
    Project,
    RetrievedPosting,
    Summary,
    Versions,
)
from tools.core.database import Pool, delete_in_steps, long_connection
from tools.core.errors import KeptNotFoundError
from tools.core.logs import cause
from tools.core.sql import queries
from tools.postings.contracts import StoredPosting

logger = logging.getLogger(__name__)

_SQL = queries("kept.sql")
_ID_BYTES = 16
"""128 bits: nobody finds one by trying."""
_LISTED = 200
"""The newest kept projects that are listed to who kept them."""
_DAY = 24 * 60 * 60
_SWEEP_SECONDS = 60 * 60


class KeptContent(BaseModel):
    """What is kept of a project: all that its page shows."""

    language: Language
    project: Project
    desired_job: str
    skills: list[str] = Field(description="those that the profile lists or names in its texts")
    summary: Summary
    postings: list[RetrievedPosting] = Field(
        description="the kept postings of its session: what the summary rests on"
    )
    evidence: list[StoredPosting] = Field(description="the postings that it quotes, whole, as they were then")
    closest_only: bool
    warnings: list[AnswerWarning]
    versions: Versions


class KeptProject(KeptContent):
    """A project that was kept."""

    kept_id: str
    created_at: datetime
    expires_at: datetime


class KeptTitle(BaseModel):
    """A kept project in a list."""

    kept_id: str
    url: str = Field(description="its page, under this service's address")
    title: str
    language: Language
    created_at: datetime
    expires_at: datetime


class KeptProjects:
    """Keeps, finds and deletes. psycopg's errors and PoolTimeout are raised as they are."""

    def __init__(self, pool: Pool, kept_days: float) -> None:
        self._pool = pool
        self._seconds = kept_days * _DAY

    async def keep(
        self, owner: str, session_id: str, number: int, content: KeptContent
    ) -> tuple[str, datetime]:
        """Keeps the project of that number of a session, from 0; returns its id and when it expires. One that
        is kept already stays as it is, and its time begins again."""
        row = {
            "id": secrets.token_urlsafe(_ID_BYTES),
            "owner": owner,
            "session_id": session_id,
            "number": number,
            "content": Jsonb(content.model_dump(mode="json", include=set(KeptContent.model_fields))),
            "seconds": self._seconds,
        }
        [kept] = await self._rows("keep", row)
        return kept["id"], kept["expires_at"]

    async def find(self, kept_id: str) -> KeptProject:
        """Returns a kept project.

        Raises:
            KeptNotFoundError: there is none of this id, or not any more.
        """
        if rows := await self._rows("find", {"id": kept_id}):
            [row] = rows
            times = {name: row[name] for name in ("created_at", "expires_at")}
            return KeptProject(kept_id=row["id"], **times, **row["content"])
        raise KeptNotFoundError

    async def of_owner(self, owner: str) -> Sequence[Mapping[str, Any]]:
        """Returns `id`, `title`, `language`, `created_at` and `expires_at` of what somebody has kept, the
        newest 200, newest first."""
        return await self._rows("of_owner", {"owner": owner, "count": _LISTED})

    async def delete(self, kept_id: str, owner: str) -> None:
        """Deletes a kept project at once.

        Raises:
            KeptNotFoundError: there is none of this id, or somebody else has kept it.
        """
        if not await self._rows("delete", {"id": kept_id, "owner": owner}):
            raise KeptNotFoundError

    async def delete_expired(self) -> int:
        """Deletes what has expired; returns how many rows that were."""
        async with long_connection(self._pool) as connection:
            return await delete_in_steps(connection, _SQL["delete_expired"])

    async def count_expired(self) -> int:
        """Returns how many rows `delete_expired` would delete."""
        [row] = await self._rows("count_expired", {})
        return int(row["projects"])

    async def _rows(self, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(_SQL[name], values)).fetchall()


@asynccontextmanager
async def open_kept(pool: Pool, kept_days: float) -> AsyncIterator[KeptProjects]:
    """Yields the kept projects, and deletes what expires meanwhile."""
    kept = KeptProjects(pool, kept_days)
    sweeping = asyncio.create_task(_sweep(kept))
    try:
        yield kept
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


async def _sweep(kept: KeptProjects) -> None:
    """Deletes what has expired, now and every hour. A store that is away is tried again the next time."""
    while True:
        try:
            if deleted := await kept.delete_expired():
                logger.info("kept projects expired", extra={"deleted": deleted})
        except (psycopg.Error, PoolTimeout) as error:
            logger.warning("expired projects could not be deleted", extra={"cause": cause(error)})
        await asyncio.sleep(_SWEEP_SECONDS)
