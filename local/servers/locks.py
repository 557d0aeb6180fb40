"""Advisory file locks: the kernel frees them when their holder dies, by whatever signal."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_OPEN: set[int] = set()


def open_lock(path: Path) -> int:
    """A new file descriptor to lock `path` by; programs that are started do not inherit it.

    Raises:
        OSError: when the file cannot be created or written.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _OPEN.add(fd)
    return fd


def close_lock(fd: int) -> None:
    """Frees the lock of `fd`, unless another process shares it."""
    _OPEN.discard(fd)
    os.close(fd)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Locks at once or not at all. Changing a lock's kind that fails loses the lock."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    """Frees the lock and keeps the file descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def still_at(fd: int, path: Path) -> bool:
    """Whether `path` is still the file that `fd` locks: a removed home is no longer ours."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _close_all_in_child() -> None:
    """A forked child must not keep alive what its parent has left."""
    for fd in _OPEN:
        os.close(fd)
    _OPEN.clear()


os.register_at_fork(after_in_child=_close_all_in_child)
