from pydantic import BaseModel, Field

from tools.contracts import SkillGap


class Proposal(BaseModel):
    """A portfolio project for this person and this market."""

    title: str
    description: str = Field(description="what is built, two or three sentences")
    goal: str = Field(description="what will have been shown at the end, measurable")
    skills: list[str]
    skill_gaps: list[SkillGap] = Field(description="what the market asks and the profile does not show")
    posting_ids: list[str] = Field(description="ids of the postings that speak for it")


class SubjectProposals(BaseModel):
    """Subjects, the best one first, that differ in kind and not in wording."""

    subjects: list[Proposal]
