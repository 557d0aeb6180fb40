"""Opening files of a folder and nothing else, whatever is put in their place meanwhile.

Between the look at a file and its reading it, or a folder above it, can be made a link that leads out of
the folder, a pipe that never ends, or a device. So every name on the way is opened by itself, none of them
may be a link, and what was opened is looked at, not what was there before.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe is opened without waiting for who writes into it, and then refused.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_within(root: Path, path: Path) -> int:
    """Returns a file descriptor of the regular file `path`, which is in `root` (a real path), or is a link
    to a file there.

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
    at = os.open(root, _FOLDER)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        found = os.open(name, _FILE, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError("is no regular file")
    return found


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
