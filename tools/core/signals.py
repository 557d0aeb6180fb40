"""Signals that a process was started to ignore, as a shell starts background jobs and `nohup` anything."""

from __future__ import annotations

import signal

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
