"""A folder of files: posters, pages of HTML, texts, and rows of JSONL and CSV files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import os
import re
import stat
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePath
from time import sleep, time_ns
from typing import Any

import orjson
from pydantic import ValidationError
from watchfiles import Change, awatch

from ingest.documents import Collected, Listed, RawFile
from ingest.structured.columns import stated
from ingest.structured.files import Row, as_on_disk, read_rows
from tools.core.errors import InvalidRequestError
from tools.core.text import clean
from tools.postings.contracts import PostingKey

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
"""Bytes of a file that is read as a whole; Upstage's document parser has the same limit."""
SETTLE_SECONDS = 1.0
"""A file that did not change for so long is written to its end."""
MOST_PAGES = 20
"""Longer runs of numbered images are a numbered collection of postings: the most images that a posting on
자소설닷컴 or a board is known to have is far below."""
Files = tuple[Path, ...]
"""The files of one posting, in reading order."""
FileStates = list[tuple[int, int]]
"""What changes while files are written: their sizes in bytes and times of change in nanoseconds."""
_ROWS_AT_ONCE = 200
_FILES_AT_ONCE = 50
_BYTES_AT_ONCE = 4 * 1024 * 1024
_LONGEST_ID = 300
_NUMBERED = re.compile(
    r"(?P<base>.*?\S)(?P<style>[-_]| \()(?P<number>\d{1,3})(?(style)(?P<end>\)?))", re.DOTALL
)
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe is opened without waiting for a writer, and then refused.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EVENT_MILLISECONDS = 500
"""How long the watcher waits for events before it checks whether it should end."""
_TOGETHER_MILLISECONDS = 200
"""Files that arrive within this time of one another are read together."""


class FolderSource:
    """Every posting in a folder and the folders in it.

    Documents are of the source `folder's name`, with the path within the folder as their id (for a posting
    of several images, that of the first). A row of a JSONL or CSV file is a document of its own, under the
    source and source id that it names, so that `ingest load` of the same file means the same postings; a
    row that names no source has the id `path#its id`, and one that cannot be read `path:line`. A removed
    file withdraws nothing: no `Listed` is yielded.

    Passed over are hidden files, `~*`, other kinds of files, and, with a warning in the log, files that
    cannot be read, are too large, or are still being written."""

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

    def documents(self) -> AsyncGenerator[Collected | Listed, None]:
        """Yields what is in the folder, folder by folder. Some documents and the names of one folder's
        files are in memory at a time; everything is read in threads."""
        return self._read(self._all())

    def changed(self, paths: Iterable[Path]) -> AsyncGenerator[Collected | Listed, None]:
        """Yields the documents of the files `paths` that are there and not being written, for a watcher.
        Paths outside the folder are passed over."""
        return self._read(self._of(paths))

    def _all(self) -> Iterator[Files]:
        growing: dict[Files, FileStates] = {}
        folders = [self.root]
        while folders:
            inner, listed = _listed(folders.pop(), self.root)
            folders += reversed(inner)
            yield from (files for files in listed if not _grows(files, growing))
        yield from _settled(growing)

    def _of(self, paths: Iterable[Path]) -> Iterator[Files]:
        names: dict[Path, set[str]] = {}
        # A folder may have been moved here whole.
        files_of = (path.rglob("*") if path.is_dir() else [path] for path in paths)
        for file in itertools.chain.from_iterable(files_of):
            folder = file.parent.resolve()
            parts = folder.relative_to(self.root).parts if folder.is_relative_to(self.root) else (".",)
            if not any(part.startswith((".", "~")) for part in parts):
                names.setdefault(folder, set()).add(file.name)
        growing: dict[Files, FileStates] = {}
        for folder, wanted in names.items():
            for files in _listed(folder, self.root)[1]:
                if wanted.intersection(file.name for file in files):
                    growing[files] = _states(files)
        yield from _settled(growing)

    async def _read(self, listed: Iterator[Files]) -> AsyncGenerator[Collected | Listed, None]:
        while read := await asyncio.to_thread(self._read_some, listed):
            for document in read:
                if isinstance(document, Collected):
                    yield document
                    continue
                async with contextlib.aclosing(self._rows(document)) as rows_of_file:
                    async for row in rows_of_file:
                        yield row

    def _read_some(self, listed: Iterator[Files]) -> list[Collected | Path]:
        """Reads the next few postings; a file of rows is returned to be read row by row. A thread for each
        small file would cost four times as much as reading it."""
        read: list[Collected | Path] = []
        size = 0
        for files in listed:
            if files[0].suffix.lower() in ROWS:
                read.append(files[0])
                break
            if document := self._pages(files):
                read.append(document)
                size += sum(len(file.content) for file in document.files)
            if size > _BYTES_AT_ONCE or len(read) == _FILES_AT_ONCE:
                break
        return read

    def _pages(self, files: Files) -> Collected | None:
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
        rows = read_rows(file, lambda name, _: open_within(self.root, Path(name)))
        try:
            while read := await asyncio.to_thread(list, itertools.islice(rows, _ROWS_AT_ONCE)):
                for row in read:
                    yield self._row(path, row, provenance)
        except InvalidRequestError as error:
            logger.warning("rest of file passed over", extra={"file": str(file), "problem": error.message})
        finally:
            # Closes the file, also when the consumer leaves early.
            await asyncio.to_thread(rows.close)

    def _row(self, path: str, row: Row, provenance: dict[str, Any]) -> Collected:
        """Returns a row as a document: JSON that `as_posting` reads, or refuses with its reason."""
        source, source_id = self._source, _short(f"{path}:{row.line}")
        content = orjson.dumps(row.value) if row.problem is None else (row.text or "").encode()
        if isinstance(row.value, dict):
            value = stated(row.value)
            if "source" not in value and "source_id" in value:
                value["source_id"] = _short(f"{path}#{value['source_id']}")
            value = {"source": self._source, **value}
            names = {name: value[name] for name in ("source", "source_id") if name in value}
            with contextlib.suppress(ValidationError):
                key = PostingKey.model_validate(names)
                source, source_id = key.source, key.source_id
            content = orjson.dumps(value)
        if row.lost:
            logger.warning("cells without a column", extra={"row": f"{path}:{row.line}", "cells": row.lost})
        file = RawFile(f"{path}:{row.line}", "application/json", content)
        return Collected(source, source_id, (file,), provenance={**provenance, "line": row.line})

    def _id(self, file: Path) -> str:
        return _short(_storable(file.relative_to(self.root).as_posix()))


