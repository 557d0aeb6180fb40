"""Cases of the evals: a person, what is asked turn by turn, and what is known of a good answer.

A data set is a file of cases, one line of JSON each. Its version is the hash of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ingest.structured.files import read_rows
from tools.core.contracts import Difficulty, Language, Profile, Wishes, Word
from tools.core.errors import FieldProblem, InvalidRequestError

DATASETS = Path(__file__).parent
PROFILES = DATASETS / "profiles.jsonl"
HOSTILE_POSTINGS = DATASETS / "hostile_postings.jsonl"
QUERIES = DATASETS / "queries.jsonl"
CROSSLINGUAL_QUERIES = DATASETS / "crosslingual.jsonl"

Family = Literal[
    "백엔드",
    "프론트엔드",
    "풀스택",
    "모바일",
    "AI/ML",
    "데이터 엔지니어",
    "데이터 분석",
    "DevOps/인프라",
    "보안",
    "게임",
    "임베디드",
    "QA",
]
"""The job families, named as in the truth of the sample postings."""

CaseId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
Tag = Annotated[str, StringConstraints(pattern=r"^\w+$", max_length=50)]
Canary = Annotated[str, StringConstraints(min_length=6, max_length=200)]


class Strict(BaseModel):
    """Unknown keys are refused: a misspelt one would silently mean nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Record(Strict):
    """A line of a data set. Its `id` is its own in the file."""

    id: CaseId


ModelT = TypeVar("ModelT", bound=BaseModel)
RecordT = TypeVar("RecordT", bound=Record)


class Turn(Wishes):
    """One regeneration. `choose`: the candidate (0 to 2) of the answer before to build. The ids of subjects
    are not known when a case is written, so `subject_id` stays null."""

    subject_id: None = None
    choose: int | None = Field(None, ge=0, le=2)


class Inputs(Strict):
    """What is sent: the first request, then `turns` regenerations of the same session."""

    profile: Profile
    language: Language
    turns: list[Turn] = Field([], max_length=3)


class Expect(Strict):
    """What is known of a good answer without having seen one."""

    family: Family | None = Field(description="of the desired job; null: none of the twelve")
    fits: list[Family] = Field(description="families whose postings count as fitting the desired job")
    language: Language
    canaries: list[Canary] = Field([], description="must appear nowhere in an answer, whatever the case")
    difficulty: Difficulty | None = Field(None, description="the only defensible level, when there is one")
    known_skills: list[Word] = Field([], description="what the person can do, so that no gap may name it")

    @model_validator(mode="after")
    def _check(self) -> Expect:
        if self.family is not None and self.family not in self.fits:
            raise ValueError(f"`fits` lacks the family itself, {self.family}")
        return self


class Case(Record):
    """One case. `source`: written for the project, or added from a session."""

    inputs: Inputs
    expect: Expect
    tags: list[Tag]
    source: Literal["written", "session"]

    @model_validator(mode="after")
    def _check(self) -> Case:
        if self.expect.language != self.inputs.language:
            raise ValueError("`expect.language` is another than `inputs.language`")
        return self


def read_cases(path: Path) -> list[Case]:
    """Returns the cases of a file; see `read_records`."""
    return read_records(path, Case)


def read_records(path: Path, kind: type[RecordT]) -> list[RecordT]:
    """Returns the records of a data set, in its order.

    Raises:
        InvalidRequestError: the file cannot be read, a line is no such record, or an id stands twice.
    """
    by_id: dict[str, RecordT] = {}
    for line, record in records(path, kind):
        if record.id in by_id:
            raise line_error(path, line, [("id", f"{record.id} stands twice")])
        by_id[record.id] = record
    return list(by_id.values())


def records(path: Path, kind: type[ModelT]) -> Iterator[tuple[int, ModelT]]:
    """Yields the records of a file, each with its line's number. Empty lines are skipped."""
    for row in read_rows(path):
        if row.problem is not None:
            raise line_error(path, row.line, [("line", row.problem)])
        try:
            yield row.line, kind.model_validate(row.value)
        except ValidationError as error:
            problems = [(".".join(map(str, one["loc"])) or "line", one["msg"]) for one in error.errors()]
            raise line_error(path, row.line, problems) from error


def write_case(path: Path, case: Case) -> None:
    """Appends a case to a file, which is created where there is none.

    Raises:
        InvalidRequestError: its id is taken, or the file cannot be read or written.
    """
    if path.exists() and any(other.id == case.id for other in read_cases(path)):
        raise InvalidRequestError(f"{path} has a case {case.id} already.", file=str(path))
    line = case.model_dump_json(exclude_unset=True) + "\n"
    try:
        with path.open("a+b") as file:
            # An editor may have left the last line without its end.
            if size := file.tell():
                file.seek(size - 1)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode())
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error}", file=str(path)) from error


def dataset_version(path: Path) -> str:
    """Returns the first 16 hex digits of the SHA-256 of the file's content."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}", file=str(path)) from error


def line_error(path: Path, line: int, problems: Iterable[tuple[str, str]]) -> InvalidRequestError:
    """Returns the error of a line: `problems` are its fields, and what is wrong with each."""
    fields: list[FieldProblem] = [{"field": field, "problem": problem} for field, problem in problems]
    listed = "; ".join(f"{one['field']}: {one['problem']}" for one in fields)
    return InvalidRequestError(f"{path}, line {line}: {listed}", file=str(path), line=line, fields=fields)
