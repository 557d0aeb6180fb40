"""The offline model as a part: an HTTP server on loopback, at one port for as long as it is used."""

from __future__ import annotations

import re
import signal
import sys

from tools.embedded.parts import Answer, Launch, Report
from tools.embedded.process import send
from tools.embedded.state import Running

_LISTENING = re.compile(r"^listening on (http://([\w.\[\]:]+:\d+)\S*)$", re.MULTILINE)


class ModelPart:
    """`python -m tools.offline`, which says on its output where it listens."""

    start_seconds = 60.0
    stop_seconds = 1.0
    """It has no data to save, and nobody is left to answer; it may still be loading its dictionary."""

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        """See `Part.launches`. The port that users know comes first."""
        known = [before.address.rpartition(":")[2]] if before is not None and before.address else []
        return [
            Launch("offline", (sys.executable, "-m", "tools.offline", "--port", port))
            for port in (*known, "0")
        ]

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
