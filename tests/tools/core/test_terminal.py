"""What a terminal gets of words that people, models and documents wrote."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tools.core import logs
from tools.core.errors import NoPostingsError
from tools.core.processes import command_name, with_command_name
from tools.core.settings import CHECKOUT
from tools.core.terminal import Terminal, echo, echo_json, exit_on_errors, plain

CLEAR, CLIPBOARD, C1 = "\x1b[2J", "\x1b]52;c;aGk=\x07", "\x9b2J"
HOSTILE = f"[/nope] {CLEAR}{CLIPBOARD}{C1} [red]서버[/red] :boom: \u202etxt"
SEEN = "[/nope] ⟨U+001B⟩[2J⟨U+001B⟩]52;c;aGk=⟨U+0007⟩⟨U+009B⟩2J [red]서버[/red] :boom: ⟨U+202E⟩txt"
ROOMS = ("tools", "nodes", "graph", "ingest", "local", "serve", "evals")


def shown(*printed: object, **options: object) -> str:
    """What a terminal without colours gets."""
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, color_system=None, width=200, **options)
    for one in printed:
        console.print(one)
    return out.getvalue()


def steers(text: str) -> bool:
    return any((ord(one) < 32 and one not in "\n\t") or 0x7F <= ord(one) < 0xA0 for one in text)


def test_words_are_words_wherever_they_stand() -> None:
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    tree = Tree(HOSTILE)
    tree.add(HOSTILE)
    said = shown(HOSTILE, table, tree)
    assert said.count(SEEN) == 6
    assert not steers(said)


@given(st.text())
def test_nothing_that_is_printed_steers_the_terminal(text: str) -> None:
    table = Table(text, title=text)
    table.add_row(text, Text(text))
    assert not steers(shown(text, Text(text), table))
    assert not steers(plain(text))


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp", "Co"))))
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_ends_of_lines_and_tabs_stay_and_halves_of_pairs_can_be_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert plain("a\tb\r\nc\n") == "a\tb\nc\n"
    echo("half \ud800")
    assert capsys.readouterr().out == "half ⟨U+D800⟩\n"


def test_json_for_programs_holds_what_it_held(capsys: pytest.CaptureFixture[str]) -> None:
    echo_json({"title": HOSTILE})
    line = capsys.readouterr().out
    assert not steers(line)
    assert json.loads(line) == {"title": HOSTILE}


def test_a_line_of_the_log_is_plain() -> None:
    record = logging.makeLogRecord({"name": "serve", "msg": HOSTILE, "source": HOSTILE})
    [handler] = _configured()
    assert not steers(handler.format(record))


def _configured() -> list[logging.Handler]:
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    root.handlers.clear()
    try:
        logs.configure()
        return list(root.handlers)
    finally:
        root.handlers[:] = kept
        root.setLevel(level)


def test_an_error_of_ours_is_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_errors():
        raise NoPostingsError(HOSTILE)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"no_postings: {SEEN}\n"


def test_a_command_is_named_as_it_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no environment is active, `checkerboard` alone is not found."""
    command_name.cache_clear()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(CHECKOUT / ".venv" / "bin" / "python"))
    assert with_command_name("Run `checkerboard doctor`.") == "Run `.venv/bin/checkerboard doctor`."
    assert "`.venv/bin/checkerboard ingest load FILE…`" in NoPostingsError().message
    command_name.cache_clear()
    monkeypatch.setenv("PATH", str(CHECKOUT / ".venv" / "bin"))
    assert with_command_name("Run `checkerboard doctor`.") == "Run `checkerboard doctor`."
    command_name.cache_clear()


@pytest.mark.parametrize("room", ROOMS)
def test_every_command_prints_with_it(room: str) -> None:
    """A console of rich's own reads markup in what people wrote, and a bare print is not plain."""
    for path in sorted((CHECKOUT / room).rglob("*.py")):
        if path == CHECKOUT / "tools" / "core" / "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in ("rich.console", "rich.markup", "rich"):
                assert not {name.name for name in node.names} & {"Console", "escape", "print", "inspect"}, (
                    path
                )
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("print", "typer.echo", "click.echo"), path
