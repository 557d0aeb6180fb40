"""A folder that is watched: what arrives is found by the running service, seconds later."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ingest.pipeline.local_engine import Counts
from ingest.pipeline.run import open_ingest
from ingest.sources.folder import WatchedFolder
from serve.context import AppContext, open_app_context
from tests.ingest.pipeline.runs import POSTING, until
from tests.pace import scaled, time_limit
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings

WITHIN_SECONDS = 10.0


async def hits(app_context: AppContext, text: str) -> set[str]:
    services = app_context.services
    found = await services.postings.nearest(await services.embedder.query(text), k=5)
    return {hit.source_id for hit in found}


async def test_a_posting_that_arrives_is_found_within_ten_seconds(
    own_settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "before.md").write_text(POSTING.format(n=3))
    async with open_app_context(own_settings) as app_context, open_ingest(own_settings) as ingest:
        ingest.sources.append(WatchedFolder(folder))
        counts = Counts()
        watching = asyncio.create_task(ingest.collect_and_work(ingest.runners(), counts, forever=True))
        await until(lambda: _loaded(counts, 1))
        # A copy that takes a while, as over a network: it is read once, when it is whole.
        with (folder / "slow.md").open("w") as file:
            for line in POSTING.format(n=11).splitlines(keepends=True):
                file.write(line)
                file.flush()
                await asyncio.sleep(0.05)
        arrived = time.monotonic()
        (folder / "draft.part").write_text(POSTING.format(n=12))
        (folder / "draft.part").rename(folder / "moved.md")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "inner.md").write_text(POSTING.format(n=13))
        (tmp_path / "elsewhere").rename(folder / "whole")
        await until(lambda: _loaded(counts, 4))
        assert time.monotonic() - arrived < scaled(WITHIN_SECONDS)
        assert {"before.md", "slow.md", "moved.md"} <= await hits(app_context, POSTING.format(n=11))
        assert dict(counts.collected) == {"new": 4}
        watching.cancel()
        await asyncio.wait([watching], timeout=time_limit())


async def _loaded(counts: Counts, number: int) -> bool:
    return counts.reached["loaded"] >= number


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="nowhere"):
        WatchedFolder(tmp_path / "nowhere")
