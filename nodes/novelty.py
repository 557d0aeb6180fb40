"""Whether a subject is new to a session: by title, by text and by meaning."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from tools.llm.embeddings import similarity

_NOT_TEXT = re.compile(r"[^\w+#]+|_+")
"""`+` and `#` stay: C, C++ and C# are three languages."""


def normalised(text: str) -> str:
    """Returns `text` without case, width, white space and punctuation: what makes two titles one."""
    return _NOT_TEXT.sub("", unicodedata.normalize("NFKC", text).casefold())


def repeated(subject: Mapping[str, Any], earlier: Iterable[Mapping[str, Any]]) -> str | None:
    """Returns the title of the earlier subject that `subject` repeats by title or by description,
    or None when it is new."""
    title, description = normalised(subject["title"]), normalised(subject["description"])
    for other in earlier:
        if title == normalised(other["title"]) or description == normalised(other["description"]):
            return str(other["title"])
    return None


def essence(subject: Mapping[str, Any]) -> str:
    """Returns the text of a subject whose embedding is compared."""
    return f"{subject['title']}\n{subject['description']}"


def reworded(fingerprint: str, earlier: dict[str, str], threshold: float) -> str | None:
    """Returns the id of the earlier subject (`earlier`: fingerprints by id) that is nearest in
    meaning, when its cosine reaches `threshold`, or None when all are farther."""
    near = {subject_id: similarity(fingerprint, known) for subject_id, known in earlier.items()}
    nearest = max(near, key=lambda subject_id: near[subject_id], default=None)
    return nearest if nearest is not None and near[nearest] >= threshold else None
