"""Result files: what an experiment was, and what came of each case. Lines of JSON.

The first line says what was run and with what (`Header`), then comes one line a case (`CaseResult`), and at
the end a line that sums up (`Summary`). A case's line is written as soon as the case is done, so that an
interrupted run keeps what it had; a file without its last line is incomplete.

Results are in `evals/results/NAME.jsonl`. A name that begins with `baseline` is one to compare with: it is
kept in the repository, and is never the `latest`.
"""

from __future__ import annotations

import difflib
import logging
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from tools.core.errors import InvalidRequestError
from tools.core.settings import CHECKOUT

logger = logging.getLogger(__name__)

RESULTS = Path(__file__).parents[1] / "results"
BASELINE = "baseline"
"""What the names of baselines begin with."""
_SUFFIX = ".jsonl"
_BULKY = ("postings", "ranked", "calls")
"""Outputs that a baseline does not keep."""
_LISTED = 8
"""Names that an error lists."""
_PACKAGES = (
    *("checkerboard", "langgraph", "langchain-core", "langchain-openai", "langsmith", "openai"),
    *("kiwipiepy", "numpy", "pgvector"),
)
"""Packages whose version can change an answer or a score."""
_GIT_SECONDS = 10


class _Line(BaseModel):
    """Unknown keys are kept: a file may come from a newer version."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Score(_Line):
    """What an evaluator found. `score` is null where it does not apply; `comment` says what failed."""

    score: float | None = Field(allow_inf_nan=False)
    key: str
    comment: str | None = None


class Corpus(_Line):
    """The postings that were searched."""

    version: str | None = None
    postings: int | None = None
    files: list[str] = []


class Dataset(_Line):
    """The cases that were run. `version` is the hash of their file."""

    name: str
    version: str
    cases: int


class Header(_Line):
    """An experiment: everything needed to repeat it."""

    kind: Literal["experiment"] = "experiment"
    name: str
    suite: str
    created_at: AwareDatetime
    variant: str = "split"
    commit: str | None = None
    dirty: bool = False
    prompts: dict[str, Any] = {}
    models: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    corpus: Corpus = Corpus()
    dataset: Dataset
    repeats: int = Field(1, ge=1)
    offline: bool = False
    seed: int | None = None
    python: str | None = None
    packages: dict[str, str] = {}
    command: str | None = None
    skipped: dict[str, str] = {}


class CaseResult(_Line):
    """What came of one case, in one of its repeats."""

    kind: Literal["case"] = "case"
    case_id: str
    repeat: int = Field(0, ge=0)
    family: str | None = None
    tags: list[str] = []
    language: str | None = None
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    scores: list[Score]
    run_id: str | None = None

    @field_validator("outputs")
    @classmethod
    def _check_turns(cls, outputs: dict[str, Any]) -> dict[str, Any]:
        turns = outputs.get("turns") or []
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            raise ValueError("`turns` is no list of objects")
        return outputs

    def failed(self) -> bool:
        """Says whether the first answer, or that of a later turn, ended in an error."""
        turns = self.outputs.get("turns") or []
        return bool(self.outputs.get("error")) or any(turn.get("error") for turn in turns)


class Estimate(_Line):
    """A mean over `n` cases with its 95 % interval, which is null where the cases are too few."""

    mean: float
    low: float | None
    high: float | None
    n: int


class Summary(_Line):
    """The whole run. Seconds of wall time; dollars, null where a price is not known."""

    kind: Literal["summary"] = "summary"
    metrics: dict[str, Estimate]
    seconds: float
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A result file that was read. `summary` is null when the run was interrupted."""

    path: Path
    header: Header
    cases: list[CaseResult]
    summary: Summary | None

    def incomplete(self) -> str | None:
        """Says what is missing of the run; null when nothing is."""
        wanted = self.header.dataset.cases * self.header.repeats
        if self.summary is not None and len(self.cases) >= wanted:
            return None
        why = "broke off" if self.summary is None else "left cases out"
        return f"{self.header.name} {why}: it has {len(self.cases)} of {wanted} results"


class ResultWriter:
    """Writes a result file, each line at once (0.1 ms for a case of 100 kB)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, line: Header | CaseResult | Summary) -> None:
        """Appends a line. The summary comes last: without it the file counts as incomplete."""
        self._file.write(orjson.dumps(line.model_dump(mode="json"), option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()


@contextmanager
def writing(path: Path, header: Header) -> Iterator[ResultWriter]:
    """Opens a new result file and writes its first line.

    Raises:
        InvalidRequestError: there is such a file already, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except FileExistsError as error:
        raise _file_error(path, "is there already. Take another name, or remove it.") from error
    except OSError as error:
        raise _file_error(path, f"cannot be written: {error}") from error
    with file:
        writer = ResultWriter(file)
        writer.write(header)
        yield writer


