"""What the READMEs tell a reader to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tools.core.settings import CHECKOUT

READMES = ("README.md", "README.ko.md")
PROGRAM = ".venv/bin/checkerboard"


def text_of(readme: str, checkout: Path = CHECKOUT) -> str:
    """The whole text."""
    return (checkout / readme).read_text(encoding="utf-8")


def shell_lines(text: str) -> list[str]:
    """The lines of its shell blocks, in order, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = (re.sub(r"(^|\s+)#\s.*", "", line) for line in "".join(blocks).splitlines())
    return [line for line in lines if line]


def curls(text: str) -> list[str]:
    """The calls it shows, in order."""
    return [line for line in shell_lines(text) if line.startswith("curl ")]


def targets(text: str) -> set[str]:
    """The targets of make that it names."""
    return set(re.findall(r"\bmake ([a-z][a-z-]+)", text))


def table(text: str) -> list[str]:
    """The targets of make in its table of commands, in order."""
    return re.findall(r"^\| `make ([a-z-]+)` \|", text, re.MULTILINE)


def hashing(text: str) -> str:
    """The line that makes the hash of a key."""
    [line] = [line for line in shell_lines(text) if "sha256sum" in line]
    return line


def commands(text: str) -> list[list[str]]:
    """The commands of ours that it shows, each as its words."""
    return [shlex.split(line)[1:] for line in shell_lines(text) if line.startswith(f"{PROGRAM} ")]
