"""Where a result comes from: the commit, the packages and the command."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools.core.settings import CHECKOUT

_PACKAGES = (
    "checkerboard",
    "langgraph",
    "langchain-core",
    "langchain-openai",
    "langsmith",
    "openai",
    "kiwipiepy",
    "numpy",
    "pgvector",
)
"""What can change an answer or a score."""
_GIT_SECONDS = 10


def provenance() -> dict[str, Any]:
    """Returns the header fields `commit`, `dirty`, `python`, `packages` and `command`. Blocks for some
    milliseconds: git is asked. Outside a checkout there is no commit."""
    commit = _git("rev-parse", "HEAD")
    # Result files lie in the checkout themselves.
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "dirty": bool(changed),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            ["git", *arguments],  # noqa: S607 - whichever git the user has
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
