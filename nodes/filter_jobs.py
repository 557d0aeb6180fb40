from pydantic import BaseModel, Field


class Verdict(BaseModel):
    """Whether one posting is for the desired job."""

    posting_id: str
    fits: bool
    reason: str = Field(description="why, in at most one short sentence")


class JobVerdicts(BaseModel):
    """One verdict for each posting that was given, in the same order."""

    verdicts: list[Verdict]
