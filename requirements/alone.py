"""Becomes a command while no other holds a lock: `python alone.py LOCK COMMAND…`.

The Makefile sets up `.venv` by it, with the system's Python, which need not be new. The kernel frees
the lock when the command has ended, however it ends, so a killed set-up is in nobody's way.
"""

import fcntl
import os
import sys


def main(lock, *command):
    """Waits for the lock; the command inherits it."""
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write("Another make is setting up .venv; waiting for it …\n")
        fcntl.flock(held, fcntl.LOCK_EX)
    os.set_inheritable(held, True)
    os.execvp(command[0], command)  # noqa: S606 - the Makefile's


if __name__ == "__main__":
    main(*sys.argv[1:])
