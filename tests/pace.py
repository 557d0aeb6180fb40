"""How slow this machine is, so that no test depends on its being quick.

A bound that only a hang reaches is `time_limit()`. A short time that is part of what is tested, such as
the life of a lock, is `scaled(…)`: so long on the machine the tests were written on, and longer on a
slower one by as much as that is slower.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

PATIENCE_SECONDS = 90.0
_REFERENCE_SECONDS = 0.044
"""What `_work` takes on the machine the tests were written on."""
_UNEVEN = 1.5
"""From here on a machine counts as slow: it is given twice the time, because a slow machine is an
uneven one, and the tests' processes get in each other's way on it."""

slowness = 1.0
"""How many times as long as on that machine things take here. Set once, before tests are collected."""


def scaled(seconds: float) -> float:
    """So many seconds of that machine, here."""
    return seconds * slowness


def time_limit() -> float:
    """Seconds after which something hangs, whatever it is."""
    return scaled(PATIENCE_SECONDS)


def measured(folder: Path) -> float:
    """Measures the slowness by some computing and some writing to disk in `folder`."""
    found = statistics.median(_work(folder) for _ in range(3)) / _REFERENCE_SECONDS
    return 1.0 if found < _UNEVEN else 2 * found


def _work(folder: Path) -> float:
    began = time.perf_counter()
    total = 0
    for number in range(600_000):
        total += number % 7
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(3):
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    return time.perf_counter() - began
