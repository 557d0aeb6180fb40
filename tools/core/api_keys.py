"""API keys in the settings: lists of `name:sha256`, so that the keys themselves are stored nowhere. And how a
key may be called, whether it is there or in the database."""

from __future__ import annotations

import hashlib
import re

_NAME = re.compile(r"[\w.@](?:[\w.@:-]*[\w.@-])?")
_ENTRY = re.compile(r"[\w.@][\w.@:-]*(?=:)")
MAX_NAME = 100
_HASH = re.compile(r":([0-9A-Fa-f]{64})(?!\S)")
_SHA256SUM_TAIL = re.compile(r"(?:\s+\*?-)?")
"""What sha256sum prints after the hash of its standard input."""
_HASHES_OF_NOTHING = {hashlib.sha256(empty).hexdigest() for empty in (b"", b"\n")}
"""What it prints where the key was not set."""

RESERVED = ("visitor:", "guest:")
"""How owners begin that have no key (`graph/sessions/owners.py`)."""
KeyNames = dict[str, str]
"""The name of each key, by its hash."""


def parse_key_lists(callers: str | None, admins: str | None) -> tuple[KeyNames, KeyNames]:
    """Returns the keys of those who may call and of those who may change what all get.

    Entries are separated by commas or line ends, and a hash may be followed by what `sha256sum` prints after
    it. None is no list: everybody may call, nobody may change a thing.

    Raises:
        ValueError: a list is empty, an entry has another form, or a name or key is there twice. The message
            repeats nothing of the list, because people put the key itself there.
    """
    parsed = _parse("CHECKERBOARD_API_KEYS", callers), _parse("CHECKERBOARD_ADMIN_KEYS", admins)
    (hashes, names), (admin_hashes, admin_names) = ((set(keys), set(keys.values())) for keys in parsed)
    if hashes & admin_hashes or names & admin_names:
        raise ValueError(
            "CHECKERBOARD_API_KEYS and CHECKERBOARD_ADMIN_KEYS share a name or a key; an administrator's "
            "key may call as it is"
        )
    return parsed


def check_name(name: str) -> None:
    """Checks a name for a key that is stored.

    Raises:
        ValueError: it is none; the message says what is wrong with it.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(
            f"it has 1 to {MAX_NAME} letters, digits and _ . @ - :, and neither begins nor ends with a colon"
        )
    if name.startswith(RESERVED):
        raise ValueError(f"it begins with {' or '.join(RESERVED)}, as those of people without a key do")


def _parse(setting: str, configured: str | None) -> KeyNames:
    keys: KeyNames = {}
    if configured is None:
        return keys
    for entry in re.split(r"[,\n]", re.sub(r"\s*:\s*", ":", configured)):
        if entry.strip() and (problem := _add(keys, entry.strip())):
            raise ValueError(
                f"{setting} is a list of name:sha256, each name once, each key once, such as "
                f"web:HASH,mobile:HASH. Entry {len(keys) + 1} {problem}. "
                "printf '%s' \"$KEY\" | sha256sum prints the hash of a key."
            )
    if not keys:
        # Somebody meant to name keys, so nobody is let in without one.
        raise ValueError(f"{setting} is set and names nobody. Give it name:sha256 of each key, or unset it.")
    return keys


def _add(keys: KeyNames, entry: str) -> str | None:
    """Adds an entry; returns what is wrong with it where it cannot be added."""
    if not (name := _ENTRY.match(entry)):
        return "does not begin with a name and a colon"
    if not (digest := _HASH.match(entry, name.end())):
        return "has no 64 hexadecimal digits behind its name"
    key = digest[1].lower()
    if key in _HASHES_OF_NOTHING:
        return "has the hash of an empty key: KEY was not set when it was made"
    if name[0] in keys.values():
        return "has the name of another"
    if name[0].startswith(RESERVED):
        return f"has a name that begins with {' or '.join(RESERVED)}, as those of people without a key do"
    if key in keys:
        return "has the key of another"
    if not _SHA256SUM_TAIL.fullmatch(entry, digest.end()):
        return "is not followed by a comma"
    keys[key] = name[0]
    return None
