"""The offline model as a part: an HTTP server on loopback, at one port for as long as it is used."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys

from local.model import SECRET_VARIABLE
from local.servers.home import PartHome
from local.servers.parts import Answer, Launch, Report
from local.servers.process import send
from local.servers.state import Running

_LISTENING = re.compile(r"^listening on (http://([\w.\[\]:]+:\d+)\S*)$", re.MULTILINE)


class ModelPart:
    """`python -m local.model`, which says on its output where it listens."""

    start_seconds = 60.0
    stop_seconds = 1.0
    """It has no data to save, and nobody is left to answer; it may still be loading its dictionary."""

    def __init__(self, files: PartHome) -> None:
        self._files = files

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        """See `Part.launches`. The port that users know comes first."""
        environment = {SECRET_VARIABLE: self._secret()}
        known = [before.address.rpartition(":")[2]] if before is not None and before.address else []
        return [
            Launch("offline", (sys.executable, "-m", "local.model", "--port", port), environment)
            for port in (*known, "0")
        ]

    def _secret(self) -> str:
        """What opens the model's controls: made once a home, and readable for its owner alone."""
        if not self._files.secret.exists():
            draft = self._files.secret.with_suffix(f".{os.getpid()}.tmp")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe())
            draft.replace(self._files.secret)
        return self._files.secret.read_text()

    def find(self) -> Running | None:
        """See `Part.find`. Nothing but the state file knows the port."""
        return None

    def answer(self, pid: int, output: str) -> Answer | None:
        """See `Part.answer`."""
        found = _LISTENING.search(output)
        return None if found is None else Answer(url=found[1], address=found[2], version="rule-based")

    def ask_to_stop(self, running: Running) -> None:
        """See `Part.ask_to_stop`."""
        send(running.pid, running.born, signal.SIGTERM)
