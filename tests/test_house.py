"""The rules of the house: what the docs promise, what a log line may say, what importing may do."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer.main
from typing_extensions import is_typeddict

from graph.build import build_graph
from graph.state import State
from tests import readme
from tests.openapi import COMMITTED, description
from tests.pace import time_limit
from tools.core.errors import ServiceError, SetupError
from tools.core.settings import CHECKOUT, Settings, variable

ROOMS = ("evals", "serve", "graph", "ingest", "nodes", "local", "samples", "tools")
"""Who may import whom is in pyproject.toml, `[tool.importlinter]`; `make check` looks."""
DOCUMENTS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "tests/*.md")
    for path in CHECKOUT.glob(pattern)
)
LONGEST_README = 150
MADE = {"evals/datasets/sessions.jsonl"}
"""Files that a command makes."""


def modules(room: str) -> list[Path]:
    return sorted((CHECKOUT / room).rglob("*.py"))


def test_importing_opens_nothing() -> None:
    """No socket, no file written, no thread started: importing has no side effects."""
    code = (
        "import socket, threading, sys\n"
        "def refuse(*_, **__): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "import serve.app, graph.studio, ingest.commands, serve.cli, evals.bench.generation\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True, timeout=time_limit())


def test_the_rules_of_imports_are_about_every_room() -> None:
    """`make check` holds them; a room that nobody named there would be free."""
    pyproject = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert set(pyproject["importlinter"]["root_packages"]) == set(ROOMS)
    assert set(pyproject["mypy"]["packages"]) == set(ROOMS)
    assert {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} == {*ROOMS, "tests"}


@pytest.mark.parametrize("name", readme.READMES)
def test_the_readme_is_short(name: str) -> None:
    assert len(readme.text_of(name).splitlines()) <= LONGEST_README


def test_the_docs_name_only_targets_that_exist() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for name in DOCUMENTS:
        assert readme.targets(readme.text_of(name)) <= targets, name
    for name in readme.READMES:
        assert {"run", "test"} <= readme.targets(readme.text_of(name))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    """To a file that exists, and to a heading that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", readme.text_of(name)):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        file = (CHECKOUT / name).parent / path if path else CHECKOUT / name
        assert file.exists(), target
        assert not heading or heading in headings(file.read_text(encoding="utf-8")), target


def headings(text: str) -> set[str]:
    """Its headings as links name them."""
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_files_and_names_of_the_code_in_the_docs_exist(name: str) -> None:
    for module in re.findall(rf"(?<![\w/])(?:{'|'.join(ROOMS)})/[\w/]+\.py\b", readme.text_of(name)):
        assert (CHECKOUT / module).is_file(), module  # in pictures, too
    for quoted in re.findall(r"`([^`\n]+)`", readme.text_of(name)):
        if re.fullmatch(rf"({'|'.join((*ROOMS, 'tests', 'docs'))})/[a-z0-9_./*-]*", quoted):
            assert quoted in MADE or list(CHECKOUT.glob(quoted.rstrip("/"))), quoted
        elif re.fullmatch(rf"({'|'.join(ROOMS)})(\.\w+)+", quoted):
            pkgutil.resolve_name(quoted)


@pytest.mark.parametrize(("name", "folder"), [("README.md", "docs"), ("README.ko.md", "docs/ko")])
def test_every_page_is_found_from_the_readme(name: str, folder: str) -> None:
    text = readme.text_of(name)
    for page in (CHECKOUT / folder).glob("*.md"):
        assert f"({page.relative_to(CHECKOUT).as_posix()})" in text, page


def test_every_decision_is_listed() -> None:
    listed = readme.text_of("docs/decisions/README.md")
    for decision in (CHECKOUT / "docs/decisions").glob("0*.md"):
        title = decision.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        number, _, said = title.partition(" ")
        assert f"| [{number}]({decision.name}) | {said} |" in listed


@pytest.mark.parametrize("name", [readme.SETTINGS, "docs/ko/configuration.md"])
def test_the_docs_list_every_setting_with_its_default(name: str) -> None:
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
    graph = build_graph()
    drawn = readme.block(readme.text_of(name), "mermaid")
    assert drawn.strip() == graph.get_graph().draw_mermaid(with_styles=False).strip()


@pytest.mark.parametrize("name", [readme.API, "docs/ko/api.md"])
def test_the_docs_have_a_curl_for_every_route(name: str) -> None:
    called = "\n".join(readme.curls(readme.text_of(name)))
    for path in description()["paths"]:
        pattern = re.sub(r"\\\{\w+\\\}", r"[^/\\s]+", re.escape(path))
        assert re.search(rf"localhost:8000{pattern}\b", called), f"no curl for {path}"


