"""Tesseract's data (kor, eng, Hangul; 10 MB): where it is, and getting it without root.

    python -m ingest.parsers.tessdata

fetches it into CHECKERBOARD_HOME with apt, where there is apt, and does nothing where it is there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.core.errors import SetupError
from tools.core.settings import Settings

logger = logging.getLogger(__name__)

HASHES = {
    "kor.traineddata": "6b85e11d9bbf07863b97b3523b1b112844c43e713df8b66418a081fd1060b3b2",
    "eng.traineddata": "7d4322bd2a7749724879683fc3912cb542f19906c83bcc1a52132556427170b2",
    "Hangul.traineddata": "cae2d12b8cdac6b62643b65915bec347e80970adc55228ca42ac1ec8909b198a",
}
"""SHA-256 of the files that are fetched: tessdata_fast 4.1.0, as Debian has it. What they say is what this
parser was measured with, and they are read by a library written in C++."""
FILES = tuple(HASHES)
SCRIPTS = "script"
"""The folder within, in which Homebrew and Fedora keep what is no language: Hangul."""
PACKAGES = ("tesseract-ocr-kor", "tesseract-ocr-eng", "tesseract-ocr-script-hang")
_SYSTEM = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata",
)
_DOWNLOAD_SECONDS = 300.0
_WAYS = (
    "`make ocr-data` gets it on Debian and Ubuntu, without root. Elsewhere install it (macOS: `brew install "
    "tesseract-lang`; Fedora: `dnf install tesseract-langpack-kor tesseract-script-hangul`; Arch: `pacman -S "
    "tesseract-data-kor tesseract-data-eng` and Hangul.traineddata from tessdata_fast), or name a folder "
    "that has kor, eng and Hangul.traineddata in CHECKERBOARD_TESSDATA."
)


def find_tessdata(settings: Settings) -> Path:
    """Returns the folder with all three files: the setting's, else the first usual one that has them.

    Raises:
        SetupError: Tesseract's library or its data is missing; the message says what to do.
    """
    if importlib.util.find_spec("tesserocr") is None:
        raise SetupError(
            "The local parser needs the package tesserocr, and there is no wheel of it for this platform. "
            "Install Tesseract and build it (`pip install tesserocr`), or set UPSTAGE_API_KEY."
        )
    if settings.tessdata is not None:
        missing = _missing(settings.tessdata)
        if missing:
            raise SetupError(
                f"CHECKERBOARD_TESSDATA names {settings.tessdata}, which lacks {', '.join(missing)}.",
                missing=missing,
            )
        return settings.tessdata
    own = settings.home / "tessdata"
    for folder in (own, *_usual()):
        # What the system has is the system's to check.
        if not _missing(folder) and (folder != own or not _foreign({name: own / name for name in FILES})):
            return folder
    raise SetupError(f"The local parser needs Tesseract's data for Korean and English. {_WAYS}")


def fetch_tessdata(home: Path) -> Path:
    """Downloads the data into `home / "tessdata"` with apt and unpacks it there; returns that folder.

    Raises:
        SetupError: there is no apt here, it failed, or it brought other files than those of HASHES; the
            message says what to do instead.
    """
    folder = home / "tessdata"
    if _missing(folder) or _foreign({name: folder / name for name in FILES}):
        with tempfile.TemporaryDirectory() as scratch:
            unpack_debian(PACKAGES, Path(scratch))
            found = {path.name: path for path in Path(scratch).rglob("*.traineddata")}
            _require_ours(found)
            folder.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                # Renamed into place, so that a run that is cut short leaves no half file behind.
                part = folder / f".{name}.{os.getpid()}"
                shutil.copyfile(found[name], part)
                part.replace(folder / name)
    return folder


def unpack_debian(packages: Sequence[str], into: Path) -> None:
    """Downloads Debian packages and unpacks them under `into`, without installing them.

    Where the system has no package lists, or old ones, lists of our own are fetched for the occasion.

    Raises:
        SetupError: apt is missing or failed.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError(f"There is no apt here to get {', '.join(packages)} with. {_WAYS}")
    # apt as root drops to a user of its own, who has to be able to write here.
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
        raise SetupError(
            f"`{' '.join(command)}` took longer than {_DOWNLOAD_SECONDS:g} seconds. {_WAYS}"
        ) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(f"`{' '.join(command)}` failed: {said[-1] if said else 'it said nothing'}. {_WAYS}")


def _require_ours(found: dict[str, Path]) -> None:
    if wrong := _foreign(found):
        raise SetupError(
            f"What apt has for {', '.join(wrong)} is not the data that this parser is known to work with, so "
            "it is not taken. Get kor, eng and Hangul.traineddata of tessdata_fast 4.1.0 yourself, or a set "
            "that you trust, and name their folder in CHECKERBOARD_TESSDATA.",
            files=wrong,
        )


def _foreign(files: dict[str, Path]) -> list[str]:
    """The names of files that are missing, or are not those of HASHES."""
    return [
        name
        for name, digest in HASHES.items()
        if name not in files
        or not files[name].is_file()
        or hashlib.sha256(files[name].read_bytes()).hexdigest() != digest
    ]


def _usual() -> list[Path]:
    named = os.environ.get("TESSDATA_PREFIX")
    prefixed = [Path(named), Path(named) / "tessdata"] if named else []
    return [*prefixed, *map(Path, _SYSTEM)]


def _missing(folder: Path) -> list[str]:
    return [
        name for name in FILES if not (folder / name).is_file() and not (folder / SCRIPTS / name).is_file()
    ]


def main() -> None:
    """`make ocr-data`."""
    settings = Settings()
    try:
        folder = find_tessdata(settings)
    except SetupError:
        try:
            folder = fetch_tessdata(settings.home)
        except SetupError as error:
            sys.exit(str(error))
    sys.stdout.write(f"Tesseract's data is in {folder}\n")


if __name__ == "__main__":
    main()
