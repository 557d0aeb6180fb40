"""What a whole test run has in common: its environment, its home, and which tests go together.

The fixtures are in `tests/fixtures.py`, because they import the service, and a process that only hands
out tests need not.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import pace
from tests.places import new_folder, remove_abandoned_folders
from tools.core.processes import stop_ignoring_signals

_OUTSIDE = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "DATABASE_URL",
    "REDIS_URL",
    "LANGSMITH_API_KEY",
    "LANGSMITH_TRACING",
)
TOGETHER = {
    "serve/test_races.py": "serve/test_kills.py",
    "serve/test_prompt_workers.py": "serve/test_kills.py",
}
"""Files that run in one process with another, because they share its workers."""
FIRST = (
    "serve/test_kills.py",
    "serve/test_cli.py",
    "serve/test_redis_faults.py",
    "local/servers/test_accidents.py",
    "local/servers/test_sharing.py",
    "graph/test_studio.py",
)
"""What takes longest comes first, so that no process works on at the end while the others are done."""
STARTING = ("local/servers/", "serve/", "graph/test_studio.py", "ingest/pipeline/", "test_makefile.py")
"""Where tests start processes of their own, whatever fixtures they take."""

HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Whatever the developer's shell has configured, the tests run on embedded defaults, and the
    property tests try the same examples each time, however slow the machine."""
    hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("house")
    # Tests stop what they start as Ctrl-C does, also in a shell's background job, where that is ignored.
    stop_ignoring_signals()
    proxies = [name for name in os.environ if name.lower().endswith("_proxy")]
    for name in [*_OUTSIDE, *proxies, *(name for name in os.environ if name.startswith("CHECKERBOARD_"))]:
        os.environ.pop(name, None)
    # A hundred times faster, and it matters to few tests what texts mean: those take the variable away.
    os.environ["CHECKERBOARD_OFFLINE_EMBEDDINGS"] = "morphemes"
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        remove_abandoned_folders()
        home = new_folder()
        pace.slowness = pace.measured(home)
    else:
        home = Path(given["home"])
        pace.slowness = given["slowness"]
    config.stash[HOME] = home
    if given is not None or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("tests.fixtures")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a process of pytest-xdist what was measured, and where the run's home is."""
    node.workerinput |= {"home": str(node.config.stash[HOME]), "slowness": pace.slowness}


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the home after the last process has left it."""
    if not hasattr(config, "workerinput") and HOME in config.stash:
        shutil.rmtree(config.stash[HOME], ignore_errors=True)


def pytest_report_header() -> str:
    """Says how slow the machine was found."""
    return f"slowness: {pace.slowness:.1f}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need servers, before `-m` is looked at, and begins with what takes longest."""
    for item in items:
        if "embedded" in getattr(item, "fixturenames", ()) or _group(item.nodeid).startswith(STARTING):
            item.add_marker("servers")
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(_group(item.nodeid), len(FIRST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`: the tests of a file stay together, as their fixtures are, and the files
    keep their order."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - the plugin may be switched off

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def _group(nodeid: str) -> str:
    name = nodeid.partition("::")[0].removeprefix("tests/")
    return TOGETHER.get(name, name)
