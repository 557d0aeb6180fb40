"""A headless Chromium, which draws posters for the evaluations and shows pages in the tests.

    python -m evals.posters.chromium

installs Debian's with apt, where there are apt and root, and does nothing where a browser is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.core.errors import SetupError

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""No screen, and no requests but those of the page. Each run adds a new, empty `--user-data-dir`."""
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_MAC = tuple(f"/Applications/{name}.app/Contents/MacOS/{name}" for name in ("Chromium", "Google Chrome"))
_START_SECONDS = 60.0
_INSTALL_SECONDS = 600.0
_WAYS = (
    "Install it (Debian: `apt-get install chromium`; Fedora: `dnf install chromium`; macOS: Google Chrome)."
)


def find_chromium() -> Path:
    """Returns the browser's program: the first usual one that starts.

    Raises:
        SetupError: there is none; the message says what to do.
    """
    for name in (*_NAMES, *_MAC):
        found = shutil.which(name)
        if found and _starts(found):
            return Path(found)
    raise SetupError(f"A headless Chromium is needed, and there is none here. {_WAYS}")


def install_chromium() -> Path:
    """Installs Chromium with apt; returns its program.

    Raises:
        SetupError: there is no apt or no root here, or apt failed; the message says what to do instead.
    """
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SetupError(f"Chromium is installed with apt by root, and here is not both. {_WAYS}")
    if _apt("install", "chromium").returncode:  # the package lists may be old, or none
        _apt("update")
        done = _apt("install", "chromium")
        if done.returncode:
            output = done.stderr.strip().splitlines() or ["it said nothing"]
            raise SetupError(f"apt did not install Chromium: {output[-1]}. {_WAYS}")
    return find_chromium()


def _starts(command_name: str) -> bool:
    """Whether it is a browser: Ubuntu's `chromium-browser` is a note that asks for a snap."""
    try:
        done = subprocess.run(  # noqa: S603 - one of the programs above
            [command_name, "--version"], capture_output=True, timeout=_START_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(  # noqa: S603 - the command is ours
            command, env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"`{' '.join(command)}` took longer than {_INSTALL_SECONDS:g} seconds. {_WAYS}"
        ) from error


def main() -> None:
    """Gets the browser; `make test` does."""
    try:
        command_name = find_chromium()
    except SetupError:
        try:
            command_name = install_chromium()
        except SetupError as error:
            sys.exit(str(error))
    sys.stdout.write(f"Chromium is {command_name}\n")


if __name__ == "__main__":
    main()
