from pydantic import BaseModel, Field


class AskedFor(BaseModel):
    """Something the market asks for, in a few words, and every posting that asks for it."""

    text: str
    posting_ids: list[str] = Field(description="ids of the given postings that ask for it")


class MarketSummary(BaseModel):
    """What these postings ask for, each list with the most wanted first."""

    responsibilities: list[AskedFor]
    qualifications: list[AskedFor]
    preferred: list[AskedFor]
    skills: list[AskedFor]
