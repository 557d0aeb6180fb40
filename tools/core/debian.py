"""Files of Debian packages, downloaded with apt and unpacked without root."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.core.errors import SetupError

logger = logging.getLogger(__name__)

_DOWNLOAD_SECONDS = 300.0


def unpack_debian(packages: Sequence[str], into: Path) -> None:
    """Downloads Debian packages and unpacks them under `into`, without installing them.

    Where the system has no package lists, or old ones, new ones are downloaded under `into`.

    Raises:
        SetupError: apt is missing or failed.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError(f"There is no apt here to get {', '.join(packages)} with.")
    # apt as root becomes a user of its own, who has to be able to write here.
    into.chmod(0o755)
    try:
        _run(["apt-get", "download", *packages], into)
    except SetupError as error:
        logger.info("the system's package lists are of no use, fetching some", extra={"why": str(error)})
        for folder in ("lists/partial", "cache/archives/partial"):
            (into / folder).mkdir(parents=True, exist_ok=True)
        own = ["-o", f"Dir::State::lists={into / 'lists'}", "-o", f"Dir::Cache={into / 'cache'}"]
        _run(["apt-get", *own, "update"], into)
        _run(["apt-get", *own, "download", *packages], into)
    for archive in sorted(into.glob("*.deb")):
        _run(["dpkg-deb", "-x", archive.name, "."], into)


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            command, cwd=folder, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"`{' '.join(command)}` took longer than {_DOWNLOAD_SECONDS:g} seconds.") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(f"`{' '.join(command)}` failed: {said[-1] if said else 'it said nothing'}.")
