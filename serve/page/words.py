"""What the page says: its words in both languages, and the language of a request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from starlette.requests import Request

from serve.web import WEB
from tools.core.contracts import Language


class Words:
    """The words of one language: `words("weeks", weeks=6)`."""

    def __init__(self, language: Language, said: Mapping[str, str]) -> None:
        self.language = language
        self._said = said

    def __call__(self, key: str, **values: Any) -> str:
        """Returns what is said for `key`, with `values` filled in.

        Raises:
            KeyError: there are no such words, or a value is missing.
        """
        return self._said[key].format(**values) if values else self._said[key]


@cache
def words(language: Language) -> Words:
    """Returns the words of the templates."""
    return Words(language, _read("words.yaml", language))


@cache
def script_words(language: Language) -> Mapping[str, str]:
    """Returns the words of the scripts, which fill in values themselves."""
    return _read("script_words.yaml", language)


def _read(name: str, language: Language) -> dict[str, str]:
    said: dict[str, dict[Language, str]] = yaml.safe_load((WEB / name).read_text(encoding="utf-8"))
    return {key: of[language] for key, of in said.items()}


def language_of(request: Request, wanted: str | None, otherwise: Language | None = None) -> Language:
    """Returns the language asked for, else `otherwise`, else whichever of the two the browser names first;
    else Korean."""
    accepted = () if otherwise else request.headers.get("accept-language", "").split(",")
    for named in (wanted or "", *accepted):
        match named.strip()[:2].lower():
            case "ko":
                return "ko"
            case "en":
                return "en"
    return otherwise or "ko"
