"""Whether a subject is new to a session."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_NOT_TEXT = re.compile(r"[^\w+#]+|_+")
"""`+` and `#` stay: C, C++ and C# are three languages."""


def normalised(text: str) -> str:
    """Returns `text` without case, width, white space and punctuation: what makes two titles one."""
    return _NOT_TEXT.sub("", unicodedata.normalize("NFKC", text).casefold())


def repeated(subject: dict[str, Any], earlier: Iterable[dict[str, Any]]) -> str | None:
    """Returns the title of the earlier subject that `subject` repeats by title or by description,
    or None when it is new."""
    title, description = normalised(subject["title"]), normalised(subject["description"])
    for other in earlier:
        if title == normalised(other["title"]) or description == normalised(other["description"]):
            return str(other["title"])
    return None
