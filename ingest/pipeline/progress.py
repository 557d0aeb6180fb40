"""How far the documents of each source are, as PostgreSQL has it. Needs no part of the pipeline, so that the
service can ask it, too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tools.core.database import Pool
from tools.core.sql import queries

_SQL = queries("documents.sql")


@dataclass(frozen=True, slots=True)
class Progress:
    """The documents of a source at one stage, and what they have cost so far. Withdrawn ones count, because
    they have cost what they did."""

    source: str
    stage: str
    """One of `STAGES`, or `set aside`."""
    documents: int
    pages: int
    input_tokens: int
    output_tokens: int
    usd: float
    moved_at: datetime
    """When one of them came there, or failed, last."""


async def progress(pool: Pool) -> list[Progress]:
    """Returns how far the documents are.

    Raises:
        psycopg.Error: PostgreSQL does not answer.
    """
    async with pool.connection() as connection:
        rows = await (await connection.execute(_SQL["progress"])).fetchall()
    return [Progress(**row) for row in rows]
