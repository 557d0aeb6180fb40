"""Folders for the data of embedded servers that tests start."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at before it is used
_ROOM_BYTES = 2_000_000_000
_PREFIX = "ckb-test-"


@cache
def ground() -> Path:
    """Where such folders are made: in memory where there is room, since a server that writes to a
    disk mostly waits for it; else the temporary folder.

    Not under pytest's own folder: each new run of pytest closes that one to other users, and the
    PostgreSQL of a run that root started would lose its data from under it.
    """
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        if (
            [str(_MEMORY), "tmpfs"] in mounts
            and os.access(_MEMORY, os.W_OK | os.X_OK)
            and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
        ):
            return _MEMORY
    except OSError:
        pass
    return Path(tempfile.gettempdir())


def new_folder() -> Path:
    """A new folder on that ground, which every user of the machine can reach: run by root, PostgreSQL
    belongs to a user of its own."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=ground())).resolve()
    folder.chmod(0o755)
    return folder


def remove_abandoned_folders() -> None:
    """Removes what a test run that was killed has left: memory is too good for it."""
    for folder in ground().glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def passing_folder() -> Iterator[Path]:
    """A new folder that is removed in the end."""
    folder = new_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
