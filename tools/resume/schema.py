"""What a model writes about a résumé: words as they stand there, and numbers of lines."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tools.core.contracts import CareerStage


class EducationRead(BaseModel):
    """A school."""

    school: str | None
    major: str | None
    gpa: str | None
    gpa_max: str | None


class ExperienceRead(BaseModel):
    """A job."""

    company: str | None
    role: str | None
    start: str | None
    end: str | None
    lines: list[int] = Field(description="what was done there")


class ProjectRead(BaseModel):
    """A project."""

    title: str | None
    skills: list[str]
    lines: list[int] = Field(description="what it is")


class ItemRead(BaseModel):
    """An activity, an award or a certificate."""

    title: str | None
    date: str | None
    lines: list[int]


class ResumeReading(BaseModel):
    """What stands where in a résumé: words as they stand there, and numbers of lines."""

    names: list[str]
    private: list[int]
    headings: list[int]
    desired_job: str | None
    career_stage: CareerStage | None
    stage_line: int | None
    skills: list[str]
    educations: list[EducationRead]
    experiences: list[ExperienceRead]
    projects: list[ProjectRead]
    activities: list[ItemRead]
    awards: list[ItemRead]
    certificates: list[ItemRead]
    introduction: list[int]
