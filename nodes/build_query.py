"""build_query: the text that is searched for."""

from __future__ import annotations

from typing import Any, NotRequired

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from nodes.state import ProfileDict, Turn, profile_dict
from tools.context import RunContext
from tools.core.contracts import Language, Profile
from tools.core.text import cut

_LONG = 500
"""Characters taken of a long text: enough for its subject, too few to drown the desired job."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: ProfileDict
    language: Language
    turn: NotRequired[Turn]


async def build_query(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Parses the profile and writes the search text.

    Reads `profile`, `language`, `turn`; writes them, validated, and `query`. A fresh run has no chosen
    subject, whatever an earlier one had. The query has the desired job in its first line, then what the
    person can and did, and after an empty line what interests them: the search weighs the three
    (`tools/retrieval/understanding.py`). Schools and companies stay out, because postings do not name them.

    Raises:
        pydantic.ValidationError: the profile is not valid (the routes have checked it before).
    """
    profile = Profile.model_validate(state["profile"])
    lines = [
        profile.desired_job,
        ", ".join(profile.skills),
        *(_joined(e.role, _beginning(e.description)) for e in profile.experiences),
        *(_joined(p.title, _beginning(p.description), ", ".join(p.skills)) for p in profile.projects),
        ", ".join(item.title for item in (*profile.certificates, *profile.activities) if item.title),
    ]
    interests = [*(profile.wishes or []), _beginning(profile.introduction)]
    return {
        "profile": profile_dict(profile),
        "language": state.get("language", "ko"),
        "turn": {**state.get("turn", {}), "chosen": None},
        "query": "\n\n".join(filter(None, (_lines(lines), _lines(interests)))),
    }


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    length = len(update["query"])
    return f"{length}자의 검색문" if language == "ko" else f"a search text of {length} characters"


def _lines(texts: list[str]) -> str:
    """Without empty lines, which part what the person can from what interests them."""
    return "\n".join(line for text in texts for line in text.splitlines() if line.strip())


def _beginning(text: str | None) -> str:
    """Cut between words: an embedding takes half a sentence for what it is about."""
    return cut(text or "", _LONG)


def _joined(*parts: str | None) -> str:
    return ": ".join(part for part in parts if part)
