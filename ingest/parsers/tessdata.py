"""Tesseract's data (kor, eng, Hangul; 10 MB): where it is, and getting it without root.

    python -m ingest.parsers.tessdata

fetches it into CHECKERBOARD_HOME with apt, where there is apt, and does nothing where it is there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tools.core.debian import unpack_debian
from tools.core.errors import SetupError
from tools.core.extras import require_extra
from tools.core.settings import Settings

HASHES = {
    "kor.traineddata": "6b85e11d9bbf07863b97b3523b1b112844c43e713df8b66418a081fd1060b3b2",
    "eng.traineddata": "7d4322bd2a7749724879683fc3912cb542f19906c83bcc1a52132556427170b2",
    "Hangul.traineddata": "cae2d12b8cdac6b62643b65915bec347e80970adc55228ca42ac1ec8909b198a",
}
"""SHA-256 of the files that are fetched: tessdata_fast 4.1.0, as Debian has it. The parser was measured with
these, and they are read by a library written in C++."""
FILES = tuple(HASHES)
SCRIPTS = "script"
"""The folder within, in which Homebrew and Fedora keep scripts (Hangul) apart from languages."""
PACKAGES = ("tesseract-ocr-kor", "tesseract-ocr-eng", "tesseract-ocr-script-hang")
_SYSTEM = (
    *("/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tesseract-ocr/4.00/tessdata"),
    *("/usr/share/tessdata", "/usr/share/tesseract/tessdata", "/usr/local/share/tessdata"),
    *("/opt/homebrew/share/tessdata", "/opt/local/share/tessdata"),
)
_HOW_TO_GET_IT = (
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
    require_extra("ocr", "cv2", "rapidfuzz", purpose="The local parser", otherwise="set UPSTAGE_API_KEY")
    if importlib.util.find_spec("tesserocr") is None:
        raise SetupError(
            "The local parser needs the package tesserocr, and there is no wheel of it for this platform. "
            "Install Tesseract and build it (`pip install tesserocr`), or set UPSTAGE_API_KEY."
        )
    if settings.tessdata is not None:
        missing = _missing(settings.tessdata)
        if missing:
            raise SetupError(
                f"CHECKERBOARD_TESSDATA names {settings.tessdata}, which lacks {', '.join(missing)}."
            )
        return settings.tessdata
    own = settings.home / "tessdata"
    if not _other_files({name: own / name for name in FILES}):
        return own
    prefix = os.environ.get("TESSDATA_PREFIX")
    prefixed = (prefix, f"{prefix}/tessdata") if prefix else ()
    # What the system has installed is not checked against the hashes.
    for folder in map(Path, (*prefixed, *_SYSTEM)):
        if not _missing(folder):
            return folder
    raise SetupError(f"The local parser needs Tesseract's data for Korean and English. {_HOW_TO_GET_IT}")


def fetch_tessdata(home: Path) -> Path:
    """Downloads the data into `home / "tessdata"` with apt and unpacks it there; returns that folder.

    Raises:
        SetupError: there is no apt here, it failed, or it brought other files than those of HASHES; the
            message says what to do instead.
    """
    folder = home / "tessdata"
    if _other_files({name: folder / name for name in FILES}):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                unpack_debian(PACKAGES, Path(scratch))
            except SetupError as error:
                raise SetupError(f"{error} {_HOW_TO_GET_IT}") from error
            fetched = {path.name: path for path in Path(scratch).rglob("*.traineddata")}
            if wrong := _other_files(fetched):
                raise SetupError(
                    f"What apt has for {', '.join(wrong)} is not the data that this parser is known to work "
                    "with, so it is not taken. Get kor, eng and Hangul.traineddata of tessdata_fast 4.1.0 "
                    "yourself, or a set that you trust, and name their folder in CHECKERBOARD_TESSDATA."
                )
            folder.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                # Renamed into place, so that a run that is cut short leaves no half file behind.
                part = folder / f".{name}.{os.getpid()}"
                shutil.copyfile(fetched[name], part)
                part.replace(folder / name)
    return folder


def _other_files(files: dict[str, Path]) -> list[str]:
    """The names of files that are missing, or are not those of HASHES."""
    return [
        name
        for name, digest in HASHES.items()
        if name not in files
        or not files[name].is_file()
        or hashlib.sha256(files[name].read_bytes()).hexdigest() != digest
    ]


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
