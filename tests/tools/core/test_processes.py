"""What a program starts does not inherit what its shell ignores."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.pace import time_limit
from tools.core.settings import CHECKOUT

ASKED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)
CHILD = """
import json, signal
ignored = [int(n) for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN]
print(json.dumps([ignored, [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())]]))
"""
PROGRAM = f"""
import os, signal, subprocess, sys
from tools.core.processes import stop_ignoring_signals
for number in {[int(number) for number in ASKED]}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
stop_ignoring_signals()
for number in {[int(number) for number in ASKED]}:
    os.kill(os.getpid(), number)
print(subprocess.run([sys.executable, "-c", {CHILD!r}], capture_output=True, text=True, timeout=60).stdout)
"""


def test_ignored_signals_stay_ignored_here_and_are_usual_in_what_is_started() -> None:
    asked = [sys.executable, "-c", PROGRAM]
    told = subprocess.run(
        asked, cwd=CHECKOUT, capture_output=True, text=True, timeout=time_limit(), check=True
    )
    ignored, blocked = json.loads(told.stdout)
    # Python ignores these two itself.
    assert set(ignored) <= {signal.SIGPIPE, signal.SIGXFSZ}
    assert blocked == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_what_tests_start_can_be_stopped_by_a_signal(number: signal.Signals) -> None:
    """Whatever started the tests: `make test &`, `nohup make test`."""
    with subprocess.Popen(["sleep", str(time_limit())]) as process:
        process.send_signal(number)
        assert process.wait(time_limit() / 2) == -number
