"""Making a PostgreSQL data folder, and running PostgreSQL where root starts it.

PostgreSQL refuses to run as root, so a system user `pgserver` runs it then. That user often cannot reach
the data or the programs, because a folder on the way is root's alone, as `/root` is. Its mode is not ours to
change: it would open the folder to every user of the machine. Instead the server gets one right of root's
along, to look into folders and to read (CAP_DAC_READ_SEARCH), which the service that starts it has anyway.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from local.servers.home import StartError

SYSTEM_USER = "pgserver"
"""Who runs PostgreSQL when root asks for it."""
INITDB_SECONDS = 120.0
_USER_SECONDS = 30.0


def prepare(programs: Path, pgdata: Path) -> tuple[list[str], tuple[str, ...]]:
    """Makes what is missing of the data folder and its owner.

    Returns:
        What the user of the machine must know, a sentence each; and what stands before a command of
        PostgreSQL's so that it runs as its user.

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
    prefix = _as(user, programs, folder) if user else ()
    warnings = _own(folder, user) if user else []
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
        made = _tried(
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


def _own(folder: Path, user: pwd.struct_passwd) -> list[str]:
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


def _as(user: pwd.struct_passwd, programs: Path, folder: Path) -> tuple[str, ...]:
    """Returns what runs a command as `user`, with the right to reach what is behind closed folders."""
    identity = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    closed = _closed(user, programs / "postgres", folder)
    reach = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search") if closed else ()
    prefix = (*identity, *reach)
    problem = _tried([*prefix, str(programs / "postgres"), "-V"])
    if not problem:
        return prefix
    way = f" behind {closed}, which is closed to it," if closed else ""
    raise StartError(
        f"PostgreSQL runs as user {SYSTEM_USER}, who cannot reach its data and programs{way} and cannot be "
        f"given the right to ({problem}). Run as a normal user, keep the checkout and CHECKERBOARD_HOME out "
        f"of private folders{f', open it with `chmod o+x {closed}`' if closed else ''}, or set DATABASE_URL"
    )


def _closed(user: pwd.struct_passwd, *targets: Path) -> Path | None:
    """The first folder on the way to `targets` that `user` may not go through; None where there is none."""
    for target in targets:
        for parent in reversed(target.resolve().parents):
            found = parent.stat()
            right = (
                stat.S_IXUSR
                if found.st_uid == user.pw_uid
                else stat.S_IXGRP
                if found.st_gid == user.pw_gid
                else stat.S_IXOTH
            )
            if not found.st_mode & right:
                return parent
    return None


def _tried(command: list[str]) -> str:
    """Runs a command; returns what it said when it failed, in one line, and nothing when it did not."""
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_USER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return " ".join(done.stderr.split()) or f"exit status {done.returncode}" if done.returncode else ""
