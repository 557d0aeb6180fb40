"""The models that more than one room uses: profiles, wishes, subjects, projects, answers.

They are the public contract of the REST routes; those of postings are in `tools.postings.contracts`. What a
model is asked to write is narrower and stands beside the node that asks (`nodes/*.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from tools.core.text import clean, is_typed, texts

MAX_PROFILE_CHARS = 20_000
"""Longest profile, in characters of all its texts together: about 10,000 tokens of Korean, which leaves
room for twenty postings in the smallest context window that is supported (128k)."""

MOST_WEEKS = 26
"""Longest project, in weeks: half a year."""

Language = Literal["ko", "en"]
Difficulty = Literal["beginner", "intermediate", "advanced"]
CareerStage = Literal["student", "job_seeker", "worker"]


def _typed(value: Any) -> Any:
    """Refuses control characters and cleans what a person sends (`tools.core.text.clean`)."""
    if not isinstance(value, str):
        return value
    if not is_typed(value):
        raise ValueError("contains control characters; remove them")
    return clean(value)


class NullIsEmpty:
    """Takes `null` for an empty list, and says so in the JSON schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: [] if value is None else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "null"}]}


def _no_truth_value(value: Any) -> Any:
    """Refuses true and false, which Pydantic takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("is true or false, and no number")  # noqa: TRY004 - what Pydantic takes for invalid
    return value


Number = BeforeValidator(_no_truth_value)
"""Stands in the annotation of a number that a person sends."""
Clean = BeforeValidator(_typed)
"""Stands last in an annotation: constraints before it are then checked on the cleaned text."""
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), Clean]
"""One line of a person's text, at most 300 characters."""
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Clean]
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5_000), Clean]
Date = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), Clean]
Words = Annotated[list[Word], Field(max_length=100), NullIsEmpty()]


