"""What checks find wrong in an answer, in words for the model that is to put it right, and for the person who
gets the answer where it could not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from nodes.state import AnswerWarningDict
from tools.core.contracts import Language
from tools.core.text import cut

_LONGEST_VALUE = 120
"""Characters that are shown of what the model wrote."""

_TEXTS: dict[str, dict[Language, str]] = yaml.load(
    (Path(__file__).parent / "findings.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an answer.

    `code` is a key of `findings.yaml`, `field` the field of the answer that it is about, `name` and `count`
    what the text tells of it.
    """

    code: str
    field: str
    name: str = ""
    count: float = 0

    def text(self, language: Language) -> str:
        """Returns the finding as a sentence."""
        name = self.name if len(self.name) <= _LONGEST_VALUE else f"{cut(self.name, _LONGEST_VALUE)}…"
        return _TEXTS[self.code][language].format(name=name, count=f"{self.count:g}")

    def problem(self, language: Language) -> str:
        """Returns it for the model that wrote the answer."""
        return f"{self.field}: {self.text(language)}"

    def warning(self, node: str, language: Language) -> AnswerWarningDict:
        """Returns it for the person."""
        return {"code": self.code, "node": node, "message": self.text(language)}
