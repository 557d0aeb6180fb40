"""Real users, homes and processes for the tests of the embedded parts."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from local.servers.files import State, read_state, server_files
from local.servers.process import start_token
from tests.pace import time_limit
from tests.places import new_folder

PARTS = ("postgres", "redis", "model")
SECONDS = time_limit()
NOBODY = 65534
CHECKOUT = Path(__file__).resolve().parents[3]


class User:
    """A process that uses parts of a home until it is told to leave."""

    def __init__(
        self, home: Path, *parts: str, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> None:
        self.home = home
        self._process = subprocess.Popen(
            [*prefix, sys.executable, str(Path(__file__).with_name("user.py")), str(home), *parts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
            start_new_session=True,
        )
        self._said: dict[str, Any] | None = None

    @property
    def said(self) -> dict[str, Any]:
        """What it told when it had joined, or could not; waits for that."""
        if self._said is None:
            line = self._line()
            assert line, f"the user ended with status {self._process.wait(SECONDS)} and said nothing"
            self._said = json.loads(line)
        return self._said

    @property
    def urls(self) -> dict[str, str]:
        assert "urls" in self.said, self.said
        return self.said["urls"]

    @property
    def pid(self) -> int:
        return self._process.pid

    def interrupt(self) -> float:
        """Ctrl-C: a signal to the whole foreground group; returns how long it took to leave, seconds."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._left()

    def leave(self) -> float:
        """Returns how long it took to leave, seconds."""
        assert self.said
        assert self._process.stdin
        self._process.stdin.close()
        return self._left()

    def _line(self) -> str:
        """The next line that it prints; nothing once it has ended."""
        assert self._process.stdout
        printed, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        assert printed, f"the user said nothing within {SECONDS} s"
        return self._process.stdout.readline()

    def _left(self) -> float:
        line = self._line()
        self._end()
        return json.loads(line)["left"] if line else 0.0

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait(SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def clean_up(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._end()


class Machine:
    """Makes homes and users, and clears them away by process id."""

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._homes: list[Path] = []
        self._users: list[User] = []

    def home(self, *below: str, owner: int | None = None) -> Path:
        """A new home, reachable for every user of the machine."""
        folder = new_folder()
        if owner is not None:
            os.chown(folder, owner, owner)
        self._folders.append(folder)
        self._homes.append(folder.joinpath(*below))
        return self._homes[-1]

    def use(self, home: Path) -> Path:
        """A home that outlives the test: its processes are cleared away, its data stays."""
        self._homes.append(home)
        return home

    def user(
        self, home: Path, *parts: str, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> User:
        self._users.append(User(home, *parts, prefix=prefix, env=env))
        return self._users[-1]

    def state(self, home: Path, part: str) -> State | None:
        return read_state(server_files(part, home).state)

    def server(self, home: Path, part: str) -> int:
        """The process id of a part's server."""
        state = self.state(home, part)
        assert state
        assert state.running
        return state.running.pid

    def supervisor(self, home: Path, part: str) -> int:
        """The process id of a part's supervisor."""
        state = self.state(home, part)
        assert state
        return state.supervisor

    def pids(self, home: Path, *parts: str) -> list[int]:
        """The processes of these parts."""
        return [pid for part in parts for pid in (self.supervisor(home, part), self.server(home, part))]

    def clean_up(self) -> None:
        for user in self._users:
            user.clean_up()
        for home in self._homes:
            for process in self.left_behind(home):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def left_behind(self, home: Path) -> list[psutil.Process]:
        """What names the home in its command line or is its server; supervisors, which restart it, first."""
        servers = {
            state.running.pid
            for part in PARTS
            if (state := self.state(home, part))
            and state.running
            and start_token(state.running.pid) == state.running.start_token
        }
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.pid in servers or any(str(home) in word for word in process.info["cmdline"] or [])
        ]
        return sorted(
            found, key=lambda process: "local.servers.supervisor" not in (process.info["cmdline"] or [])
        )


def eventually(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """The first true value of `condition` within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.01)
    return value


def gone(*pids: int) -> bool:
    """Whether none of these processes lives."""
    return all(start_token(pid) is None for pid in pids)


def as_normal_user() -> tuple[str, ...]:
    """What to put before a command so that it runs as a user without rights.

    Where the interpreter itself is in a folder of root's, the user is given the right to reach it,
    and no right to write.
    """
    if os.geteuid() != 0:
        return ()
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    reach = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    question = "import os, sys; sys.exit(not os.access(sys.executable, os.X_OK))"
    asking = [*prefix, sys.executable, "-c", question]
    reachable = subprocess.run(asking, capture_output=True, check=False, timeout=SECONDS)
    return prefix if reachable.returncode == 0 else (*prefix, *reach)