def read(path: Path) -> Result:
    """Reads a result file. One of an interrupted run is read as far as it goes, without a truncated last
    line.

    Raises:
        InvalidRequestError: the file cannot be read or is no result file. The message and `details` have
            the file, the line and the problem.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise _file_error(path, f"cannot be read: {error}") from error
    if lines and not lines[-1].endswith(b"\n"):
        logger.warning("the last line is cut off and left out", extra={"file": str(path), "line": len(lines)})
        lines.pop()
    if not lines:
        raise _file_error(path, "is empty: not a result file.")
    header, summary, cases = _header(path, lines[0]), None, dict[tuple[str, int], CaseResult]()
    for number, line in enumerate(lines[1:], 2):
        value = _object(path, number, line)
        if summary is not None:
            raise _line_error(path, number, "something follows the summary")
        if value.get("kind") == "summary":
            summary = _validated(Summary, path, number, value)
            continue
        case = _validated(CaseResult, path, number, value)
        if (case.case_id, case.repeat) in cases:
            raise _line_error(path, number, f"case {case.case_id}, repeat {case.repeat} stands twice")
        cases[case.case_id, case.repeat] = case
    return Result(path, header, list(cases.values()), summary)


def find(name_or_path: str, folder: Path = RESULTS) -> Path:
    """Returns a result file by its path, or by its name in `folder`.

    Raises:
        InvalidRequestError: there is none. The message lists similar names.
    """
    named = folder / f"{name_or_path.removesuffix(_SUFFIX)}{_SUFFIX}"
    for path in (Path(name_or_path), named):
        if path.is_file():
            return path
    names = sorted(path.stem for path in folder.glob(f"*{_SUFFIX}"))
    near = difflib.get_close_matches(name_or_path, names, _LISTED, 0.4) or names[-_LISTED:]
    there = f"There are: {', '.join(near)}." if near else "There is none yet: `checkerboard eval run`."
    raise InvalidRequestError(f"No result file {name_or_path} (looked in {folder}). {there}")


def find_baseline(suite: str, folder: Path = RESULTS) -> Path:
    """Returns the baseline of a suite in `folder`, or else the one that the repository keeps.

    Raises:
        InvalidRequestError: there is none.
    """
    name = f"{BASELINE}-{suite}{_SUFFIX}"
    for path in (folder / name, RESULTS / name):
        if path.exists():
            return path
    raise InvalidRequestError(
        f"The suite {suite} has no baseline yet: `checkerboard eval baseline RUN` keeps a run as one."
    )


def latest(suite: str, folder: Path = RESULTS) -> Path:
    """Returns the newest complete result file of a suite in `folder`, baselines aside.

    Raises:
        InvalidRequestError: there is none.
    """
    candidates: list[tuple[AwareDatetime, Path]] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if path.stem.startswith(BASELINE):
            continue
        with _skipping(path), path.open("rb") as file:
            header = _header(path, file.readline())
            if header.suite == suite:
                candidates.append((header.created_at, path))
    # A file is megabytes and a folder has many: only the newest ones are read whole.
    for _, path in sorted(candidates, reverse=True):
        with _skipping(path):
            if read(path).summary is not None:
                return path
    raise InvalidRequestError(f"No results of the suite {suite} in {folder}: `checkerboard eval run`.")


@contextmanager
def _skipping(path: Path) -> Iterator[None]:
    """Logs why a file is no result file, and goes on."""
    try:
        yield
    except (InvalidRequestError, OSError) as error:
        logger.warning("file passed over", extra={"file": str(path), "problem": str(error)})


def keep_as_baseline(result: Result, path: Path) -> None:
    """Writes a result to `path`, replacing what is there, without the bulk of the outputs (postings' texts,
    rankings, model calls).

    Raises:
        InvalidRequestError: the result is incomplete, or the file cannot be written.
    """
    missing = result.incomplete()
    if missing is not None or result.summary is None:
        raise _file_error(result.path, f"cannot be a baseline: {missing}.")
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with writing(new, result.header) as writer:
        for case in result.cases:
            outputs = {key: value for key, value in case.outputs.items() if key not in _BULKY}
            writer.write(case.model_copy(update={"outputs": outputs}))
        writer.write(result.summary)
    new.replace(path)


def provenance() -> dict[str, Any]:
    """Returns the header fields `commit`, `dirty`, `python`, `packages` and `command`. Calls git, so it
    blocks for some milliseconds; outside a checkout there is no commit."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        # Result files lie in the checkout, untracked.
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            ["git", *arguments],  # noqa: S607 - whichever git the user has
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _header(path: Path, line: bytes) -> Header:
    value = _object(path, 1, line)
    if value.get("kind") != "experiment":
        raise _line_error(path, 1, "does not begin with an experiment: not a result file")
    return _validated(Header, path, 1, value)


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _line_error(path, number, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _line_error(path, number, "not a JSON object")
    return value


LineT = TypeVar("LineT", bound=_Line)


def _validated(kind: type[LineT], path: Path, number: int, value: dict[str, Any]) -> LineT:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise _line_error(path, number, "; ".join(problems)) from error


def _line_error(path: Path, number: int, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path}, line {number}: {problem}", file=str(path), line=number)


def _file_error(path: Path, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path} {problem}", file=str(path))
