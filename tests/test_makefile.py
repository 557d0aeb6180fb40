"""What make does in a bare clone, with programs that stand for Python's and uv's: nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pace import time_limit
from tools.core.settings import CHECKOUT

PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    echo venv >> "{log}"
    read go < "{gate}"
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    cp "{uv}" "$3/bin/uv"
    cp "{uv}" "$3/bin/checkerboard"
    exit
fi
[ "$1" = -m ] || exec "{real}" "$@"
"""
UV = """#!/bin/sh
echo "$(basename "$0") $1 certs=$UV_SYSTEM_CERTS" >> "{log}"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A bare clone as far as make sees it."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copytree(CHECKOUT / "requirements", folder / "requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder)
    os.mkfifo(tmp_path / "gate")
    given = {
        "log": tmp_path / "log",
        "gate": tmp_path / "gate",
        "uv": tmp_path / "uv",
        "real": sys.executable,
    }
    for name, text in (("python", PYTHON), ("uv", UV)):
        path = tmp_path / name
        path.write_text(text.format(**given))
        path.chmod(0o755)
    return folder


@contextmanager
def making(clone: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """Runs make; yields it and what it has said so far."""
    log = clone.parent / f"said by {words[0]}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", *words, f"PYTHON={clone.parent / 'python'}"],
            cwd=clone,
            stdout=output,
            stderr=output,
            env={key: value for key, value in os.environ.items() if key != "UV_SYSTEM_CERTS"},
        )
    try:
        yield process, log.read_text
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(time_limit())


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + time_limit()
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def logged(clone: Path) -> list[str]:
    log = clone.parent / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_two_in_a_bare_clone_set_it_up_once(clone: Path) -> None:
    with making(clone, "demo") as (first, _):
        until(lambda: logged(clone) == ["venv"])
        with making(clone, "doctor") as (second, said):
            until(lambda: "waiting for it" in said() or len(logged(clone)) > 1)
            (clone.parent / "gate").write_text("go\n")
            assert (first.wait(time_limit()), second.wait(time_limit())) == (0, 0)
    ran = [line.partition(" certs")[0] for line in logged(clone)]
    assert ran[:3] == ["venv", "uv pip", "uv pip"]
    assert sorted(ran[3:]) == ["checkerboard demo", "checkerboard doctor"]


def test_uv_trusts_what_the_system_trusts(clone: Path) -> None:
    """As pip does: behind a company's proxy, only the system knows who signs there."""
    with making(clone, "demo") as (process, _):
        until(lambda: logged(clone) == ["venv"])
        (clone.parent / "gate").write_text("go\n")
        assert process.wait(time_limit()) == 0
    known = any(Path(name).exists() for name in ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"))
    certs = {line.rpartition("=")[2] for line in logged(clone) if line.startswith("uv ")}
    assert certs == ({"true"} if known else {""})


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (("run", "PORT=8001"), 'checkerboard serve --port "8001"'),
        (("studio", "PORT=2025"), 'checkerboard studio --port "2025"'),
        (("demo-ingest", "POSTERS=4"), 'checkerboard ingest demo --posters "4"'),
        (
            ("load", "PEOPLE=20", "WORKERS=2", "ARRIVAL=burst"),
            'evals.load --people "20" --workers "2" --arrival "burst"',
        ),
        (("bench", "GENERATIONS=20"), 'evals.bench.generation --generations "20"'),
        (("eval-ingest", "POSTERS=4", "DOCUMENTS=9"), 'evals.bench.parsers --posters "4"'),
        (("test-fast", "ROOMS=ingest"), '-m "not servers" tests/ingest'),
    ],
)
def test_a_port_and_the_size_of_a_set_can_be_given(words: tuple[str, ...], typed: str) -> None:
    asked = ["make", "--dry-run", *words]
    shown = subprocess.run(
        asked, cwd=CHECKOUT, capture_output=True, text=True, timeout=time_limit(), check=True
    )
    assert typed in shown.stdout
