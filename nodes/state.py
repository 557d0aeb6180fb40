"""The parts of a session's state, as nodes read and write them.

They hold JSON primitives only: the Redis saver gives no richer type back. Those that end in `Dict` are dumps
of the models of the same name in `tools.core.contracts`; a test holds their keys to the models' fields.
"""

from __future__ import annotations

from typing import Required, cast

from typing_extensions import TypedDict

from tools.core.contracts import CareerStage, Difficulty, Profile


class EducationDict(TypedDict, total=False):
    """A school."""

    school: str | None
    major: str | None
    gpa: float | None
    gpa_max: float | None


class ExperienceDict(TypedDict, total=False):
    """A job, an internship or a team role."""

    company: str | None
    role: str | None
    start: str | None
    end: str | None
    description: str | None


class PastProjectDict(TypedDict, total=False):
    """A project the person has already done."""

    title: str | None
    description: str | None
    skills: list[str] | None


class ItemDict(TypedDict, total=False):
    """An activity, an award or a certificate."""

    title: str | None
    description: str | None
    date: str | None


class ProfileDict(TypedDict, total=False):
    """The person: as it was sent until `build_query` has validated it, then with every key."""

    desired_job: Required[str]
    career_stage: CareerStage | None
    skills: list[str] | None
    desired_companies: list[str] | None
    educations: list[EducationDict] | None
    experiences: list[ExperienceDict] | None
    projects: list[PastProjectDict] | None
    activities: list[ItemDict] | None
    awards: list[ItemDict] | None
    certificates: list[ItemDict] | None
    introduction: str | None
    wishes: list[str] | None
    hours_per_week: int | None


def profile_dict(profile: Profile) -> ProfileDict:
    """Returns a validated profile as the state holds it."""
    return cast(ProfileDict, profile.model_dump())


class Retrieved(TypedDict):
    """A posting that the search returned; `score` is the cosine similarity to the query."""

    posting_id: str
    source: str
    source_id: str
    company: str
    job_title: str
    score: float


class JudgedPosting(TypedDict):
    """Why a posting was kept or dropped."""

    posting_id: str
    reason: str


class Relevant(TypedDict):
    """Which of the retrieved postings are for the desired job."""

    kept: list[JudgedPosting]
    dropped: list[JudgedPosting]
    closest_only: bool
    """No posting is for the desired job: the kept ones are the nearest."""


class SummaryLineDict(TypedDict):
    """One thing that the kept postings ask for, and which of them do."""

    text: str
    count: int
    posting_ids: list[str]


class SummaryDict(TypedDict):
    """What the kept postings ask for, most wanted first."""

    responsibilities: list[SummaryLineDict]
    qualifications: list[SummaryLineDict]
    preferred: list[SummaryLineDict]
    skills: list[SummaryLineDict]
    domains: list[SummaryLineDict]


class SkillGapDict(TypedDict):
    """A skill that the market asks for and the profile does not show."""

    skill: str
    reason: str


class NotCoveredDict(TypedDict):
    """A wish or a skill that is left out, and why."""

    name: str
    reason: str


class SubjectDict(TypedDict):
    """A project one could do."""

    id: str
    title: str
    description: str
    goal: str
    skills: list[str]
    skill_gaps: list[SkillGapDict]
    posting_ids: list[str]
    wishes: list[str]
    strengths: list[str]
    not_covered: list[NotCoveredDict]


class Turn(TypedDict, total=False):
    """What was asked of this turn."""

    chosen: SubjectDict | None
    """The candidate to build; none: a new subject is proposed."""
    difficulty: Difficulty | None
    weeks: int | None
    """Weeks that the project may take at most."""
    skills: list[str]
    feedback: str | None
    key: str | None
    """Names the request's Idempotency-Key."""


class Draft(TypedDict, total=False):
    """A proposal that is not complete yet; empty when none is under way."""

    main: SubjectDict | None
    """The main subject, once it has passed."""
    passed: list[SubjectDict]
    """Candidates that have passed."""
    refused: list[SubjectDict]
    """Subjects that repeat earlier ones: shown to the model, so that it does not propose them again."""
    problems: list[str]
    attempts: int


class Subjects(TypedDict):
    """The subjects of a turn."""

    current: SubjectDict
    candidates: list[SubjectDict]
    missing: int
    """Candidates that could not be found new to the session."""


class TaskDict(TypedDict):
    """One piece of work with something to show at its end."""

    title: str
    description: str
    skills: list[str]
    deliverable: str
    hours: float | None
    fault: FaultDict | None


class FaultDict(TypedDict):
    """A failure that a task causes on purpose."""

    what: str
    signal: str
    remedy: str


class StepDict(TypedDict):
    """A stage of the project."""

    title: str
    weeks: float | None
    tasks: list[TaskDict]


class EvidenceDict(TypedDict):
    """A quote of a posting."""

    posting_id: str
    company: str
    job_title: str
    quote: str
    claim: str


class MinimumVersionDict(TypedDict):
    """What stands after about half of the weeks."""

    after_step: int
    shows: str


class DataSourceDict(TypedDict):
    """Data that a project needs."""

    name: str
    origin: str


class ProjectDict(TypedDict):
    """The recommended project."""

    subject_id: str
    title: str
    description: str
    difficulty: Difficulty
    duration_weeks: int
    skills: list[str]
    summary: str
    steps: list[StepDict]
    evidence: list[EvidenceDict]
    goal: str
    hours_per_week: int | None
    minimum_version: MinimumVersionDict | None
    data: list[DataSourceDict]
    costs: str
    wishes: list[str]
    not_covered: list[NotCoveredDict]


class AnswerWarningDict(TypedDict):
    """What a check found and the model could not put right."""

    code: str
    node: str
    message: str
