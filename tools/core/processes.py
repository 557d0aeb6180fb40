"""How our command is typed here. Texts name it `checkerboard`; a shell finds that only in an active
environment."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import cache
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
_NAME = "checkerboard"


@cache
def program() -> str:
    """Returns `checkerboard` where the shell finds this installation's, and else the path that README.md
    has, where the installation is the checkout's own."""
    own = Path(sys.executable).with_name(_NAME)
    found = shutil.which(_NAME)
    if (found is None or not own.samefile(found)) and own.is_relative_to(_CHECKOUT):
        return str(own.relative_to(_CHECKOUT))
    return _NAME


def typed(text: str) -> str:
    """Returns `text` with each command of ours in backquotes as it is typed here."""
    return text.replace(f"`{_NAME} ", f"`{program()} ")


ALLOWED = frozenset(
    {
        # Where programs, libraries and Python's packages are, and who runs them.
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONWARNINGS",
        "PYTHONUTF8",
        "PYTHONIOENCODING",
        "PYTHONHASHSEED",
        # Whom TLS trusts.
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        # How numbers are computed on this processor.
        "OMP_THREAD_LIMIT",
        "OMP_NUM_THREADS",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
        "OPENBLAS_NUM_THREADS",
        # How texts and times are written.
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
    }
)


def bare(**more: str) -> dict[str, str]:
    """Returns the environment for such a process: what is allowed of ours, and `more`."""
    return {name: value for name, value in os.environ.items() if name in ALLOWED} | more


_PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python itself ignores them, and gives them back to what it starts."""


def not_inherited() -> None:
    """Keeps what this process ignores, or blocks, from the programs that it starts: a server that was asked
    to end by such a signal would go on for ever, and whoever waits for it, too.

    Ignored signals stay without effect here. What is caught, unlike what is ignored, is as usual again in a
    program that is started; what is blocked would be blocked there, so it is not any more.
    """
    for number in signal.valid_signals() - _PYTHONS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())


def _nothing(_number: int, _frame: object) -> None:
    """What an ignored signal does."""
