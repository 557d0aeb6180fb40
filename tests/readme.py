"""What the READMEs tell a reader to type."""

from __future__ import annotations

import re
import shlex

from tools.settings import CHECKOUT

READMES = ("README.md", "README.ko.md")
PROGRAM = ".venv/bin/checkerboard"


def text_of(readme: str) -> str:
    """The whole text."""
    return (CHECKOUT / readme).read_text(encoding="utf-8")


def shell_lines(readme: str) -> list[str]:
    """The lines of its shell blocks, in order, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text_of(readme), re.MULTILINE | re.DOTALL)
    lines = (re.sub(r"(^|\s+)#\s.*", "", line) for line in "".join(blocks).splitlines())
    return [line for line in lines if line]


def curls(readme: str) -> list[str]:
    """The calls it shows, in order."""
    return [line for line in shell_lines(readme) if line.startswith("curl ")]


def targets(readme: str) -> set[str]:
    """The targets of make that it names."""
    return set(re.findall(r"\bmake ([a-z][a-z-]+)", text_of(readme)))


def table(readme: str) -> list[str]:
    """The targets of make in its table of commands, in order."""
    return re.findall(r"^\| `make ([a-z-]+)` \|", text_of(readme), re.MULTILINE)


def hashing(readme: str) -> str:
    """The line that makes the hash of a key."""
    [line] = [line for line in shell_lines(readme) if "sha256sum" in line]
    return line


def commands(readme: str) -> list[list[str]]:
    """The commands of ours that it shows, each as its words."""
    return [shlex.split(line)[1:] for line in shell_lines(readme) if line.startswith(f"{PROGRAM} ")]
