from pydantic import BaseModel, Field

from tools.contracts import Difficulty, Step


class Quote(BaseModel):
    """Words of a posting that speak for this project, copied letter for letter."""

    posting_id: str
    quote: str


class ProjectPlan(BaseModel):
    """The project as steps in order, each with tasks that end in something to show."""

    title: str
    description: str
    difficulty: Difficulty
    duration_weeks: int = Field(ge=1, le=26)
    skills: list[str]
    summary: str = Field(description="why this project, for this person and this market")
    steps: list[Step]
    evidence: list[Quote]
