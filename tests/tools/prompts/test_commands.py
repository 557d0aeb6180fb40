"""`checkerboard prompts …`: files ↔ hub, as one types it."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.langsmith import Fault, LangSmith
from tests.tools.prompts.conftest import FILES, messages
from tools.core.errors import HubUnavailableError, SetupError
from tools.prompts.commands import app
from tools.prompts.registry import PACKAGES

FILTER, SUMMARIZE = "filter_jobs.ko", "summarize.ko"
PATTERN = "own-{purpose}-{language}"


def checkerboard(*words: str) -> Result:
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(autouse=True)
def _settings(standin: LangSmith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.core.logs.configure", lambda *_: None)  # the log is pytest's
    for name, value in standin.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHECKERBOARD_HUB_PROMPTS", PATTERN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the bundled files, as prompt owners keep them in git."""
    for package in PACKAGES:
        for path in Path(str(files(package))).glob("*.md"):
            shutil.copy(path, tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8", newline="\n")


def test_what_is_pushed_and_pulled_is_byte_for_byte_the_same(standin: LangSmith, folder: Path) -> None:
    before = contents(folder)
    pushed = checkerboard("push", "--folder", str(folder))
    assert pushed.exit_code == 0, pushed.output
    assert pushed.output.count("committed") == len(FILES) == len(standin.hub.repos)
    for path in folder.iterdir():
        path.unlink()
    (folder / "README.md").write_text("not a prompt", encoding="utf-8")
    pulled = checkerboard("pull", "--folder", str(folder))
    assert pulled.exit_code == 0, pulled.output
    (folder / "README.md").unlink()
    assert contents(folder) == before
    again = checkerboard("push", "--folder", str(folder))
    assert again.output.count("nothing to commit") == len(FILES)
    assert all(len(repo.commits) == 1 for repo in standin.hub.repos.values())
    assert checkerboard("diff", "--folder", str(folder)).exit_code == 0


def test_only_what_differs_is_committed_and_only_what_is_named(standin: LangSmith, folder: Path) -> None:
    checkerboard("push", "--folder", str(folder), FILTER, SUMMARIZE)
    for key in (FILTER, SUMMARIZE):
        replaced(folder / f"{key}.md", "\n## human", "\n한 줄 더\n## human")
    result = checkerboard("push", FILTER, "--folder", str(folder), "--tag", "production", "--tag", "v2")
    assert result.exit_code == 0, result.output
    repos = standin.hub.repos
    assert {name: len(repo.commits) for name, repo in repos.items()} == {
        "own-filter_jobs-ko": 2,
        "own-summarize-ko": 1,
    }
    assert repos["own-filter_jobs-ko"].tags.keys() == {"production", "v2"}
    assert "tagged production, v2" in result.output


def test_a_tag_moves_to_the_newest_commit_also_when_nothing_is_to_commit(
    standin: LangSmith, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKERBOARD_HUB_PROMPTS", f"{FILTER}=own-filter:production")
    checkerboard("push", FILTER, "--folder", str(folder), "--tag", "production")
    replaced(folder / f"{FILTER}.md", "\n## human", "\n한 줄 더\n## human")
    untagged = checkerboard("push", "--folder", str(folder))
    repo = standin.hub.repos["own-filter"]
    assert repo.tags["production"] is repo.commits[0]
    assert "--tag production puts it on this commit" in untagged.output
    assert checkerboard("diff", "--folder", str(folder)).exit_code == 1
    checkerboard("push", "--folder", str(folder), "--tag", "production")
    assert repo.tags["production"] is repo.commits[1]
    assert checkerboard("diff", "--folder", str(folder)).output == ""


def test_a_diff_shows_what_the_service_would_take(standin: LangSmith, folder: Path) -> None:
    checkerboard("push", "--folder", str(folder), FILTER, SUMMARIZE)
    standin.commit("own-summarize-ko", messages(SUMMARIZE, "한 줄 더"))
    result = checkerboard("diff", FILTER, SUMMARIZE, "--folder", str(folder))
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line for line in lines if line.startswith(("+", "-"))][2:] == ["+한 줄 더"]
    assert lines[0] == f"--- {folder / 'summarize.ko.md'}"
    missing = checkerboard("diff", "generate_tasks.ko", "--folder", str(folder))
    assert (missing.exit_code, "no such prompt" in missing.output) == (1, True)


def test_all_problems_of_files_are_listed_and_none_is_pushed(standin: LangSmith, folder: Path) -> None:
    assert checkerboard("check", "--folder", str(folder)).output.count(": good") == len(FILES)
    replaced(folder / f"{FILTER}.md", "{profile}\n", "")
    replaced(folder / f"{SUMMARIZE}.md", "schema: MarketSummary", "schema: Other")
    for words in (("check",), ("push",)):
        result = checkerboard(*words, "--folder", str(folder))
        assert result.exit_code == 1
        assert f"{folder / 'filter_jobs.ko.md'}: the human part has the placeholders" in result.output
        assert f"{folder / 'summarize.ko.md'}: its front matter is not what" in result.output
    assert standin.hub.repos == {}
    replaced(folder / f"{FILTER}.md", "## human", "## person")
    replaced(folder / f"{SUMMARIZE}.md", "## system", "## person")
    with pytest.raises(SetupError, match=r"filter_jobs\.ko\.md.*summarize\.ko\.md"):
        checkerboard("check", "--folder", str(folder))


def test_the_hub_is_checked_too(standin: LangSmith, folder: Path) -> None:
    checkerboard("push", "--folder", str(folder), FILTER, SUMMARIZE)
    assert checkerboard("check", "--hub", FILTER, SUMMARIZE).exit_code == 0
    standin.commit("own-summarize-ko", [("system", "요약"), ("human", "{postings}")])
    result = checkerboard("check", "--hub", FILTER, SUMMARIZE)
    assert result.exit_code == 1
    assert "own-filter_jobs-ko:latest in LangSmith: good" in result.output
    assert result.output.count("own-summarize-ko:latest in LangSmith: ") > 1


def test_a_pull_writes_all_or_none(standin: LangSmith, folder: Path) -> None:
    checkerboard("push", "--folder", str(folder), FILTER, SUMMARIZE)
    before = contents(folder)
    standin.commit("own-filter_jobs-ko", messages(FILTER, "한 줄 더"))
    standin.commit("own-summarize-ko", [("system", "요약"), ("human", "{postings}")])
    result = checkerboard("pull", FILTER, SUMMARIZE, "--folder", str(folder))
    assert (result.exit_code, contents(folder)) == (1, before)
    assert "summarize.ko: the instructions do not name" in result.output
    standin.commit("own-summarize-ko", messages(SUMMARIZE, "## human\n한 줄 더"))
    result = checkerboard("pull", FILTER, SUMMARIZE, "--folder", str(folder))
    assert (result.exit_code, contents(folder)) == (1, before)
    assert "'## human'" in result.output
    assert checkerboard("pull", FILTER, "--folder", str(folder)).exit_code == 0
    changed = contents(folder)
    assert {name for name in before if before[name] != changed[name]} == {f"{FILTER}.md"}


@pytest.mark.parametrize("command", ["pull", "push", "diff"])
def test_what_is_not_configured_is_said_with_what_to_do(
    command: str, monkeypatch: pytest.MonkeyPatch, standin: LangSmith
) -> None:
    with pytest.raises(SetupError, match=r"no prompt sumarise\.ko; there are .*summarize\.ko"):
        checkerboard(command, "sumarise.ko")
    standin.fail(Fault("/commits", status=401), Fault("/repos", status=401))
    with pytest.raises(HubUnavailableError, match="LANGSMITH_API_KEY"):
        checkerboard(command)
    monkeypatch.delenv("LANGSMITH_API_KEY")
    with pytest.raises(SetupError, match="Set LANGSMITH_API_KEY"):
        checkerboard(command)
    monkeypatch.delenv("CHECKERBOARD_HUB_PROMPTS")
    with pytest.raises(SetupError, match="Set CHECKERBOARD_HUB_PROMPTS"):
        checkerboard(command)


def test_a_name_that_langsmith_does_not_take_is_said(
    standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKERBOARD_HUB_PROMPTS", f"{FILTER}=Own-Filter")
    with pytest.raises(HubUnavailableError, match="small letters"):
        checkerboard("push", FILTER)
    assert standin.hub.repos == {}
