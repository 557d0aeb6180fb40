"""A worker process: `python -m serve.worker KEYS CHANNEL SOCKET…`, started by `serve.supervisor`.

KEYS is `keys` or `open`: whether callers need a key, as the service found when it started. CHANNEL and SOCKET
are file descriptors: a socket to the supervisor, and those to serve on. The worker sends heartbeats over the
channel; when the channel ends, the supervisor has ended.
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
"""How long a worker whose supervisor has ended may take to stop its runs and answer. It does not wait for the
embedded servers: they stop without it."""


def _end_with_supervisor(channel: socket.socket) -> None:
    """Waits for the supervisor's end, and ends this process: in order if it can, without a drain."""
    with suppress(OSError):
        channel.recv(1)
    # Two signals, of two kinds, because two of one may count as one: nothing new, and what runs stops.
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def main(channel_fd: int, socket_fds: list[int], *, keys_needed: bool) -> None:
    """Serves until a signal or the supervisor's end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # until it serves, there is nothing to end in order
    channel = socket.socket(fileno=channel_fd)
    sockets = [socket.socket(fileno=fd) for fd in socket_fds]
    for inherited in (channel, *sockets):
        inherited.set_inheritable(False)
    threading.Thread(target=_end_with_supervisor, args=(channel,), daemon=True).start()

    # These imports take seconds, in which the thread above is already at work.
    from serve.app import create_app  # noqa: PLC0415
    from serve.server import Server  # noqa: PLC0415
    from tools.core import logs  # noqa: PLC0415
    from tools.core.settings import Settings  # noqa: PLC0415

    def heartbeat() -> None:
        # A supervisor that stands still reads nothing; the end of one is noticed above.
        with suppress(OSError):
            channel.send(b".", socket.MSG_DONTWAIT)

    logs.configure()
    settings = Settings()
    app = create_app(settings, keys_needed=keys_needed)
    Server(app, settings.drain_seconds, heartbeat).run(sockets)


if __name__ == "__main__":
    keys, *given = sys.argv[1:]
    channel, *listening = map(int, given)
    main(channel, listening, keys_needed=keys == "keys")
