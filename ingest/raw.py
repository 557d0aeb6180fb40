"""Raw files, kept by the hash of their content: the same poster twice is one file."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

from ingest.documents import RawFile
from ingest.errors import DocumentUnreadableError

ROW = "application/json"
"""A row of a JSONL or CSV file. It is small and there are many, so it is kept in its document's row."""


class RawFiles:
    """The folder of raw files: `ab/abcdef…`, never changed, never deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, files: tuple[RawFile, ...]) -> list[dict[str, Any]]:
        """Keeps the files of a document; returns what its row in the database says of them."""
        return await asyncio.to_thread(lambda: [self._keep(file) for file in files])

    async def read(self, kept: list[dict[str, Any]]) -> list[RawFile]:
        """Returns the files that `keep` was given.

        Raises:
            DocumentUnreadableError: a file is gone or was changed.
        """
        return await asyncio.to_thread(lambda: [self._read(row) for row in kept])

    def _keep(self, file: RawFile) -> dict[str, Any]:
        row = {"name": file.name, "media_type": file.media_type, "hash": file.content_hash}
        if file.media_type == ROW:
            return {**row, "text": file.content.decode(errors="replace").replace("\x00", " ")}
        path = self._path(file.content_hash)
        if not path.exists() or path.stat().st_size != len(file.content):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
                draft.write(file.content)
            # Whole or not at all, whoever else keeps the same file now.
            Path(draft.name).replace(path)
        return {**row, "bytes": len(file.content)}

    def _read(self, row: dict[str, Any]) -> RawFile:
        if "text" in row:
            return RawFile(row["name"], row["media_type"], row["text"].encode())
        try:
            file = RawFile(row["name"], row["media_type"], self._path(row["hash"]).read_bytes())
        except OSError as error:
            raise DocumentUnreadableError(
                f"The raw file of {row['name']} cannot be read ({os.strerror(error.errno or 0)}). "
                "Collect its source again."
            ) from error
        if file.content_hash != row["hash"]:
            # Out of the way, so that collecting it again keeps it.
            self._path(row["hash"]).unlink(missing_ok=True)
            raise DocumentUnreadableError(f"The raw file of {row['name']} was changed. Collect it again.")
        return file

    def _path(self, content_hash: str) -> Path:
        return self._folder / content_hash[:2] / content_hash
