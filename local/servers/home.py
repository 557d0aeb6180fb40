"""Where an embedded part keeps its data, locks, state and log under a home."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_BYTES = 103
"""Longest path of a Unix socket, bytes: 107 on Linux, 103 on macOS."""
_SHORT_FOLDER = "checkerboard-"


class StartError(Exception):
    """The part cannot be started; the message says why and what to do."""


@dataclass(frozen=True)
class PartHome:
    """The files of one part (`postgres`, `redis` or `model`) under one home."""

    part: str
    home: Path
    """Absolute, symbolic links resolved: two spellings of a home are one service."""

    @property
    def run(self) -> Path:
        """Folder of locks, states and logs of all parts."""
        return self.home / "run"

    @property
    def users(self) -> Path:
        """Lock that every user shares and that the keeper waits for."""
        return self.run / f"{self.part}.users"

    @property
    def keeper(self) -> Path:
        """Lock that a living keeper holds alone."""
        return self.run / f"{self.part}.keeper"

    @property
    def state(self) -> Path:
        """JSON written by the keeper: see `local.servers.state`."""
        return self.run / f"{self.part}.state.json"

    @property
    def log(self) -> Path:
        """What the keeper and its server print."""
        return self.run / f"{self.part}.log"

    @property
    def secret(self) -> Path:
        """What opens the part's controls, where it has some."""
        return self.run / f"{self.part}.secret"

    @property
    def data(self) -> Path:
        """What the part keeps for ever."""
        return self.home / self.part

    def create(self) -> None:
        """Makes the folders.

        Raises:
            OSError: when the home cannot be written.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)

    def socket_folder(self, preferred: Path, name: str, owner: tuple[int, int] | None = None) -> Path:
        """`preferred` where a socket `name` fits in it, else a short private folder outside the home.

        Args:
            owner: user and group id of the server, when that is not the caller.

        Raises:
            StartError: when somebody else has taken the short folder.
        """
        if len(os.fsencode(preferred / name)) <= SOCKET_PATH_BYTES:
            return preferred
        uid, gid = owner or (os.geteuid(), os.getegid())
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"{_SHORT_FOLDER}{uid}-{digest}-{self.part}"
        if len(os.fsencode(folder / name)) > SOCKET_PATH_BYTES:
            raise StartError(
                f"both {preferred} and {folder} are too long for a Unix socket; "
                "set CHECKERBOARD_HOME or TMPDIR to a shorter folder"
            )
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if os.geteuid() == 0 and found.st_uid == 0 and uid != 0:
            os.chown(folder, uid, gid, follow_symlinks=False)
            found = folder.lstat()
        # The name can be guessed: a folder that somebody else made is not to be trusted.
        if folder.is_symlink() or found.st_uid != uid or found.st_mode & 0o077:
            raise StartError(
                f"{folder} belongs to somebody else; remove it or set CHECKERBOARD_HOME to a shorter folder"
            )
        return folder

    def remove_short_folder(self, folder: Path) -> None:
        """Removes a folder that `socket_folder` has made outside the home, once it is empty."""
        if folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith(_SHORT_FOLDER):
            with suppress(OSError):
                folder.rmdir()


def part_home(part: str, home: Path) -> PartHome:
    """The files of `part` under `home`, wherever the caller stands."""
    return PartHome(part, home.expanduser().resolve())


@contextmanager
def passing_home() -> Iterator[Path]:
    """Yields a new home, and removes it at the end: what a demo or a measurement makes gets among nobody's
    data. Every user of the machine can reach it, since root's PostgreSQL runs as a user of its own."""
    with tempfile.TemporaryDirectory(prefix=f"{_SHORT_FOLDER}home-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
