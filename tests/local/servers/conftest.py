"""A machine that is clean again after each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .machine import Machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.clean_up()


@pytest.fixture(scope="session")
def _lasting_home() -> Iterator[Path]:
    machine = Machine()
    yield machine.home()
    machine.clean_up()


@pytest.fixture
def used_home(machine: Machine, _lasting_home: Path) -> Path:
    """A home with the data of earlier tests, where a PostgreSQL need not be made again."""
    return machine.use(_lasting_home)