class _Request(BaseModel):
    """What a caller sends: unknown keys are refused, `null` is accepted for all that is optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Education(_Request):
    """A school. `gpa` of `gpa_max`, on whatever scale the school uses."""

    school: Line | None = None
    major: Line | None = None
    gpa: Annotated[float | None, Number] = Field(None, ge=0, le=1000)
    gpa_max: Annotated[float | None, Number] = Field(None, gt=0, le=1000)


class Experience(_Request):
    """A job, an internship or a team role."""

    company: Line | None = None
    role: Line | None = None
    start: Date | None = None
    end: Date | None = None
    description: Paragraph | None = None


class PastProject(_Request):
    """A project the person has already done."""

    title: Line | None = None
    description: Paragraph | None = None
    skills: Words = []


class Item(_Request):
    """An activity, an award or a certificate."""

    title: Line | None = None
    description: Paragraph | None = None
    date: Date | None = None


Educations = Annotated[list[Education], Field(max_length=20), NullIsEmpty()]
Experiences = Annotated[list[Experience], Field(max_length=30), NullIsEmpty()]
PastProjects = Annotated[list[PastProject], Field(max_length=50), NullIsEmpty()]
Items = Annotated[list[Item], Field(max_length=50), NullIsEmpty()]


class Profile(_Request):
    """Who looks for a project. Only `desired_job` is required."""

    desired_job: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"[\p{L}\p{N}]"),
        Clean,
    ]
    career_stage: CareerStage | None = None
    skills: Words = []
    desired_companies: Words = []
    educations: Educations = []
    experiences: Experiences = []
    projects: PastProjects = []
    activities: Items = []
    awards: Items = []
    certificates: Items = []
    introduction: Paragraph | None = None
    wishes: Annotated[list[Line], Field(max_length=20), NullIsEmpty()] = Field(
        [],
        description="what the project should be about or teach, a wish an item",
    )
    hours_per_week: Annotated[int | None, Number] = Field(
        None, ge=1, le=80, description="hours a week that the person has for the project"
    )

    @model_validator(mode="after")
    def _short_enough(self) -> Profile:
        length = sum(map(len, texts(self.model_dump())))
        if length > MAX_PROFILE_CHARS:
            raise ValueError(f"the profile has {length} characters; at most {MAX_PROFILE_CHARS} are read")
        return self


class RetrievedPosting(BaseModel):
    """One of the postings an answer rests on, and whether it fits the desired job."""

    posting_id: str
    source: str
    source_id: str
    company: str
    job_title: str
    score: float
    kept: bool
    reason: str


class SummaryLine(BaseModel):
    """One thing the market asks for: how many of the kept postings, and which."""

    text: str
    count: int
    posting_ids: list[str]


class Summary(BaseModel):
    """What the kept postings ask for, most wanted first."""

    responsibilities: list[SummaryLine] = []
    qualifications: list[SummaryLine] = []
    preferred: list[SummaryLine] = []
    skills: list[SummaryLine] = Field([], description="counted by the service in the postings' texts")
    domains: list[SummaryLine] = Field([], description="what the companies make, and for whom")


class SkillGap(BaseModel):
    """A skill the market asks for that the profile does not show, and why it matters."""

    skill: str
    reason: str


class NotCovered(BaseModel):
    """A wish or a skill that a project leaves out, and why."""

    name: str
    reason: str


class Subject(BaseModel):
    """A project one could do: its id, what and why, and the postings that speak for it."""

    id: str
    title: str
    description: str
    goal: str
    skills: list[str]
    skill_gaps: list[SkillGap]
    posting_ids: list[str]
    wishes: list[str] = Field([], description="wishes of the person that it serves, in the person's words")
    strengths: list[str] = Field([], description="what the person can do already and builds on here")
    not_covered: list[NotCovered] = []


class Fault(BaseModel):
    """A failure that a task causes on purpose: what shows it, and what is built against it."""

    what: str
    signal: str
    remedy: str


class Task(BaseModel):
    """One piece of work with something to show at its end."""

    title: str
    description: str
    skills: list[str]
    deliverable: str
    hours: float | None = Field(None, description="hours that it takes; null in answers of before")
    fault: Fault | None = None


class Step(BaseModel):
    """A stage of the project: tasks in the order they are done."""

    title: str
    weeks: float | None = Field(None, description="of the project's weeks; null in answers of before")
    tasks: list[Task]


class MinimumVersion(BaseModel):
    """What can be shown already after about half of the weeks."""

    after_step: int = Field(description="the step at whose end it stands, from 1")
    shows: str


class DataSource(BaseModel):
    """Data that a project needs: its name, and where it comes from or how it is made."""

    name: str
    origin: str


class Evidence(BaseModel):
    """A quote in the posting's own letters, as `GET /postings/{posting_id}` shows them; white space is
    folded. What the model wrote may have differed in width or in kinds of dashes and quotation marks."""

    posting_id: str
    company: str
    job_title: str
    quote: str
    claim: str = Field("", description="what of the project it speaks for")


class Project(BaseModel):
    """The recommended project, ready to start."""

    subject_id: str
    title: str
    description: str
    difficulty: Difficulty
    duration_weeks: int
    skills: list[str]
    summary: str
    steps: list[Step]
    evidence: list[Evidence]
    goal: str = Field("", description="what is shown at the end, by a number")
    hours_per_week: int | None = Field(None, description="hours a week that the weeks are reckoned with")
    minimum_version: MinimumVersion | None = None
    data: list[DataSource] = []
    costs: str = Field("", description="what it costs to run, and how it is taken down again")
    wishes: list[str] = Field([], description="wishes of the person that it serves, in the person's words")
    not_covered: list[NotCovered] = []


class Wishes(_Request):
    """What a person asks of the next project. `weeks` is a bound: it may take fewer, but no more."""

    subject_id: Annotated[str, StringConstraints(max_length=100), Clean] | None = Field(
        None, description="a candidate to build; without it a new subject is proposed"
    )
    difficulty: Difficulty | None = None
    weeks: Annotated[int | None, Number] = Field(
        None, ge=1, le=MOST_WEEKS, description="weeks that it may take at most"
    )
    skills: Words = []
    feedback: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2_000), Clean] | None = None


class AnswerWarning(BaseModel):
    """What a check of the answer found and the model could not put right, for the person to read."""

    code: str
    node: str
    message: str


Versions = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
"""What made each part of an answer, by node: prompt, model, corpus; and `offline`."""


class Answer(BaseModel):
    """What generate and regenerate answer with."""

    session_id: str
    project: Project
    candidates: list[Subject]
    missing: int = Field(description="candidates that could not be found new to the session; usually 0")
    summary: Summary
    postings: list[RetrievedPosting]
    closest_only: bool = Field(
        description="no posting was for the desired job: the answer rests on the nearest ones"
    )
    left_out: dict[str, list[str]] = Field(
        {}, description="by node, the postings that were not read: the input was too long; usually empty"
    )
    warnings: list[AnswerWarning] = Field(
        [], description="what checks found in the answer and the model could not put right; usually empty"
    )
    versions: Versions
