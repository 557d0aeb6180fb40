"""A user's side of a server: join it, starting its supervisor when none lives, and leave it."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from local.servers.files import (
    Running,
    ServerFiles,
    State,
    close_lock,
    open_lock,
    read_state,
    try_lock,
    unlock,
    write_state,
)
from local.servers.spec import connects
from tools.core.errors import SetupError
from tools.core.processes import minimal_environment

LEAVE_SECONDS = 60.0
"""More than any server's `stop_seconds`: the last user waits until it has stopped."""
LOG_BYTES = 4_000_000
"""Size at which a log is moved away when the next supervisor starts."""
FULL_DISK_BYTES = 64_000_000
_POLL_SECONDS = 0.01
_CODE_ROOT = Path(__file__).resolve().parents[2]
_BEHAVIOUR = "CHECKERBOARD_OFFLINE_BEHAVIOUR"

logger = logging.getLogger(__name__)


class Lease:
    """One user's share in one server. Call `poll` until it returns the server; then `release`, and `leave`
    or `close`."""

    def __init__(self, files: ServerFiles) -> None:
        self._files = files
        self._users_lock: int | None = None
        self._counted = False
        """Whether the supervisor counts this user: the shared lock is held."""
        self._starter: subprocess.Popen[bytes] | None = None
        self._started = False
        self._log_offset = 0

    @property
    def logs(self) -> Path:
        """The folder of the logs of all servers of this home."""
        return self._files.run

    def poll(self) -> Running | None:
        """Returns the server once it serves; None before, and the caller asks again in a moment.

        Raises:
            SetupError: it does not start, or the home cannot be written.
        """
        try:
            if self._users_lock is None:
                self._files.create()
                self._users_lock = open_lock(self._files.users)
            # It cannot have this lock while a supervisor stops its server: that is waited for.
            self._counted = self._counted or try_lock(self._users_lock, shared=True)
            if not self._counted:
                return None
            if (lock := self._free_supervisor_lock()) is None:
                return self._serving()
            self._start_supervisor(lock)
        except OSError as error:
            raise SetupError(
                f"The embedded {self._files.server} cannot use {self._files.home}: {error}. Set "
                "CHECKERBOARD_HOME to a folder that you can write to and whose disk has room."
            ) from error
        return None

    def _free_supervisor_lock(self) -> int | None:
        """Returns the supervisor's lock, taken; None when a supervisor lives."""
        lock = open_lock(self._files.supervisor)
        if try_lock(lock):
            return lock
        close_lock(lock)
        return None

    def _serving(self) -> Running | None:
        state = read_state(self._files.state)
        if state is None or state.phase != "ready" or state.running is None:
            return None
        if not connects(state.running.address):
            return None
        if self._started:
            for warning in state.running.warnings:
                logger.warning("the embedded %s: %s", self._files.server, warning)
        return state.running

    def _start_supervisor(self, lock: int) -> None:
        """Starts a supervisor, which inherits the lock.

        Raises:
            SetupError: the supervisor that was started before has ended.
        """
        try:
            before = read_state(self._files.state)
            if self._started:
                raise SetupError(self._failure(before))
            # The server's record stays: the new supervisor checks whether it still runs.
            write_state(
                self._files.state,
                replace(before, phase="starting", error=None) if before else State("starting", os.getpid()),
            )
            self._reap()
            self._starter = self._spawn(lock)
            self._started = True
        finally:
            close_lock(lock)

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        log = self._files.log
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self._log_offset = output.tell()
            return subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    "-m",
                    "local.servers.supervisor",
                    self._files.server,
                    str(self._files.home),
                    str(lock),
                ],
                # A folder with another package `tools` in it must not come first on the path.
                cwd=_CODE_ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                start_new_session=True,
            )

    def _failure(self, state: State | None) -> str:
        home = self._files.home
        if shutil.disk_usage(home).free < FULL_DISK_BYTES:
            reason = f"the disk of {home} is full; free some space, or set CHECKERBOARD_HOME to another disk"
        elif state is not None and state.error:
            reason = state.error
        else:
            with self._files.log.open("rb") as log:
                log.seek(self._log_offset)
                last = log.read().decode(errors="replace").strip().splitlines()[-5:]
            reason = "its supervisor ended: " + (" / ".join(last) or "it printed nothing")
        return (
            f"The embedded {self._files.server} could not be started: {reason}. Its log is {self._files.log}."
        )

    def release(self) -> bool:
        """Stops being counted as a user; returns whether there was no other user at that moment."""
        self._reap()
        if self._users_lock is None or not self._counted:
            return False
        self._counted = False
        alone = try_lock(self._users_lock)
        unlock(self._users_lock)
        return alone

    def leave(self) -> None:
        """Waits until the supervisor has stopped the server, at most `LEAVE_SECONDS`, unless others use it.

        Call `release` first. When the supervisor was killed, another is started to stop the server.
        """
        deadline = time.monotonic() + LEAVE_SECONDS
        self._started = False
        try:
            while time.monotonic() < deadline and not self._used_by_others():
                if (lock := self._free_supervisor_lock()) is None:
                    time.sleep(_POLL_SECONDS)
                    continue
                state = read_state(self._files.state)
                if state is None or state.running is None:
                    close_lock(lock)
                    return
                self._start_supervisor(lock)
        except (OSError, SetupError) as error:
            # Raising would hide the caller's own error; the next user stops or adopts what is left.
            logger.warning("the embedded %s may still run: %s", self._files.server, error)
        finally:
            self.close()

    def _used_by_others(self) -> bool:
        """Whether somebody else holds the shared lock; a supervisor that is stopping does not count."""
        if self._users_lock is None:
            return True
        if not try_lock(self._users_lock, shared=True):
            return False
        alone = try_lock(self._users_lock)
        unlock(self._users_lock)
        return not alone

    def close(self) -> None:
        """Frees the lock without waiting for anything."""
        self._reap()
        if self._users_lock is not None:
            close_lock(self._users_lock)
            self._users_lock = None
            self._counted = False

    def _reap(self) -> None:
        """Waits for the process that has put the supervisor into the background; it ends at once."""
        if self._starter is not None:
            self._starter.wait()
            self._starter = None


def _environment() -> dict[str, str]:
    """Returns what a server gets of the caller's environment: no keys, and no setting such as PGPORT."""
    # The language of the machine may not be installed, and must not decide how text is sorted.
    kept = minimal_environment(LC_ALL="C.UTF-8" if sys.platform == "linux" else "C")
    kept.pop("LANG", None)
    return kept | {name: os.environ[name] for name in (_BEHAVIOUR,) if name in os.environ}
