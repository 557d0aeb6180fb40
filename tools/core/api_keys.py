"""Lists of API keys as settings have them: a name for each, and the hash of the key, never the key."""

from __future__ import annotations

import hashlib
import re

_SEPARATOR = re.compile(r"\s*[,\n][\s,]*")
_NAME = re.compile(r"\s*([\w.@][\w.@:-]*)(?=\s*:)")
_HASH = re.compile(r"\s*:\s*([0-9A-Fa-f]{64})(?![^\s,])")
_OF_STANDARD_INPUT = re.compile(r"[^\S\n]+\*?-(?![^\s,])")
"""What sha256sum prints behind the hash of what it was given through a pipe."""
_OF_NOTHING = {hashlib.sha256(nothing).hexdigest() for nothing in (b"", b"\n")}
"""What it prints where the key was not set."""

Names = dict[str, str]
"""Names of keys, by the hash of each."""


def read_key_lists(callers: str | None, admins: str | None) -> tuple[Names, Names]:
    """Reads `name:sha256,name:sha256,…` of those who may call and of those who may change what all get.
    A hash is 64 hexadecimal digits, and may be followed by what `sha256sum` prints behind it.

    None is no list: everybody may call, nobody may change a thing.

    Raises:
        ValueError: a list is empty, an entry has another form, or a name or a key stands twice. The message
            says where and what to do, and repeats nothing of the list: people put the key itself there.
    """
    read = _read("CHECKERBOARD_API_KEYS", callers), _read("CHECKERBOARD_ADMIN_KEYS", admins)
    (hashes, names), (other_hashes, other_names) = ((set(one), set(one.values())) for one in read)
    if hashes & other_hashes or names & other_names:
        raise ValueError(
            "CHECKERBOARD_API_KEYS and CHECKERBOARD_ADMIN_KEYS share a name or a key; an administrator's "
            "key may call as it is"
        )
    return read


def _read(setting: str, configured: str | None) -> Names:
    names: Names = {}
    if configured is None:
        return names
    place, end = _after(_SEPARATOR, configured, 0), len(configured.rstrip())
    while place < end:
        found, problem = _entry(names, configured, place)
        if problem:
            raise ValueError(
                f"{setting} is a list of name:sha256, each name once, each key once, such as "
                f"web:HASH,mobile:HASH. Entry {len(names) + 1} {problem}. "
                "printf '%s' \"$KEY\" | sha256sum prints the hash of a key."
            )
        place = found
    if not names:
        # Somebody meant to name keys, so nobody is let in without one.
        raise ValueError(f"{setting} is set and names nobody. Give it name:sha256 of each key, or unset it.")
    return names


def _entry(names: Names, configured: str, place: int) -> tuple[int, str]:
    """Adds the entry that begins at `place`; returns where the next one does, or what is wrong with it."""
    if not (name := _NAME.match(configured, place)):
        return place, "does not begin with a name and a colon"
    if not (found := _HASH.match(configured, name.end())):
        return place, "has no 64 hexadecimal digits behind its name"
    digest = found[1].lower()
    if digest in _OF_NOTHING:
        return place, "has the hash of an empty key: KEY was not set when it was made"
    if name[1] in names.values():
        return place, "has the name of another"
    if digest in names:
        return place, "has the key of another"
    behind = _after(_OF_STANDARD_INPUT, configured, found.end())
    following = _after(_SEPARATOR, configured, behind)
    if following == behind and configured[behind:].strip():
        return place, "is not followed by a comma"
    names[digest] = name[1]
    return max(following, behind), ""


def _after(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return found.end() if found else place
