"""A folder of files: posters, pages of HTML, texts, and rows of JSONL and CSV files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePath
from time import time_ns
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field, ValidationError

from ingest.columns import stated
from ingest.documents import Collected, Listed, RawFile
from ingest.paths import as_on_disk
from ingest.row import Row
from ingest.rows import rows
from ingest.sources.pages import postings
from ingest.sources.within import open_within, read_within
from tools.core.errors import InvalidRequestError
from tools.core.text import clean
from tools.postings.contracts import Text

logger = logging.getLogger(__name__)

IMAGES = {".webp": "image/webp", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
PAGES = {
    ".pdf": "application/pdf",
    ".html": "text/html",
    ".htm": "text/html",
    ".md": "text/markdown",
    ".txt": "text/plain",
}
ROWS = {".jsonl", ".csv", ".tsv"}
LARGEST_FILE = 100 * 1024 * 1024
"""Bytes of a file that is read as a whole; what Upstage's document parser takes, too."""
SETTLE_SECONDS = 1.0
"""A file that did not change for so long is written to its end."""
Files = tuple[Path, ...]
"""The files of one posting, in reading order."""
Marks = list[tuple[int, int]]
_ROWS_AT_ONCE = 200
_FILES_AT_ONCE = 50
_BYTES_AT_ONCE = 4 * 1024 * 1024
_LONGEST_ID = 300


class _Identity(BaseModel):
    """What names a row for ever, as `ingest load` reads it."""

    source: Annotated[Text, Field(min_length=1, max_length=200)]
    source_id: Annotated[Text, Field(min_length=1, max_length=_LONGEST_ID)]


class FolderSource:
    """Every posting in a folder and the folders in it.

    Documents are of the source `folder's name`, with the path within the folder as their id (for a
    posting of several images, that of the first). A row of a JSONL or CSV file is a document of its
    own, under the source and source id that it names, so that `ingest load` of the same file means the
    same postings; a row that names no source has the id `path#its id`, and one that cannot be read
    `path:line`. A removed file withdraws nothing: no `Listed` is yielded.

    Passed over are hidden files, `~*`, other kinds of files, and, with a word in the log, files that
    cannot be read, are too large, or are still being written.
    """

    def __init__(self, argument: str) -> None:
        """Takes the folder's path; `~` is the home.

        Raises:
            InvalidRequestError: there is no such folder.
        """
        self.name = f"folder:{argument}"
        try:
            root = as_on_disk(Path(argument).expanduser()).resolve() if argument else None
        except (OSError, RuntimeError, ValueError):
            root = None
        if root is None or not root.is_dir():
            raise InvalidRequestError(f"{self.name}: there is no folder {argument!r}.")
        self.root = root
        self._source = _storable(root.name or "folder")

    async def documents(self) -> AsyncGenerator[Collected | Listed, None]:
        """Yields what is in the folder, folder by folder. Memory holds some documents and the names of
        one folder's files; reading is done in threads."""
        growing: dict[Files, Marks] = {}
        folders = [self.root]
        while folders:
            inner, listed = await asyncio.to_thread(_listed, folders.pop(), self.root)
            folders += reversed(inner)
            resting = (files for files in listed if not _grows(files, growing))
            async with contextlib.aclosing(self._read(resting)) as documents:
                async for document in documents:
                    yield document
        async with contextlib.aclosing(self._settled(growing)) as documents:
            async for document in documents:
                yield document

    async def changed(self, paths: Iterable[Path]) -> AsyncGenerator[Collected, None]:
        """Yields the documents that the files `paths` are part of, as far as they are there and rest:
        what a watcher of the folder asks for. Paths outside the folder are passed over."""
        names: dict[Path, set[str]] = {}
        for path in paths:
            folder = await asyncio.to_thread(path.parent.resolve)
            if folder.is_relative_to(self.root) and not _hidden(folder.relative_to(self.root)):
                names.setdefault(folder, set()).add(path.name)
        growing: dict[Files, Marks] = {}
        for folder, wanted in names.items():
            _, listed = await asyncio.to_thread(_listed, folder, self.root)
            for files in listed:
                if wanted.intersection(file.name for file in files):
                    growing[files] = await asyncio.to_thread(_marks, files)
        async with contextlib.aclosing(self._settled(growing)) as documents:
            async for document in documents:
                yield document

    async def _settled(self, growing: dict[Files, Marks]) -> AsyncGenerator[Collected, None]:
        """Waits until files that were changed a moment ago rest, and reads those that do."""
        if growing:
            await asyncio.sleep(SETTLE_SECONDS)
        resting = (files for files, marks in growing.items() if _rests(files, marks))
        async with contextlib.aclosing(self._read(resting)) as documents:
            async for document in documents:
                yield document

    async def _read(self, listed: Iterator[Files]) -> AsyncGenerator[Collected, None]:
        while some := await asyncio.to_thread(self._some, listed):
            for document in some:
                if isinstance(document, Collected):
                    yield document
                    continue
                async with contextlib.aclosing(self._rows(document)) as rows_of_file:
                    async for row in rows_of_file:
                        yield row

    def _some(self, listed: Iterator[Files]) -> list[Collected | Path]:
        """Reads the next few postings; a file of rows is left to be read row by row. A thread for each
        small file would cost four times what reading it does."""
        some: list[Collected | Path] = []
        size = 0
        for files in listed:
            if files[0].suffix.lower() in ROWS:
                some.append(files[0])
            elif document := self._pages(files):
                some.append(document)
                size += sum(len(file.content) for file in document.files)
            if size > _BYTES_AT_ONCE or len(some) == _FILES_AT_ONCE:
                break
        return some

    def _pages(self, files: Files) -> Collected | None:
        """Reads the files of one posting."""
        raw = []
        for file in files:
            try:
                content = read_within(self.root, file, LARGEST_FILE)
                raw.append(RawFile(self._id(file), (IMAGES | PAGES)[file.suffix.lower()], content))
            except OSError as error:
                logger.warning("file passed over", extra={"file": str(file), "problem": str(error)})
                return None
        return Collected(self._source, raw[0].name, tuple(raw), provenance=_provenance(files[0]))

    async def _rows(self, file: Path) -> AsyncGenerator[Collected, None]:
        """Yields the rows of a file; some are read at a time, in a thread."""
        path, provenance = self._id(file), _provenance(file)
        read = rows(file, lambda name, _: open_within(self.root, Path(name)))
        try:
            while batch := await asyncio.to_thread(list, itertools.islice(read, _ROWS_AT_ONCE)):
                for row in batch:
                    yield self._row(path, row, provenance)
        except InvalidRequestError as error:
            logger.warning("rest of file passed over", extra={"file": str(file), "problem": error.message})
        finally:
            # Closes the file, also when the consumer leaves early.
            await asyncio.to_thread(read.close)

    def _row(self, path: str, row: Row, provenance: dict[str, Any]) -> Collected:
        """A row as a document: JSON that `ingest.rows.as_posting` reads, or refuses with its reason."""
        source, source_id = self._source, _short(f"{path}:{row.line}")
        content = orjson.dumps(row.value) if row.problem is None else (row.text or "").encode()
        if isinstance(row.value, dict):
            value = stated(row.value)
            if "source" not in value and "source_id" in value:
                value["source_id"] = _short(f"{path}#{value['source_id']}")
            value = {"source": self._source, **value}
            with contextlib.suppress(ValidationError):
                identity = _Identity.model_validate(value)
                source, source_id = identity.source, identity.source_id
            content = orjson.dumps(value)
        if row.lost:
            logger.warning("cells without a column", extra={"row": f"{path}:{row.line}", "cells": row.lost})
        file = RawFile(f"{path}:{row.line}", "application/json", content)
        return Collected(source, source_id, (file,), provenance={**provenance, "line": row.line})

    def _id(self, file: Path) -> str:
        return _short(_storable(file.relative_to(self.root).as_posix()))


