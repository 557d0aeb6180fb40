"""The models of postings, a public contract of the REST routes and of the files that are loaded."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from tools.core.contracts import NullIsEmpty
from tools.core.text import clean, web_address
from tools.postings.deadlines import last_day
from tools.postings.normalization import normal_company, normal_skills, normal_title, unnamed


def _storable(value: Any) -> Any:
    """Cleans a text of a posting. A missing one is empty, a number becomes its digits."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value)) if value == value // 1 else str(value)
    return clean(value.replace("\r\n", "\n").replace("\r", "\n")) if isinstance(value, str) else value


def _on_one_line(value: Any) -> Any:
    stored = _storable(value)
    return " ".join(stored.split()) if isinstance(stored, str) else stored


def _or_null(value: Any) -> Any:
    return _on_one_line(value) or None


def _words(value: Any) -> Any:
    """Skills in one text are separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _not_empty(names: list[str]) -> list[str]:
    return [name for name in names if name]


Text = Annotated[str, BeforeValidator(_storable), StringConstraints(strip_whitespace=True, max_length=50_000)]
Name = Annotated[str, BeforeValidator(_on_one_line), StringConstraints(max_length=50_000)]
"""A text of one line."""
OptionalName = Annotated[str | None, BeforeValidator(_or_null)]
"""A text of one line; null where it is not known."""
Skills = Annotated[list[Name], BeforeValidator(_words), AfterValidator(_not_empty), NullIsEmpty()]
WebAddress = Annotated[str | None, BeforeValidator(web_address)]
"""The address of a page, http or https; null for everything else (`tools.core.text`)."""
Deadline = Annotated[date | None, BeforeValidator(last_day)]
"""The last day of a deadline in any form (`tools.postings.deadlines`); null where that is no day."""


def _normal_company(value: str, info: ValidationInfo) -> str:
    return normal_company(value or info.data.get("company", ""))


def _normal_title(value: str, info: ValidationInfo) -> str:
    return normal_title(value or info.data.get("job_title", ""), info.data.get("company", ""))


def _normal_skills(value: list[str], info: ValidationInfo) -> list[str]:
    if value:
        return normal_skills(value)
    texts = (info.data.get(name, "") for name in ("job_title", *TEXT_FIELDS))
    return normal_skills(info.data.get("skills", []), "\n".join(texts))


class PostingKey(BaseModel):
    """What names a posting in every load: its source, its id there, and which position of it this is."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    source: Annotated[Text, Field(min_length=1, max_length=200)]
    source_id: Annotated[Text, Field(min_length=1, max_length=300)]
    position: int = Field(0, ge=0, description="which of the document's positions this is, from 0")


class Position(BaseModel):
    """One position of a job posting, in the posting's own words. Beside these, normalized, is what it is
    searched by: made by rule (`tools.postings.normalization`) of the literal fields, or of a reading of them.

    Every field is declared here and nowhere else: the columns of the store
    (`tools/postings/repository.py`), those of files (`ingest/structured/columns.yaml`) and what the model
    tags (`ingest/tagging/positions.py`) follow."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    company: Annotated[Name, Field(max_length=300)] = ""
    job_title: Annotated[Name, Field(min_length=1, max_length=500)]
    responsibilities: Text = ""
    requirements: Text = ""
    preferred: Text = ""
    url: WebAddress = None
    deadline: Deadline = Field(None, description="last day on which one can apply; null: none is known")
    location: OptionalName = None
    employment_type: OptionalName = None
    experience: OptionalName = None
    skills: Skills = []
    normalized_title: Annotated[Name, Field(max_length=500), AfterValidator(_normal_title)] = Field(
        "", validate_default=True, description="the name of the job alone, as it is searched by"
    )
    normalized_company: Annotated[Name, Field(max_length=300), AfterValidator(_normal_company)] = Field(
        "", validate_default=True, description="the company without its legal form"
    )
    normalized_skills: Annotated[Skills, AfterValidator(_normal_skills)] = Field(
        [], validate_default=True, description="what it names of skills, by their usual names"
    )


TEXT_FIELDS = ("responsibilities", "requirements", "preferred")
"""The fields of a position that are texts with one item a line."""


class Posting(Position, PostingKey):
    """One position of one job posting, as it is loaded, stored and searched.

    `responsibilities`, `requirements` and `preferred` are texts with one item a line.
    """

    def text(self) -> str:
        """Everything a quote may stand in, one item a line."""
        parts = (self.job_title, *(getattr(self, name) for name in TEXT_FIELDS))
        return "\n".join(part for part in parts if part)

    def search_text(self) -> str:
        """What is embedded: the normalized title, the texts, and the usual names of the skills that these
        spell otherwise. Where nothing was normalized yet, it is `text`."""
        parts = (self.normalized_title or self.job_title, *(getattr(self, name) for name in TEXT_FIELDS))
        text = "\n".join(part for part in parts if part)
        names = ", ".join(unnamed(self.normalized_skills or [], text))
        return f"{text}\n{names}" if names else text


class StoredPosting(Posting):
    """A posting with the id that this service gave it (`p-17`)."""

    posting_id: str


class FoundPosting(StoredPosting):
    """A search hit, and why it is one. `score` is the cosine similarity, from -1 to 1; higher is nearer.
    The order is that of `fused`."""

    score: float
    fused: float = Field(
        0.0, description="what the order is by: meaning, terms, family and feedback together"
    )
    families: list[str] = Field([], description="job families that it is for, the likeliest first")
    dense_rank: int | None = Field(None, description="its place by meaning alone; null: not asked")
    lexical_rank: int | None = Field(
        None, description="its place by shared terms alone; null: none, or not asked"
    )
    terms: list[str] = Field(
        [], description="terms shared with the search text, the heaviest first; `#`: a skill"
    )
    capped: Literal["company", "copy"] | None = Field(
        None,
        description="why it comes after all others: its company has three already, or its text is another's",
    )
