"""`checkerboard prune`: what is kept for a time, and is over it."""

from __future__ import annotations

import logging
from dataclasses import asdict

from ingest.pipeline import retention
from ingest.pipeline.retention import Ages
from ingest.pipeline.store import RawFiles
from serve.kept import KeptProjects
from tools.core.database import open_pool
from tools.core.settings import Settings

logger = logging.getLogger(__name__)


async def prune(settings: Settings, ages: Ages, *, dry_run: bool) -> dict[str, int]:
    """Deletes what is older than `ages`, and kept projects whose time is over. With `dry_run` it only counts,
    and writes nothing. Returns how many of each kind.

    Raises:
        SetupError: PostgreSQL does not answer.
        psycopg.Error, OSError: as `ingest.pipeline.retention.prune`.
    """
    async with await open_pool(settings) as pool:
        kept, raw = KeptProjects(pool, settings.kept_days), RawFiles.of(settings)
        if dry_run:
            gathered = await retention.count(pool, raw, ages)
            projects = await kept.count_expired()
        else:
            gathered = await retention.prune(pool, raw, ages)
            projects = await kept.delete_expired()
            logger.info("pruned", extra={**asdict(gathered), "kept_projects": projects})
    return {**asdict(gathered), "kept_projects": projects}
