"""`checkerboard eval …`, as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evals.commands import app
from evals.runs.results import RESULTS, read
from evals.runs.suites import METRICS
from tests.databases import environment
from tests.evals.made_results import case, write
from tests.evals.suite_runs import THIN
from tools.core.errors import CheckerboardError, InvalidRequestError
from tools.core.settings import Settings

WORSE = [0.5, 0.4, 0.6, 0.5, 0.3, 0.5, 0.4, 0.6]


def invoke(*words: str) -> Result:
    """A command whose error, if any, is one of ours: `checkerboard` prints it as a line."""
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "160"})
    assert done.exception is None or isinstance(done.exception, CheckerboardError | SystemExit), (
        done.exception
    )
    return done


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take pytest's own handlers off."""
    monkeypatch.setattr("tools.core.logs.configure", lambda *_: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs of the quick suite, the second worse, and one that broke off."""
    alike = {"no_filler": 0.9, "answered": 1.0}
    for name, valid in (("before", [1.0] * 8), ("after", WORSE)):
        cases = [case(number, {"evidence_valid": one, **alike}) for number, one in enumerate(valid)]
        write(tmp_path, name, cases, suite="quick")
    broken = (tmp_path / "before.jsonl").read_bytes().splitlines(keepends=True)[:-2]
    (tmp_path / "broken.jsonl").write_bytes(b"".join(broken))
    return tmp_path


def test_every_command_and_option_says_what_it_does() -> None:
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
    for command in app.registered_commands:
        assert command.name
        shown = invoke(command.name, "--help")
        assert shown.exit_code == 0
        assert command.callback is not None
        assert command.callback.__doc__


def test_the_suites_are_listed() -> None:
    shown = invoke("suites").stdout
    for name in ("quick", "full", "hostile", "stability", "added", "retrieval", "crosslingual", "given"):
        assert name in shown


def test_a_run_ends_with_its_figures_its_file_and_what_to_do_next(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    done = invoke("run", "--case", THIN, "--name", "mine", "--folder", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "mine.jsonl").incomplete() is None
    for said in ("evidence_valid", "by the offline model", str(tmp_path / "mine.jsonl"), "eval gate mine"):
        assert said in done.stdout
    assert "Starting evaluation" not in done.output
    assert "it/s" not in done.output


def test_figures_are_shown_of_one_run_and_of_several(folder: Path) -> None:
    one = invoke("show", "after", "--folder", str(folder)).stdout
    assert "evidence_valid" in one
    assert "0.475" in one
    both = invoke("show", "before", "after", "--metric", "evidence_valid", "--folder", str(folder)).stdout
    assert "1.000" in both
    assert "no_filler" not in both
    table = invoke("show", "before", "after", "--markdown", "--folder", str(folder)).stdout
    assert table.splitlines()[0] == "| metric | before | after | |"
    assert "| `evidence_valid` | 1.000 (1.000 – 1.000) | 0.475 (" in table
    unknown = invoke("show", "before", "--metric", "evidence_vald", "--folder", str(folder))
    assert isinstance(unknown.exception, InvalidRequestError)


def test_a_run_that_broke_off_is_shown_as_far_as_it_went(folder: Path) -> None:
    shown = invoke("show", "broken", "--folder", str(folder)).stdout
    assert "evidence_valid" in shown
    assert "before broke off: it has 7 of 8 results" in shown


def test_a_comparison_shows_what_differs_and_which_cases_changed(folder: Path, tmp_path: Path) -> None:
    page, text = tmp_path / "report.html", tmp_path / "report.md"
    words = ("compare", "before", "after", "--folder", str(folder))
    shown = invoke(*words, "--html", str(page), "--markdown", str(text)).stdout
    assert "▼ worse" in shown
    assert "evidence_valid" in shown
    assert "case-004" in shown
    assert "1.000 → 0.300" in shown
    assert "|--" not in shown
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert text.read_text(encoding="utf-8").startswith("## Evals")
    assert invoke(*words, "--markdown", "-").stdout.startswith("## Evals")


def test_markup_in_what_was_run_is_shown_as_it_is(tmp_path: Path) -> None:
    for name, valid in (("before", 1.0), ("after", 0.0)):
        inputs = {"profile": {"desired_job": "[bold red]QA[/]"}}
        cases = [case(number, {"evidence_valid": valid}, inputs=inputs) for number in range(7)]
        write(tmp_path, name, cases, suite="quick")
    shown = invoke("compare", "before", "after", "--folder", str(tmp_path))
    assert shown.exit_code == 0
    assert "[bold red]QA[/]" in shown.stdout


def test_the_gate_exits_by_what_it_found(folder: Path) -> None:
    at = ("--folder", str(folder))
    assert invoke("baseline", "before", *at).exit_code == 0
    assert (folder / "baseline-quick.jsonl").exists()
    assert invoke("gate", "before", *at).exit_code == 0
    failed = invoke("gate", "after", *at)
    assert failed.exit_code == 1
    assert "✗ evidence_valid 1.000 → 0.475" in failed.stdout
    write(folder, "search", [case(0, {"ndcg@10": 1.0})], suite="retrieval")
    refused = invoke("gate", "search", "--baseline", "before", *at)
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "befor"), "There are: before"),
        (("compare", "before", "nothing"), "No result file nothing"),
        (("baseline", "broken"), "cannot be a baseline"),
        (
            ("add", "--from-run", "x", "--label", "y", "--family", "요리"),
            "There is no job family 요리; there are 백엔드",
        ),
    ],
)
def test_what_is_not_there_is_said_with_what_is(folder: Path, words: tuple[str, ...], said: str) -> None:
    at = () if words[0] == "add" else ("--folder", str(folder))
    refused = invoke(*words, *at).exception
    assert isinstance(refused, InvalidRequestError)
    assert said in refused.message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "No result file nothing"),
        (("before", "--baseline", "nothing"), "No result file nothing"),
        (("--suite", "full"), "No results of the suite full"),
        (("hostile",), "The suite hostile has no baseline yet: "),
    ],
)
def test_the_gate_says_that_nothing_fell_where_there_is_nothing_to_compare(
    folder: Path, words: tuple[str, ...], said: str
) -> None:
    write(folder, "hostile", [case()], suite="hostile")
    refused = invoke("gate", *words, "--folder", str(folder))
    assert refused.exit_code == 2
    assert f"gate refused: {said}" in refused.stdout


def test_every_metric_that_is_measured_is_registered(folder: Path) -> None:
    for name in ("quick", "retrieval"):
        found = read(RESULTS / f"baseline-{name}.jsonl")
        keys = {score.key for one in found.cases for score in one.scores}
        assert keys <= METRICS.keys()
