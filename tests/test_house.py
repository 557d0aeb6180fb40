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
from typing import Any

import pytest
import typer.main

from graph.build import build_graph
from tests import readme
from tests.pace import time_limit
from tools.core.settings import CHECKOUT, Settings, variable

MAY_IMPORT = {
    "tools": set(),
    "nodes": {"tools"},
    "graph": {"nodes", "tools", "local"},
    "ingest": {"tools", "local"},
    "local": {"tools"},
    "serve": {"graph", "ingest", "local", "tools"},
    "evals": {"graph", "nodes", "ingest", "serve", "local", "tools", "samples"},
    "samples": {"tools"},
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
        "import serve.app, graph.studio, ingest.commands, serve.cli, evals.benchmarks.generation\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True, timeout=time_limit())


@pytest.mark.parametrize("name", readme.READMES)
def test_the_readme_names_only_targets_that_exist(name: str) -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"run", "test"} <= readme.targets(readme.text_of(name)) <= targets


@pytest.mark.parametrize("name", readme.READMES)
def test_the_readme_lists_every_setting_with_its_default(name: str) -> None:
    text = readme.text_of(name)
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", text, re.MULTILINE))
    expected = {variable(field): info.default for field, info in Settings.model_fields.items()}
    assert set(rows) == set(expected)
    for setting, default in expected.items():
        if default not in (None, ()) and setting != "CHECKERBOARD_HOME":
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            shown = ",".join(default) if isinstance(default, tuple) else shown
            assert rows[setting] == f"`{shown}`", setting


@pytest.mark.parametrize("name", readme.READMES)
def test_the_picture_in_the_readme_is_the_graph(name: str) -> None:
    text = readme.text_of(name)
    drawn = re.search(r"```mermaid\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    graph = build_graph()
    assert drawn[1].strip() == graph.get_graph().draw_mermaid(with_styles=False).strip()


@pytest.mark.parametrize("name", readme.READMES)
def test_the_readme_has_a_curl_for_every_route(name: str) -> None:
    from serve.app import create_app  # noqa: PLC0415 - building the app is part of what is tested

    called = "\n".join(readme.curls(readme.text_of(name)))
    for path in create_app().openapi()["paths"]:
        pattern = re.sub(r"\\\{\w+\\\}", r"[^/\\s]+", re.escape(path))
        assert re.search(rf"localhost:8000{pattern}\b", called), f"no curl for {path}"


def test_both_readmes_tell_the_reader_to_type_the_same() -> None:
    english, korean = map(readme.text_of, readme.READMES)
    assert readme.targets(english) == readme.targets(korean)
    assert readme.table(english) == readme.table(korean)
    assert readme.curls(english) == readme.curls(korean)
    assert readme.commands(english) == readme.commands(korean)
    assert readme.hashing(english) == readme.hashing(korean)


@pytest.mark.parametrize("words", readme.commands(readme.text_of("README.md")), ids=" ".join)
def test_the_readme_types_commands_that_there_are(words: list[str]) -> None:
    from serve.cli import app  # noqa: PLC0415 - it imports what only a command needs

    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def test_the_walk_knows_every_target_that_the_readme_names() -> None:
    from tests.walk.__main__ import APART, AT_ONCE, ENDING, SERVING  # noqa: PLC0415 - a program

    assert readme.targets(readme.text_of("README.md")) == {*AT_ONCE, *ENDING, *SERVING, *APART}


def test_ci_calls_the_readmes_test_command_and_takes_the_walk() -> None:
    run = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test$", run, re.MULTILINE)
    assert re.search(r"^make walk$", run, re.MULTILINE)


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
    assert build_graph().checkpointer is None


def test_the_tests_reach_nothing_beyond_this_machine() -> None:
    with socket.socket() as outside, pytest.raises(PermissionError, match="a test tried to reach"):
        outside.connect(("192.0.2.1", 443))


QUOTES = {
    "ingest/sources/folder.py": "names of files, and what the system says of them",
    "tools/core/debian.py": "what apt says",
    "evals/runs/results.py": "names of result files",
    "serve/supervisor.py": "what the system says of a process",
}
"""Modules whose log may have the text of an error, and what that is."""


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_log_line_is_a_constant_message_and_quotes_nobody(room: str) -> None:
    told: list[str] = []
    for path in modules(room):
        name = path.relative_to(CHECKOUT).as_posix()
        if name.startswith("local/servers/"):  # what servers say at their start: nobody has asked them yet
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).startswith("logger.")):
                continue
            messages = call.args[1:] if ast.unparse(call.func) == "logger.log" else call.args
            [message, *put_in] = messages
            said = [message.body, message.orelse] if isinstance(message, ast.IfExp) else [message]
            if put_in or not all(isinstance(one, ast.Constant) for one in said):
                told.append(f"{name}:{call.lineno} puts something into its message")
            fields = " ".join(ast.unparse(keyword.value) for keyword in call.keywords)
            if re.search(r"\b(str|repr)\((error|exc)|error\.(message|details\b(?!\[))|\{error", fields):
                told += [f"{name}:{call.lineno} says what an error says"] if name not in QUOTES else []
    assert told == []
