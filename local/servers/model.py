"""The offline model: an HTTP server on loopback, at one port for as long as it is used."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys

from local.model import SECRET_VARIABLE
from local.servers.files import Running, ServerFiles
from local.servers.process import send
from local.servers.spec import Launch, Ready, Report

_LISTENING = re.compile(r"^listening on (http://([\w.\[\]:]+:\d+)\S*)$", re.MULTILINE)


class Model:
    """See `ServerSpec`. `python -m local.model` prints where it listens."""

    start_seconds = 60.0
    stop_seconds = 1.0
    """It has no data to save, and nobody is left to answer; it may still be loading its dictionary."""

    def __init__(self, files: ServerFiles) -> None:
        self._files = files

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        """See `ServerSpec.launches`. The port that users have comes first."""
        environment = {SECRET_VARIABLE: self._secret()}
        known = [before.address.rpartition(":")[2]] if before is not None and before.address else []
        return [
            Launch("offline", (sys.executable, "-m", "local.model", "--port", port), environment)
            for port in (*known, "0")
        ]

    def _secret(self) -> str:
        """Returns the secret of the model's controls: made once a home, and readable for its owner alone."""
        if not self._files.secret.exists():
            draft = self._files.secret.with_suffix(f".{os.getpid()}.tmp")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe())
            draft.replace(self._files.secret)
        return self._files.secret.read_text()

    def find(self) -> Running | None:
        """See `ServerSpec.find`. Only the state file has the port."""
        return None

    def ready(self, pid: int, output: str) -> Ready | None:
        """See `ServerSpec.ready`."""
        match = _LISTENING.search(output)
        return None if match is None else Ready(url=match[1], address=match[2], version="rule-based")

    def request_stop(self, running: Running) -> None:
        """See `ServerSpec.request_stop`."""
        send(running.pid, running.start_token, signal.SIGTERM)