class WatchedFolder:
    """A folder's documents, and then each that arrives. Where a file system reports no changes (some
    network mounts), set WATCHFILES_FORCE_POLLING=true."""

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
            paths = [Path(path) for change, path in changes if change != Change.deleted]
            async with contextlib.aclosing(self._folder.changed(paths)) as arrived:
                async for document in arrived:
                    yield document


def pages_by_posting(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Returns the image files `names` of a folder by posting, each with its pages in reading order.

    `poster-1.webp, poster-2.webp` are two pages of one posting; so are `_1`, ` (1)`, and `poster.webp,
    poster (1).webp`, as browsers name downloads. The numbers run without a gap from 0 or 1 (after an
    unnumbered page, from 1 or 2). Everything else is a posting by itself."""
    names = sorted(names)
    unnumbered = {clean(PurePath(name).stem): name for name in reversed(names)}
    runs: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        match = _NUMBERED.fullmatch(clean(PurePath(name).stem))
        if match and (match["end"] == ")") == (match["style"] == " ("):
            runs[match["base"], match["style"]].append((int(match["number"]), name))
    together: list[tuple[str, ...]] = []
    for (base, _), numbered in runs.items():
        together += _pages_of_run(sorted(numbered), unnumbered.get(base))
    taken = {name for pages in together for name in pages}
    return sorted([*together, *((name,) for name in names if name not in taken)])


def _pages_of_run(numbered: list[tuple[int, str]], first: str | None) -> list[tuple[str, ...]]:
    """Returns the postings that a run of numbered files makes, after `first`, the unnumbered one."""
    numbers = [number for number, _ in numbered]
    if len(set(numbers)) < len(numbers):
        # One page in several formats: each format is a run of its own.
        formats: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, name in numbered:
            formats[PurePath(name).suffix.lower()].append((number, name))
        if any(len({n for n, _ in run}) < len(run) for run in formats.values()):
            return []
        return [pages for run in formats.values() for pages in _pages_of_run(run, None)]
    starts = (0, 1) if first is None else (1, 2)
    whole = numbers[0] in starts and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    pages = (*((first,) if first else ()), *(name for _, name in numbered))
    return [pages] if whole and 1 < len(pages) <= MOST_PAGES else []


def open_within(root: Path, path: Path) -> int:
    """Returns a file descriptor of the regular file `path`, which is in `root` (a real path), or is a link
    to a file there.

    After the path was checked, the file or a folder above it can be replaced by a link that leads out of
    the folder, a pipe that never ends, or a device. So every name on the way is opened by itself, none of
    them may be a link, and what was opened is checked.

    Raises:
        OSError: it is gone, is no regular file, or leads out of the folder.
    """
    try:
        real = path.resolve()
    except RuntimeError as error:
        raise OSError("is a circle of links") from error
    if not real.is_relative_to(root):
        raise OSError(f"leads out of {root}")
    *folders, name = real.relative_to(root).parts or (".",)
    parent = os.open(root, _OPEN_FOLDER)
    try:
        for folder in folders:
            inner = os.open(folder, _OPEN_FOLDER, dir_fd=parent)
            os.close(parent)
            parent = inner
        file = os.open(name, _OPEN_FILE, dir_fd=parent)
    finally:
        os.close(parent)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError("is no regular file")
    return file


def read_within(root: Path, path: Path, largest: int) -> bytes:
    """Returns the content of a file that `open_within` opens.

    Raises:
        OSError: as `open_within`, or it has more than `largest` bytes, or grows meanwhile.
    """
    with os.fdopen(open_within(root, path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise OSError(f"larger than {largest} bytes")
        content = file.read(size + 1)
        if len(content) > size:
            raise OSError("is still being written")
    return content


def _listed(folder: Path, root: Path) -> tuple[list[Path], Iterator[Files]]:
    """Returns the folders in `folder`, and its files by posting, both in the order of their names."""
    folders: list[str] = []
    images: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "~")):
                    continue
                # A link to a folder is not followed: it may lead outside, or back here.
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif _wanted(entry, root):
                    (images if PurePath(entry.name).suffix.lower() in IMAGES else others).append(entry.name)
    except OSError as error:
        logger.warning("folder passed over", extra={"folder": str(folder), "problem": str(error)})
    groups = sorted([*pages_by_posting(images), *((name,) for name in others)])
    return [folder / name for name in sorted(folders)], (tuple(folder / n for n in names) for names in groups)


def _wanted(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether this is a regular file of a kind that is read, and no link out of the folder."""
    if PurePath(entry.name).suffix.lower() not in IMAGES.keys() | PAGES.keys() | ROWS:
        return False
    try:
        return entry.is_file() and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root))
    except (OSError, RuntimeError) as error:
        logger.warning("file passed over", extra={"file": entry.path, "problem": str(error)})
        return False


