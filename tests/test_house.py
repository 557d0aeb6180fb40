"""The rules of the house: who imports whom, how long a module is, what the docs promise."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from graph.build import build_graph
from tests.pace import patience
from tools.settings import CHECKOUT, Settings, variable

MAY_IMPORT = {
    "tools": set(),
    "nodes": {"tools"},
    "graph": {"nodes", "tools"},
    "ingest": {"tools"},
    "serve": {"graph", "ingest", "tools"},
    "evals": {"graph", "nodes", "ingest", "serve", "tools"},
}
LONGEST_MODULE = 500


def modules(room: str) -> list[Path]:
    return sorted((CHECKOUT / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names} & set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    found = modules(room)
    assert found
    for path in found:
        wrong = imported_rooms(path) - MAY_IMPORT[room] - {room}
        assert not wrong, f"{path.relative_to(CHECKOUT)} imports {wrong}"


@pytest.mark.parametrize("room", [*MAY_IMPORT, "tests"])
def test_modules_are_short_enough_to_read(room: str) -> None:
    for path in modules(room):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= LONGEST_MODULE, f"{path.relative_to(CHECKOUT)} has {lines} lines"


def test_importing_opens_nothing() -> None:
    """No socket, no file written, no thread started: importing has no side effects."""
    code = (
        "import socket, threading, sys\n"
        "def refuse(*_, **__): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "import serve.app, graph.studio, ingest.commands, serve.cli, evals.bench\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True, timeout=patience())


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_names_only_targets_that_exist(readme: str) -> None:
    text = (CHECKOUT / readme).read_text(encoding="utf-8")
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)", text))
    assert {"run", "test"} <= named <= targets


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_lists_every_setting_with_its_default(readme: str) -> None:
    text = (CHECKOUT / readme).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", text, re.MULTILINE))
    expected = {variable(name): field.default for name, field in Settings.model_fields.items()}
    assert set(rows) == set(expected)
    for name, default in expected.items():
        if default not in (None, ()) and name != "CHECKERBOARD_HOME":
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            shown = ",".join(default) if isinstance(default, tuple) else shown
            assert rows[name] == f"`{shown}`", name


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_picture_in_the_readme_is_the_graph(readme: str) -> None:
    text = (CHECKOUT / readme).read_text(encoding="utf-8")
    drawn = re.search(r"```mermaid\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    graph = build_graph(None)  # type: ignore[arg-type] - drawing calls no service
    assert drawn[1].strip() == graph.get_graph().draw_mermaid(with_styles=False).strip()


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_has_a_curl_for_every_route(readme: str) -> None:
    from serve.app import create_app  # noqa: PLC0415 - building the app is part of what is tested

    text = (CHECKOUT / readme).read_text(encoding="utf-8")
    called = "\n".join(re.findall(r"^curl .*?(?<!\\)$", text, re.MULTILINE | re.DOTALL))
    for path in create_app().openapi()["paths"]:
        pattern = re.sub(r"\\\{\w+\\\}", r"[^/\\s]+", re.escape(path))
        assert re.search(rf"localhost:8000{pattern}\b", called), f"no curl for {path}"


def test_ci_calls_the_readmes_test_command() -> None:
    assert re.search(r"^make test$", (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    contributing = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.split(r"[\[<>=]", requirement)[0]
        assert re.search(rf"^\| `{re.escape(name)}` \|", contributing, re.MULTILINE), name


def test_the_locks_name_no_registry() -> None:
    for lock in (CHECKOUT / "requirements").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, lock.name
        assert "--hash=sha256:" in text, lock.name


def test_langgraph_json_names_a_factory_without_a_saver() -> None:
    config = json.loads((CHECKOUT / "langgraph.json").read_text(encoding="utf-8"))
    assert config["graphs"] == {"checkerboard": "./graph/studio.py:make_graph"}
    assert build_graph(None).checkpointer is None  # type: ignore[arg-type]


def test_the_tests_reach_nothing_beyond_this_machine() -> None:
    with socket.socket() as outside, pytest.raises(PermissionError, match="a test tried to reach"):
        outside.connect(("192.0.2.1", 443))
