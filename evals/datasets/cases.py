"""Cases of the evals: a person, what is asked turn by turn, and what a good answer must hold to.

A data set is a file of cases, one line of JSON each (`evals/datasets/profiles.jsonl`). Its version is
the hash of its content, so that results name exactly what they were measured on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ingest.rows import rows
from tools.core.errors import FieldProblem, InvalidRequestError
from tools.postings.contracts import Difficulty, Language, Profile, Wishes, Word

DATASETS = Path(__file__).parent
"""The data sets written for the project."""
PROFILES = DATASETS / "profiles.jsonl"
HOSTILE_POSTINGS = DATASETS / "hostile_postings.jsonl"
QUERIES = DATASETS / "queries.jsonl"

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
TAGS = (
    "beginner",
    "junior",
    "senior",
    "career_changer",
    "thin",
    "rich",
    "contradictory",
    "hostile",
    "non_it",
    "odd",
    "long",
    "turns",
)
"""What the written cases are tagged with: who asks (the first four), then how. `thin`: little more than
the desired job; `contradictory`: parts of the profile speak against each other; `hostile`: it carries
instructions to the model; `odd`: valid, but unlike what people mostly send; `turns`: it regenerates."""

CaseId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
Tag = Annotated[str, StringConstraints(pattern=r"^\w+$", max_length=50)]
Canary = Annotated[str, StringConstraints(min_length=6, max_length=200)]


class Strict(BaseModel):
    """Unknown keys are refused: a misspelt one would silently mean nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Record(Strict):
    """A line of a data set. Its `id` is its own in the file."""

    id: CaseId


_Model = TypeVar("_Model", bound=BaseModel)
_Kind = TypeVar("_Kind", bound=Record)


class Turn(Wishes):
    """One regeneration. `choose`: the candidate (0 to 2) of the answer before to build; the ids of
    subjects are not known when a case is written, so `subject_id` stays null."""

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
    def _fits_itself(self) -> Expect:
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
    def _one_language(self) -> Case:
        if self.expect.language != self.inputs.language:
            raise ValueError("`expect.language` is another than `inputs.language`")
        return self


def read_cases(path: Path) -> list[Case]:
    """Returns the cases of a file, in its order.

    Raises:
        InvalidRequestError: see `read_records`.
    """
    return read_records(path, Case)


def read_records(path: Path, kind: type[_Kind]) -> list[_Kind]:
    """Returns the records of a data set, in its order.

    Raises:
        InvalidRequestError: the file cannot be read, a line is no such record, or an id stands twice. The
            message has the file, the line and what is wrong; so have `details`.
    """
    found: dict[str, _Kind] = {}
    for line, record in records(path, kind):
        if record.id in found:
            raise refused(path, line, [("id", f"{record.id} stands twice")])
        found[record.id] = record
    return list(found.values())


def records(path: Path, kind: type[_Model]) -> Iterator[tuple[int, _Model]]:
    """Yields what the lines of a file state, each with its number. Empty lines are passed over.

    Raises:
        InvalidRequestError: the file cannot be read, or a line is no such record.
    """
    for row in rows(path):
        if row.problem is not None:
            raise refused(path, row.line, [("line", row.problem)])
        try:
            yield row.line, kind.model_validate(row.value)
        except ValidationError as error:
            problems = [(".".join(map(str, one["loc"])) or "line", one["msg"]) for one in error.errors()]
            raise refused(path, row.line, problems) from error


def write_case(path: Path, case: Case) -> None:
    """Appends a case to a file, which is made where there is none.

    Raises:
        InvalidRequestError: its id is taken, or the file cannot be read or written.
    """
    if path.exists() and any(other.id == case.id for other in read_cases(path)):
        raise InvalidRequestError(f"{path} has a case {case.id} already.", file=str(path))
    line = case.model_dump_json(exclude_unset=True) + "\n"
    try:
        with path.open("a+b") as file:
            # Someone's editor may have left the last line without its end.
            if file.tell() and not _ends_a_line(file.fileno()):
                line = "\n" + line
            file.write(line.encode())
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error}", file=str(path)) from error


def dataset_version(path: Path) -> str:
    """Returns the first 16 hex digits of the SHA-256 of the file's content.

    Raises:
        InvalidRequestError: the file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}", file=str(path)) from error


def refused(path: Path, line: int, problems: Iterable[tuple[str, str]]) -> InvalidRequestError:
    """Returns the error of a line: `problems` are its fields, and what is wrong with each."""
    fields: list[FieldProblem] = [{"field": field, "problem": problem} for field, problem in problems]
    said = "; ".join(f"{one['field']}: {one['problem']}" for one in fields)
    return InvalidRequestError(f"{path}, line {line}: {said}", file=str(path), line=line, fields=fields)


def _ends_a_line(descriptor: int) -> bool:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) == b"\n"
