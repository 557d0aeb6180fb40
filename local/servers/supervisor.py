"""The supervisor: one small process for each server of a home, from its first user to its last.

`python -m local.servers.supervisor SERVER HOME FD`, started by `local.servers.lease`, which passes the file
descriptor of the supervisor's lock, already locked, so that two can never run at once. It starts the server,
restarts it when it dies, and waits for the lock that all users share. When it gets that lock there is no user
left: it stops the server and ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

from local.servers.files import (
    Phase,
    Running,
    ServerFiles,
    StartError,
    State,
    open_lock,
    read_state,
    remove_short_folder,
    server_files,
    still_at,
    try_lock,
    write_state,
)
from local.servers.model import Model
from local.servers.postgres import Postgres
from local.servers.process import send, start_token
from local.servers.redis import Redis
from local.servers.spec import Launch, Ready, Report, ServerSpec, connects
from tools.core.processes import stop_ignoring_signals

POLL_SECONDS = 0.02
HEARTBEAT_SECONDS = 1.0
"""How often an adopted server, whose end no signal announces, is checked."""
REMOVED_SECONDS = 2.0
"""How long a server may take to stop when its home was removed: it has nowhere to save to."""
RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0

logger = logging.getLogger("supervisor")


class _WokenError(Exception):
    """A signal arrived while the supervisor waited for its users to leave."""


class Supervisor:
    """Starts, watches and stops one server."""

    def __init__(self, files: ServerFiles, spec: ServerSpec, lock: int) -> None:
        self._files = files
        self._spec = spec
        self._lock = lock
        self._users = open_lock(files.users)
        self._running: Running | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._stopping = False
        self._waiting = False
        self._restarts: deque[float] = deque(maxlen=RESTARTS)

    def run(self) -> int:
        """Keeps the server running until nobody uses it; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, self._on_wake)
        signal.signal(signal.SIGALRM, self._on_wake)
        try:
            self._supervise()
        except StartError as error:
            logger.exception("%s cannot be kept running", self._files.server)
            self._stop()
            self._write_state("failed", error=str(error))
            return 1
        finally:
            self._stop()
            if self._address:
                remove_short_folder(Path(self._address).parent)
        if still_at(self._lock, self._files.supervisor):
            self._write_state("stopped")
        return 0

    def _supervise(self) -> None:
        before = self._adopt()
        if self._running is None:
            if try_lock(self._users):
                # Its user is gone already, or only wanted a server stopped that was left behind.
                return
            self._start(before)
        self._write_state("ready")
        self._watch()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        logger.warning("told to stop by signal %d", number)
        self._stopping = True
        self._on_wake(number, frame)

    def _on_wake(self, number: int, frame: FrameType | None) -> None:
        if self._waiting:
            raise _WokenError

    def _adopt(self) -> Running | None:
        """Takes over the server of a killed supervisor, or ends it when it does not answer.

        Returns the server that ran last, running or not.
        """
        state = read_state(self._files.state)
        before = state.running if state is not None else None
        orphan = before if before is not None and _alive(before) else self._spec.find()
        if orphan is None:
            return before
        self._running = orphan
        if orphan.url and connects(orphan.address):
            self._address = orphan.address
            logger.warning("adopted the running %s, process %d", orphan.program, orphan.pid)
        else:
            logger.warning("%s, process %d, was left behind and is stopped", orphan.program, orphan.pid)
            self._stop()
        return before

    def _start(self, before: Running | None) -> None:
        report = Report()
        failures: list[str] = []
        for launch in self._spec.launches(before, report):
            try:
                self._launch(launch, report)
            except StartError as error:
                logger.warning("%s did not start: %s", launch.program, error)
                self._stop()
                failures.append(f"{launch.program}: {error}")
                report.rejected.append(failures[-1])
            else:
                for rejected in report.rejected:
                    logger.warning("rejected: %s", rejected)
                return
        raise StartError("; ".join(failures))

    def _launch(self, launch: Launch, report: Report) -> None:
        logger.info("starting %s", shlex.join(launch.argv))
        printed = self._files.log.stat().st_size
        try:
            self._child = subprocess.Popen(  # noqa: S603
                launch.argv,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **launch.environment},
            )
        except OSError as error:
            raise StartError(f"{launch.argv[0]} cannot be run: {error}") from error
        pid = self._child.pid
        self._running = Running(launch.program, pid, start_token(pid) or "", **asdict(report))
        # Written before it is ready: should the supervisor be killed now, the next one finds the server.
        self._write_state("starting")
        ready = self._wait_until_ready(pid, printed)
        self._running = replace(self._running, **asdict(ready))
        self._address = ready.address
        logger.info("%s %s is ready at %s", launch.program, ready.version, ready.url)

    def _wait_until_ready(self, pid: int, printed: int) -> Ready:
        deadline = time.monotonic() + self._spec.start_seconds
        while time.monotonic() < deadline and not self._stopping:
            output = self._output(printed)
            if not self._alive():
                raise StartError(f"it ended at once; it said:\n{_tail(output)}")
            if (ready := self._spec.ready(pid, output)) is not None:
                return ready
            time.sleep(POLL_SECONDS)
        if self._stopping:
            raise StartError("told to stop while it was starting")
        raise StartError(
            f"not ready within {self._spec.start_seconds:.0f} s; it said:\n{_tail(self._output(printed))}"
        )

    def _output(self, since: int) -> str:
        with self._files.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def _watch(self) -> None:
        """Returns when nobody uses the server any more, or when told to stop."""
        signal.setitimer(signal.ITIMER_REAL, HEARTBEAT_SECONDS, HEARTBEAT_SECONDS)
        try:
            while not self._stopping:
                if not self._alive():
                    self._restart()
                if self._nobody_left():
                    logger.info("the last user has left")
                    return
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _nobody_left(self) -> bool:
        """Waits for the users' lock; False when a signal came first.

        A signal that arrives just before `flock` blocks is noticed at the next heartbeat.
        """
        try:
            self._waiting = True
            if self._stopping or not self._alive():
                return False
            fcntl.flock(self._users, fcntl.LOCK_EX)
        except _WokenError:
            return False
        finally:
            self._waiting = False
        return True

    def _restart(self) -> None:
        if not still_at(self._lock, self._files.supervisor):
            raise StartError("the home was removed")
        now = time.monotonic()
        if len(self._restarts) == RESTARTS and now - self._restarts[0] < RESTART_WINDOW_SECONDS:
            raise StartError(
                f"its server has died {RESTARTS + 1} times within {RESTART_WINDOW_SECONDS:.0f} s"
            )
        self._restarts.append(now)
        dead, self._running = self._running, None
        logger.error("the server has died and is started again")
        self._start(dead)
        self._write_state("ready")

    def _alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self._running is not None and _alive(self._running)

    def _stop(self) -> None:
        """Stops the server, if there is one; it is killed when it does not end in time."""
        running = self._running
        if running is not None and self._alive():
            logger.info("stopping %s, process %d", running.program, running.pid)
            self._spec.request_stop(running)
            time_limit = (
                self._spec.stop_seconds if still_at(self._lock, self._files.supervisor) else REMOVED_SECONDS
            )
            deadline = time.monotonic() + time_limit
            while self._alive() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if self._alive():
                logger.warning("%s did not stop within %.0f s and is killed", running.program, time_limit)
                send(running.pid, running.start_token, signal.SIGKILL)
                if self._child is not None:
                    self._child.wait()
        self._running = self._child = None

    def _write_state(self, phase: Phase, error: str | None = None) -> None:
        try:
            write_state(self._files.state, State(phase, os.getpid(), self._running, error))
        except OSError as problem:
            raise StartError(f"{self._files.state} cannot be written: {problem}") from problem


def _tail(output: str, lines: int = 12) -> str:
    return "\n".join(output.strip().splitlines()[-lines:]) or "(nothing)"


def _alive(server: Running) -> bool:
    return start_token(server.pid) == server.start_token


SPECS: dict[str, Callable[[ServerFiles], ServerSpec]] = {"postgres": Postgres, "redis": Redis, "model": Model}


def main(server: str, home: str, lock: str) -> int:
    """Supervises `server` of `home`; `lock` is the number of the inherited file descriptor."""
    # The starter must not be the parent: it would have to reap this process, and may itself end first.
    if os.fork():
        os._exit(0)
    os.set_inheritable(int(lock), False)
    # The server is stopped by signals, whatever the shell of its first user ignores.
    stop_ignoring_signals()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    files = server_files(server, Path(home))
    try:
        return Supervisor(files, SPECS[server](files), int(lock)).run()
    except StartError as error:
        logger.exception("%s cannot be kept running", server)
        write_state(files.state, State("failed", os.getpid(), error=str(error)))
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
