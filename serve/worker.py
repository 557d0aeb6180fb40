"""A worker process: `python -m serve.worker LINE SOCKET…`, started by `serve.supervisor`.

LINE and SOCKET are file descriptors: a line to the supervisor, and what to serve on. Over the line go
signs of life, and its end means that the supervisor has ended, in whatever way.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

ORPHAN_SECONDS = 8.0
"""How long a worker whose supervisor has ended may take to stop what runs and to say so. It does not wait
for the embedded servers: they stop without it."""


def _follow(line: socket.socket) -> None:
    """Waits for the supervisor's end, and ends this process: in order if it can, without a drain."""
    with suppress(OSError):
        line.recv(1)
    # Two signals, of two kinds, because two of one may count as one: nothing new, and what runs stops.
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def main(line_fd: int, socket_fds: list[int]) -> None:
    """Serves until a signal or the supervisor's end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # until it serves, there is nothing to end in order
    line = socket.socket(fileno=line_fd)
    sockets = [socket.socket(fileno=fd) for fd in socket_fds]
    for inherited in (line, *sockets):
        inherited.set_inheritable(False)
    threading.Thread(target=_follow, args=(line,), daemon=True).start()

    # They take seconds to import: whoever waits for this process to end should not.
    from serve.app import create_app  # noqa: PLC0415
    from serve.server import Server  # noqa: PLC0415
    from tools.core import logs  # noqa: PLC0415
    from tools.core.settings import Settings  # noqa: PLC0415

    def beat() -> None:
        # A supervisor that stands still reads nothing, and one that has ended is told of elsewhere.
        with suppress(OSError):
            line.send(b".", socket.MSG_DONTWAIT)

    logs.configure()
    settings = Settings()
    Server(create_app(settings), settings.drain_seconds, beat).run(sockets)


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(fd) for fd in sys.argv[2:]])