def test_the_committed_description_is_the_service_s() -> None:
    """`make openapi` writes it anew: a change of the API is seen in what is committed."""
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == description()


def test_the_tables_of_the_state_are_its_types() -> None:
    """Every key with the part that it holds, and every part with its fields."""
    text = readme.text_of("docs/state.md")
    keys, _, parts = text.partition("## Keys")[2].partition("## Parts")
    held = {key: set(re.findall(r"`(\w+)`", kind)) for key, kind in re.findall(ROW, keys, re.M)}
    fields = {part: set(re.findall(r"`(\w+)`", row)) for part, row in re.findall(ROW, parts, re.M)}
    hints = get_type_hints(State)
    assert set(held) == set(hints)
    for key, kind in hints.items():
        assert {part.__name__ for part in typed_dicts(kind)} <= held[key], key
    every = {part for kind in hints.values() for part in with_parts(kind)}
    assert set(fields) == {part.__name__ for part in every}
    for part in every:
        inner = {p.__name__ for hint in get_type_hints(part).values() for p in typed_dicts(hint)}
        assert fields[part.__name__] == set(get_type_hints(part)) | inner, part


ROW = r"^\| `(\w+)` \| ([^|]*) \|"
"""The first two cells of a row whose first is a name."""


def typed_dicts(hint: Any) -> set[Any]:
    """The TypedDicts that a type names, within lists and unions too."""
    return {hint} if is_typeddict(hint) else set().union(*map(typed_dicts, get_args(hint)))


def with_parts(hint: Any) -> set[Any]:
    """Those, and the ones in their fields."""
    named = typed_dicts(hint)
    inner = [with_parts(kind) for part in named for kind in get_type_hints(part).values()]
    return named.union(*inner)


@pytest.mark.parametrize("name", [readme.API, "docs/ko/api.md"])
def test_the_docs_list_every_error_that_a_client_can_get(name: str) -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+) \| (\d+)", readme.text_of(name), re.M)
    listed = {code: int(status) for codes, status in rows for code in re.findall(r"`(\w+)`", codes)}
    for code in ("not_found", "method_not_allowed"):  # of no route of ours
        del listed[code]
    errors = [*special(ServiceError)]
    assert listed == {error.code: error.http_status for error in errors if not issubclass(error, SetupError)}


def special(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for one in kind.__subclasses__():
        yield one
        yield from special(one)


def test_both_readmes_tell_the_reader_to_type_the_same() -> None:
    english, korean = map(readme.text_of, readme.READMES)
    assert readme.table(english) == readme.table(korean)
    for language in ("mermaid", "python", "js"):
        assert readme.block(english, language) == readme.block(korean, language)
    assert_same_commands(english, korean)


@pytest.mark.parametrize("page", sorted(path.name for path in (CHECKOUT / "docs/ko").glob("*.md")))
def test_a_korean_page_tells_the_reader_to_type_what_the_english_one_does(page: str) -> None:
    assert_same_commands(readme.text_of(f"docs/{page}"), readme.text_of(f"docs/ko/{page}"))


def assert_same_commands(english: str, korean: str) -> None:
    assert readme.targets(english) == readme.targets(korean)
    assert readme.curls(english) == readme.curls(korean)
    assert readme.commands(english) == readme.commands(korean)
    assert [line for line in readme.shell_lines(english) if "sha256sum" in line] == [
        line for line in readme.shell_lines(korean) if "sha256sum" in line
    ]


@pytest.mark.parametrize("words", readme.commands(readme.whole_text()), ids=" ".join)
def test_the_docs_type_commands_that_there_are(words: list[str]) -> None:
    from serve.cli import app  # noqa: PLC0415 - it imports what only a command needs

    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def test_the_walk_knows_every_target_that_the_docs_name() -> None:
    from tests.walk.__main__ import APART, AT_ONCE, ENDING, SERVING  # noqa: PLC0415 - a program

    assert readme.targets(readme.whole_text()) == {*AT_ONCE, *ENDING, *SERVING, *APART}


def test_ci_calls_the_readmes_test_command_and_takes_the_walk() -> None:
    run = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test$", run, re.MULTILINE)
    assert re.search(r"^make walk$", run, re.MULTILINE)
    workflow = (CHECKOUT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "run: .ci/run" in workflow


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
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


@pytest.mark.parametrize("room", ROOMS)
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
