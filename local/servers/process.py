"""Processes and their identity: a process id alone is none, since the kernel gives it out again."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

# psutil is imported where there is no /proc: a supervisor lives as long as the service does, and psutil
# would cost it 3 MB.


def start_token(pid: int) -> str | None:
    """Returns when the process `pid` started, as a token that no other process of any boot shares; None when
    there is none, or when it has ended and only waits for its parent."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The second field, the program's name, may hold spaces and brackets.
        fields = stat[stat.rindex(b")") + 2 :].split()
        if fields[0] in (b"Z", b"X"):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{fields[19].decode()}"
    import psutil  # noqa: PLC0415

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return f"{process.create_time():.2f}"
    return None


def working_folder(pid: int) -> Path | None:
    """Returns the process's working folder; None when there is none, or when it cannot be read."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            return None
    import psutil  # noqa: PLC0415

    with suppress(psutil.Error):
        return Path(psutil.Process(pid).cwd())
    return None


def all_pids() -> list[int]:
    """Returns every process id of the machine (or container)."""
    if sys.platform == "linux":
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    import psutil  # noqa: PLC0415

    return psutil.pids()


def send(pid: int, token: str, number: signal.Signals) -> bool:
    """Signals the process if it still has this start token; returns whether it had."""
    if start_token(pid) != token:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
