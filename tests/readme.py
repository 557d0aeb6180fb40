"""What the READMEs and the pages of `docs/` tell a reader to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tools.core.settings import CHECKOUT

READMES = ("README.md", "README.ko.md")
API = "docs/api.md"
SETTINGS = "docs/configuration.md"


def text_of(page: str, checkout: Path = CHECKOUT) -> str:
    """The whole text of one page."""
    return (checkout / page).read_text(encoding="utf-8")


def pages(checkout: Path = CHECKOUT) -> list[str]:
    """The pages of `docs/` in English, without the decisions."""
    return sorted(path.relative_to(checkout).as_posix() for path in (checkout / "docs").glob("*.md"))


def whole_text(checkout: Path = CHECKOUT) -> str:
    """README.md and the pages of `docs/` behind it, as one text."""
    return "\n".join(text_of(page, checkout) for page in ("README.md", *pages(checkout)))


def shell_lines(text: str) -> list[str]:
    """The lines of its shell blocks, in order, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = (re.sub(r"(^|\s+)#\s.*", "", line) for line in "".join(blocks).splitlines())
    return [line for line in lines if line]


def block(text: str, language: str) -> str:
    """Its one block of code in another language than the shell's."""
    [code] = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(code)


def curls(text: str) -> list[str]:
    """The calls it shows, in order, each once."""
    return list(dict.fromkeys(line for line in shell_lines(text) if line.startswith("curl ")))


def targets(text: str) -> set[str]:
    """The targets of make that it names, in code."""
    typed = [*shell_lines(text), *re.findall(r"`([^`\n]+)`", text)]
    return {name for line in typed for name in re.findall(r"^make ([a-z][a-z-]+)", line)}


def table(text: str) -> list[str]:
    """The targets of make in its table of commands, in order."""
    return re.findall(r"^\| `make ([a-z-]+)` \|", text, re.MULTILINE)


def hashing(text: str) -> str:
    """The line that makes the hash of a key."""
    [line] = [line for line in shell_lines(text) if "sha256sum" in line]
    return line


def commands(text: str) -> list[list[str]]:
    """The commands of ours that it shows, each as its words."""
    lines = [line.removeprefix(".venv/bin/") for line in shell_lines(text)]
    return [shlex.split(line)[1:] for line in lines if line.startswith("checkerboard ")]
