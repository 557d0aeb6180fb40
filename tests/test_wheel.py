"""What an installed copy has, and what only the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.pace import time_limit
from tools.core.settings import CHECKOUT

CHILD = "import tools.core.settings as s; print(s.Settings().home)"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        timeout=time_limit(),
        check=True,
    )
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_rooms_and_their_data_and_no_programs_that_write_data(wheel: Path) -> None:
    names = [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]
    held = {name.parts[0] for name in names if not name.parts[0].endswith(".dist-info")}
    assert held == {"graph", "nodes", "tools", "ingest", "evals", "serve", "local", "samples"}
    assert not [name for name in names if name.is_relative_to("samples/programs")]
    for measured_in_a_checkout in ("evals/posters", "evals/bench", "evals/load"):
        assert not [name for name in names if name.is_relative_to(measured_in_a_checkout)]
    assert [name for name in names if name.parts[0] == "samples" and name.suffix == ".py"] == [
        PurePosixPath("samples/__init__.py")
    ]
    for data in (
        *("samples/postings.jsonl", "samples/profiles.jsonl", "samples/truth.jsonl"),
        *("samples/posters/truth.ndjson", "samples/posters/p01-1.webp"),
        *("nodes/summarize.ko.md", "tools/lexicon/skills.yaml", "tools/lexicon/families.yaml"),
    ):
        assert PurePosixPath(data) in names
    assert any(name.suffix == ".sql" for name in names)
    assert any(name.is_relative_to("serve/web") for name in names)


def test_an_installed_copy_keeps_its_data_in_the_user_s_folder(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "copy")
    unset = {"CHECKERBOARD_HOME": "", "XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=tmp_path / "copy",
        env={**os.environ, **unset, "PYTHONPATH": str(tmp_path / "copy")},
        capture_output=True,
        text=True,
        timeout=time_limit(),
        check=True,
    )
    home = Path(shown.stdout.strip())
    assert home.is_relative_to(tmp_path)
    assert home.name == "checkerboard"


def test_two_checkouts_are_two_services() -> None:
    unset = {"CHECKERBOARD_HOME": "", "HOME": "/nonexistent"}
    shown = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=CHECKOUT,
        env={**os.environ, **unset},
        capture_output=True,
        text=True,
        timeout=time_limit(),
        check=True,
    )
    assert Path(shown.stdout.strip()) == CHECKOUT / ".checkerboard"


def test_it_is_kept_off_every_index() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "Private :: Do Not Upload" in project["classifiers"]
