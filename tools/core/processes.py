"""Processes: the command's name in texts, and what a process that is started from here inherits."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import cache
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
_COMMAND = "checkerboard"

# Where programs, libraries and packages are, and who runs them; whose certificates TLS trusts; how numbers
# are computed on this processor; how texts and times are written.
_NAMES = """
PATH HOME USER LOGNAME TMPDIR VIRTUAL_ENV LD_LIBRARY_PATH DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH
PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX PYTHONWARNINGS PYTHONUTF8 PYTHONIOENCODING
PYTHONHASHSEED SSL_CERT_FILE SSL_CERT_DIR
OMP_THREAD_LIMIT OMP_NUM_THREADS OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS
LANG LC_ALL LC_CTYPE TZ
"""
ALLOWED = frozenset(_NAMES.split())
"""The variables that pass. A list of what is kept back would miss secrets whose names nobody knows."""

_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python ignores them itself, and resets them in what it starts."""


@cache
def command_name() -> str:
    """Returns the command as a shell here finds it: `checkerboard`, or its path in the checkout."""
    own = Path(sys.executable).with_name(_COMMAND)
    on_path = shutil.which(_COMMAND)
    if (on_path is None or not own.samefile(on_path)) and own.is_relative_to(_CHECKOUT):
        return str(own.relative_to(_CHECKOUT))
    return _COMMAND


def with_command_name(text: str) -> str:
    """Returns `text` with each command in backquotes as it is typed here."""
    return text.replace(f"`{_COMMAND} ", f"`{command_name()} ")


def minimal_environment(**more: str) -> dict[str, str]:
    """Returns the environment for a process that reads files of strangers, or needs no key: the allowed
    variables of this one, and `more`. A PDF that takes over its reader finds no key or password there."""
    return {name: value for name, value in os.environ.items() if name in ALLOWED} | more


def stop_ignoring_signals() -> None:
    """Resets, for the programs that are started from here, the signals that this process ignores or blocks,
    as `nohup` and a shell's background jobs have it. A server that inherited that could not be stopped.

    Ignored signals stay without effect in this process, by a handler that does nothing: a handler, unlike
    "ignore", is not inherited.
    """
    for number in signal.valid_signals() - _IGNORED_BY_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
