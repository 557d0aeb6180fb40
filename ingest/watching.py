"""A folder that is watched: its postings, and then each that arrives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from watchfiles import Change, awatch

from ingest.documents import Collected, Listed
from ingest.sources.folder import FolderSource

_EVENT_MILLISECONDS = 500
"""How long the watcher waits for events before it looks whether it should end."""
_TOGETHER_MILLISECONDS = 200
"""Files that arrive within this time of one another are looked at together."""


class WatchedFolder:
    """A source without an end. Where file systems tell of no changes (some network mounts), set
    WATCHFILES_FORCE_POLLING=true."""

    def __init__(self, folder: Path) -> None:
        """Takes the folder's path.

        Raises:
            InvalidRequestError: there is no such folder.
        """
        self._folder = FolderSource(str(folder))
        self.name = self._folder.name

    async def documents(self) -> AsyncIterator[Collected | Listed]:
        """Yields what is in the folder, then what arrives or changes, until it is cancelled."""
        first = True
        async for changes in awatch(
            self._folder.root,
            debounce=_TOGETHER_MILLISECONDS,
            rust_timeout=_EVENT_MILLISECONDS,
            yield_on_timeout=True,
        ):
            if first:
                # Only now: what arrives while the folder is read is already watched for.
                first = False
                async with contextlib.aclosing(self._folder.documents()) as documents:
                    async for document in documents:
                        yield document
            arrived_paths = [Path(path) for change, path in changes if change != Change.deleted]
            paths = await asyncio.to_thread(_files, arrived_paths)
            async with contextlib.aclosing(self._folder.changed(paths)) as arrived:
                async for document in arrived:
                    yield document


def _files(paths: Sequence[Path]) -> list[Path]:
    """The paths, and in place of a folder, which may have been moved here whole, the files in it."""
    return [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
