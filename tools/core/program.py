"""How our command is typed here. Texts name it `checkerboard`; a shell finds that only in an active
environment."""

from __future__ import annotations

import shutil
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
