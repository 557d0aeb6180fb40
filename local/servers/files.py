"""What a home has of one embedded server on its disk: data, locks, state and log."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SOCKET_PATH_BYTES = 103
"""Longest path of a Unix socket, bytes: 107 on Linux, 103 on macOS."""
Phase = Literal["starting", "ready", "stopped", "failed"]
_SHORT_FOLDER = "checkerboard-"


class StartError(Exception):
    """The server cannot be started; the message says why and what to do."""


@dataclass(frozen=True)
class ServerFiles:
    """The files of one server (`postgres`, `redis` or `model`) under one home."""

    server: str
    home: Path
    """Absolute, symbolic links resolved: two spellings of a home are one service."""

    @property
    def run(self) -> Path:
        """Folder of the locks, states and logs of all servers."""
        return self.home / "run"

    @property
    def users(self) -> Path:
        """Lock that every user shares; the supervisor waits until it can have it alone."""
        return self.run / f"{self.server}.users"

    @property
    def supervisor(self) -> Path:
        """Lock that a living supervisor holds alone."""
        return self.run / f"{self.server}.supervisor"

    @property
    def state(self) -> Path:
        """JSON written by the supervisor: see `State`."""
        return self.run / f"{self.server}.state.json"

    @property
    def log(self) -> Path:
        """What the supervisor and its server print."""
        return self.run / f"{self.server}.log"

    @property
    def secret(self) -> Path:
        """What opens the server's controls, where it has some."""
        return self.run / f"{self.server}.secret"

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.home / self.server

    def create(self) -> None:
        """Makes the folders.

        Raises:
            OSError: the home cannot be written.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)

    def socket_folder(self, preferred: Path, name: str, owner: tuple[int, int] | None = None) -> Path:
        """Returns `preferred` where a socket `name` fits in it, else a short private folder outside the home.

        Args:
            owner: user and group id of the server, when that is not the caller.

        Raises:
            StartError: somebody else has taken the short folder.
        """
        if len(os.fsencode(preferred / name)) <= SOCKET_PATH_BYTES:
            return preferred
        uid, gid = owner or (os.geteuid(), os.getegid())
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"{_SHORT_FOLDER}{uid}-{digest}-{self.server}"
        if len(os.fsencode(folder / name)) > SOCKET_PATH_BYTES:
            raise StartError(
                f"both {preferred} and {folder} are too long for a Unix socket; "
                "set CHECKERBOARD_HOME or TMPDIR to a shorter folder"
            )
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if os.geteuid() == 0 and status.st_uid == 0 and uid != 0:
            os.chown(folder, uid, gid, follow_symlinks=False)
            status = folder.lstat()
        # The name can be guessed: a folder that somebody else made is not to be trusted.
        if folder.is_symlink() or status.st_uid != uid or status.st_mode & 0o077:
            raise StartError(
                f"{folder} belongs to somebody else; remove it or set CHECKERBOARD_HOME to a shorter folder"
            )
        return folder


def server_files(server: str, home: Path) -> ServerFiles:
    """Returns the files of `server` under `home`, whatever the caller's working folder is."""
    return ServerFiles(server, home.expanduser().resolve())


def remove_short_folder(folder: Path) -> None:
    """Removes a folder that `socket_folder` has made outside the home, once it is empty."""
    if folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith(_SHORT_FOLDER):
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Yields a new home for a demo or a measurement, and removes it at the end. Every user of the machine
    can reach it, since root's PostgreSQL runs as a user of its own."""
    with tempfile.TemporaryDirectory(prefix=f"{_SHORT_FOLDER}home-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


# State: what a supervisor tells the users of its server, as one small JSON file.


@dataclass(frozen=True)
class Running:
    """A server that was started."""

    program: str
    """Which program it is: `postgres`, `redis-stack`, `valkey` or `offline`."""
    pid: int
    start_token: str
    """`local.servers.process.start_token` of the pid."""
    url: str = ""
    """What clients connect to; empty until it is ready."""
    address: str = ""
    """Path of its Unix socket, or `host:port`."""
    version: str = ""
    rejected: list[str] = field(default_factory=list)
    """The programs that would have been preferred to this one, each with why it was not taken."""
    warnings: list[str] = field(default_factory=list)
    """What whoever started it must know, such as data that changed its owner."""


@dataclass(frozen=True)
class State:
    """The phase a server is in, and its process where one was started and not yet stopped."""

    phase: Phase
    supervisor: int
    """Process id of the supervisor that wrote this."""
    running: Running | None = None
    error: str | None = None
    """With `failed`: why, and what to do."""


def write_state(path: Path, state: State) -> None:
    """Replaces the file at once.

    Raises:
        OSError: the disk is full or the folder read-only.
    """
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(asdict(state), indent=1))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_state(path: Path) -> State | None:
    """Returns the last state; None when there is none, or when the file is damaged."""
    try:
        raw: Any = json.loads(path.read_text())
        running = raw.pop("running")
        state = State(**raw, running=None if running is None else Running(**running))
        pids = [state.supervisor, *([state.running.pid] if state.running else [])]
        return state if all(isinstance(pid, int) and pid > 0 for pid in pids) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


# Locks: the kernel frees them when their holder dies, by whatever signal.

_OPEN: set[int] = set()


def open_lock(path: Path) -> int:
    """Returns a new file descriptor to lock `path` by; programs that are started do not inherit it.

    Raises:
        OSError: the file cannot be created or written.
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
    """Whether `path` is still the file that `fd` locks; it is not when the home was removed."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _close_all_in_child() -> None:
    """A forked child must not keep a lock that its parent has given up."""
    for fd in _OPEN:
        os.close(fd)
    _OPEN.clear()


os.register_at_fork(after_in_child=_close_all_in_child)
