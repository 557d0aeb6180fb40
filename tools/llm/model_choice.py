"""Which chat model answers for a purpose, and with which parameters."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ModelChoice(BaseModel):
    """A chat model and its parameters, by the names that OpenAI's API gives them. What is null is left
    to the service's settings, and after those to the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None

    def over(self, other: ModelChoice) -> ModelChoice:
        """Returns this choice, with what it leaves open taken from `other`."""
        return other.model_copy(update=self.model_dump(exclude_none=True))

    def parameters(self) -> dict[str, Any]:
        """Returns what is chosen besides the model, for a request's body."""
        return self.model_dump(exclude={"model"}, exclude_none=True)
