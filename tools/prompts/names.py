"""Which prompts of the hub are meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tools.core.errors import SetupError

_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+(?::[\w.-]+)?", re.ASCII)


def hub_names(configured: Sequence[str], keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Returns the hub's name and ref (`latest`, where none is given) of each prompt that is configured to
    come from there, by key (`filter_jobs.ko`).

    `configured` has a pattern with `{purpose}` and `{language}` at most, for all, and `key=name` for
    single ones, which go before it.

    Raises:
        SetupError: an entry is neither, or names a prompt that there is not.
    """
    known = list(keys)
    patterns = [entry for entry in configured if "=" not in entry]
    single = dict(entry.split("=", 1) for entry in configured if "=" in entry)
    unknown = sorted(set(single) - set(known))
    if len(patterns) > 1 or unknown:
        wrong = patterns[1:] + unknown
        raise SetupError(
            f"CHECKERBOARD_HUB_PROMPTS has {', '.join(wrong)}; it takes one pattern, and pairs of a prompt "
            f"({', '.join(known)}) and its name in the hub."
        )
    names = {}
    for key in known:
        pattern = single.get(key, next(iter(patterns), None))
        if pattern == "":
            raise SetupError(f"CHECKERBOARD_HUB_PROMPTS has {key}= without a name.")
        if pattern is not None:
            purpose, _, language = key.rpartition(".")
            names[key] = _identifier(pattern.replace("{purpose}", purpose).replace("{language}", language))
    if len(set(names.values())) < len(names):
        raise SetupError(
            "CHECKERBOARD_HUB_PROMPTS gives two prompts one name; a pattern needs {purpose} and {language}."
        )
    return names


def _identifier(entry: str) -> tuple[str, str]:
    if not _NAME.fullmatch(entry):
        raise SetupError(
            f"CHECKERBOARD_HUB_PROMPTS has {entry!r}, which is no name of a prompt in LangSmith."
        )
    name, _, ref = entry.partition(":")
    return name, ref or "latest"