def _listed(folder: Path, root: Path) -> tuple[list[Path], Iterator[Files]]:
    """Returns the folders in `folder`, and its files by posting, both in the order of their names."""
    folders: list[str] = []
    images: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # A link to a folder is not followed: what it shows is elsewhere, outside, or a circle.
                if entry.name.startswith((".", "~")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif _wanted(entry, root):
                    (images if PurePath(entry.name).suffix.lower() in IMAGES else others).append(entry.name)
    except OSError as error:
        logger.warning("folder passed over", extra={"folder": str(folder), "problem": str(error)})
    groups = sorted([*postings(images), *((name,) for name in others)])
    return [folder / name for name in sorted(folders)], (tuple(folder / n for n in names) for names in groups)


def _wanted(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether this is a regular file of a kind that is read, and no way out of the folder."""
    if PurePath(entry.name).suffix.lower() not in IMAGES.keys() | PAGES.keys() | ROWS:
        return False
    try:
        return entry.is_file() and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root))
    except (OSError, RuntimeError) as error:
        logger.warning("file passed over", extra={"file": entry.path, "problem": str(error)})
        return False


def _hidden(path: PurePath) -> bool:
    return any(part.startswith((".", "~")) for part in path.parts)


def _marks(files: Files) -> Marks:
    """What changes while a file is being written: sizes in bytes and times of change, nanoseconds."""
    marks = []
    for file in files:
        with contextlib.suppress(OSError):
            found = file.stat()
            marks.append((found.st_size, found.st_mtime_ns))
    return marks


def _grows(files: Files, growing: dict[Files, Marks]) -> bool:
    """Whether one of the files was changed within the last second; if so, its marks go to `growing`. A
    time of change in the future, by another machine's clock, says nothing: that file is waited for."""
    marks = _marks(files)
    newest = max((changed for _, changed in marks), default=0)
    if time_ns() - newest >= SETTLE_SECONDS * 1e9:
        return False
    growing[files] = marks
    return True


def _rests(files: Files, marks: Marks) -> bool:
    if _marks(files) == marks:
        return True
    logger.warning("file is still being written", extra={"file": str(files[0])})
    return False


def _provenance(file: Path) -> dict[str, Any]:
    return {"url": file.as_uri(), "fetched_at": datetime.now(UTC).isoformat()}


def _storable(name: str) -> str:
    """A file's name as text that every database takes: composed as on all systems, without surrogates
    and control characters, which are written out."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return clean("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


def _short(name: str) -> str:
    """A name of at most 300 characters, which is what a source id has room for."""
    if len(name) <= _LONGEST_ID:
        return name
    return f"{name[: _LONGEST_ID - 17]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
