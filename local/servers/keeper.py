"""The keeper: one small process for each part and home, from its first user to its last.

`python -m local.servers.keeper PART HOME FD`, started by `local.servers.membership`, which passes
the locked file descriptor of the keeper's lock: there is never a moment in which two keepers could
start. It runs the part's server, restarts it when it dies, and waits for the lock that all users
share; the day it gets it, nobody is left, and it stops the server and ends.
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
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

from local.servers.home import PartHome, StartError, part_home
from local.servers.locks import open_lock, still_at, try_lock
from local.servers.model import ModelPart
from local.servers.parts import Answer, Launch, Part, Report, connects
from local.servers.postgres import PostgresPart
from local.servers.process import birth, send
from local.servers.redis import RedisPart
from local.servers.state import Phase, Running, State, read_state, write_state
from tools.core.processes import stop_ignoring_signals

POLL_SECONDS = 0.02
HEARTBEAT_SECONDS = 1.0
"""How often an adopted server, whose end no signal tells, is looked after."""
REMOVED_SECONDS = 2.0
"""How long a server may take to stop when its home was removed: there is nothing to save to."""
RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0

logger = logging.getLogger("keeper")


class _WokenError(Exception):
    """A signal arrived while the keeper waited for its users to leave."""


class Keeper:
    """Starts, watches and stops the server of one part."""

    def __init__(self, files: PartHome, part: Part, lock: int) -> None:
        self._files = files
        self._part = part
        self._lock = lock
        self._users = open_lock(files.users)
        self._running: Running | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._told_to_stop = False
        self._waiting = False
        self._restarts: deque[float] = deque(maxlen=RESTARTS)

    def run(self) -> int:
        """Keeps the part until nobody uses it; the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, self._on_news)
        signal.signal(signal.SIGALRM, self._on_news)
        try:
            self._keep()
        except StartError as error:
            logger.exception("%s cannot be kept", self._files.part)
            self._stop()
            self._tell("failed", error=str(error))
            return 1
        finally:
            self._stop()
            if self._address:
                self._files.remove_short_folder(Path(self._address).parent)
        if still_at(self._lock, self._files.keeper):
            self._tell("stopped")
        return 0

    def _keep(self) -> None:
        before = self._adopt()
        if self._running is None:
            if try_lock(self._users):
                # Whoever wanted the server is gone already, or only wanted the last one stopped.
                return
            self._start(before)
        self._tell("ready")
        self._watch()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        logger.warning("told to stop by signal %d", number)
        self._told_to_stop = True
        self._on_news(number, frame)

    def _on_news(self, number: int, frame: FrameType | None) -> None:
        if self._waiting:
            raise _WokenError

    def _adopt(self) -> Running | None:
        """Takes over the server that a killed keeper has left, or ends it when it does not answer.

        Returns:
            The server that ran last, running or not.
        """
        state = read_state(self._files.state)
        before = state.running if state is not None else None
        left = before if before is not None and birth(before.pid) == before.born else self._part.find()
        if left is None:
            return before
        self._running = left
        if left.url and connects(left.address):
            self._address = left.address
            logger.warning("adopted the running %s, process %d", left.server, left.pid)
        else:
            logger.warning("%s, process %d, was left behind and is stopped", left.server, left.pid)
            self._stop()
        return before

    def _start(self, before: Running | None) -> None:
        report = Report()
        failures: list[str] = []
        for launch in self._part.launches(before, report):
            try:
                self._launch(launch, report)
            except StartError as error:
                logger.warning("%s did not start: %s", launch.server, error)
                self._stop()
                failures.append(f"{launch.server}: {error}")
                report.passed_over.append(failures[-1])
            else:
                for server in report.passed_over:
                    logger.warning("passed over: %s", server)
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
        born = birth(pid) or ""
        self._running = Running(launch.server, pid, born, url="", address="", version="", **asdict(report))
        # Written before it is ready: should the keeper be killed now, the next one finds the server.
        self._tell("starting")
        answer = self._await_answer(pid, printed)
        self._running = replace(self._running, **asdict(answer))
        self._address = answer.address
        logger.info("%s %s is ready at %s", launch.server, answer.version, answer.url)

    def _await_answer(self, pid: int, printed: int) -> Answer:
        deadline = time.monotonic() + self._part.start_seconds
        while time.monotonic() < deadline and not self._told_to_stop:
            output = self._output(printed)
            if not self._alive():
                raise StartError(f"it ended at once; it said:\n{_tail(output)}")
            if (answer := self._part.answer(pid, output)) is not None:
                return answer
            time.sleep(POLL_SECONDS)
        if self._told_to_stop:
            raise StartError("told to stop while it was starting")
        raise StartError(
            f"not ready within {self._part.start_seconds:.0f} s; it said:\n{_tail(self._output(printed))}"
        )

    def _output(self, since: int) -> str:
        with self._files.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def _watch(self) -> None:
        """Returns when nobody uses the part any more, or when told to stop."""
        signal.setitimer(signal.ITIMER_REAL, HEARTBEAT_SECONDS, HEARTBEAT_SECONDS)
        try:
            while not self._told_to_stop:
                if not self._alive():
                    self._restart()
                if self._nobody_left():
                    logger.info("the last user has left")
                    return
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _nobody_left(self) -> bool:
        """Waits for the users' lock; False when a signal came first.

        A signal that arrives just before the kernel is asked is noticed at the next heartbeat.
        """
        try:
            self._waiting = True
            if self._told_to_stop or not self._alive():
                return False
            fcntl.flock(self._users, fcntl.LOCK_EX)
        except _WokenError:
            return False
        finally:
            self._waiting = False
        return True

    def _restart(self) -> None:
        if not still_at(self._lock, self._files.keeper):
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
        self._tell("ready")

    def _alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self._running is not None and birth(self._running.pid) == self._running.born

    def _stop(self) -> None:
        """Stops the server, if there is one: it is asked first, and killed when it does not end in time."""
        running = self._running
        if running is not None and self._alive():
            logger.info("stopping %s, process %d", running.server, running.pid)
            self._part.ask_to_stop(running)
            time_limit = (
                self._part.stop_seconds if still_at(self._lock, self._files.keeper) else REMOVED_SECONDS
            )
            deadline = time.monotonic() + time_limit
            while self._alive() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if self._alive():
                logger.warning("%s did not stop within %.0f s and is killed", running.server, time_limit)
                send(running.pid, running.born, signal.SIGKILL)
                if self._child is not None:
                    self._child.wait()
        self._running = self._child = None

    def _tell(self, phase: Phase, error: str | None = None) -> None:
        try:
            write_state(self._files.state, State(phase, os.getpid(), self._running, error))
        except OSError as problem:
            raise StartError(f"{self._files.state} cannot be written: {problem}") from problem


def _tail(output: str, lines: int = 12) -> str:
    return "\n".join(output.strip().splitlines()[-lines:]) or "(nothing)"


def _part(files: PartHome) -> Part:
    if files.part == "postgres":
        return PostgresPart(files)
    if files.part == "redis":
        return RedisPart(files)
    return ModelPart(files)


def main(part: str, home: str, lock: str) -> int:
    """Keeps `part` of `home`; `lock` is the number of the inherited file descriptor."""
    # The starter must not be the parent: it would have to reap this process, and may itself end first.
    if os.fork():
        os._exit(0)
    os.set_inheritable(int(lock), False)
    # Its server is stopped by signals, whatever the shell of its first user ignores.
    stop_ignoring_signals()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    files = part_home(part, Path(home))
    try:
        return Keeper(files, _part(files), int(lock)).run()
    except StartError as error:
        logger.exception("%s cannot be kept", part)
        write_state(files.state, State("failed", os.getpid(), error=str(error)))
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