def _states(files: Files) -> FileStates:
    states = []
    for file in files:
        with contextlib.suppress(OSError):
            state = file.stat()
            states.append((state.st_size, state.st_mtime_ns))
    return states


def _grows(files: Files, growing: dict[Files, FileStates]) -> bool:
    """Whether one of the files was changed within the last second; if so, their states go to `growing`. So
    it is with a time of change in the future, by another machine's clock."""
    states = _states(files)
    newest = max((changed for _, changed in states), default=0)
    if time_ns() - newest >= SETTLE_SECONDS * 1e9:
        return False
    growing[files] = states
    return True


def _settled(growing: dict[Files, FileStates]) -> Iterator[Files]:
    """Waits for SETTLE_SECONDS and yields the files that have not changed meanwhile."""
    if growing:
        sleep(SETTLE_SECONDS)
    for files, states in growing.items():
        if _states(files) == states:
            yield files
        else:
            logger.warning("file is still being written", extra={"file": str(files[0])})


def _provenance(file: Path) -> dict[str, Any]:
    return {"url": file.as_uri(), "fetched_at": datetime.now(UTC).isoformat()}


def _storable(name: str) -> str:
    """Returns a file's name as text that every database takes: composed as on all systems, with surrogates
    and control characters written out."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return clean("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


def _short(name: str) -> str:
    if len(name) <= _LONGEST_ID:
        return name
    return f"{name[: _LONGEST_ID - 17]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
