"""Addresses that hold what they name: `data:image/png;base64,…`."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_BEGINS = re.compile(r"\s*data:", re.IGNORECASE)
_SPACES = re.compile(rb"[\s\x00-\x20]+")
_LONGEST_HEAD = 1_000
_PLAIN = "text/plain"


@dataclass(frozen=True, slots=True)
class Data:
    """What an address holds."""

    media_type: str
    content: bytes


def is_data_url(url: str) -> bool:
    """Whether an address holds what it names."""
    return _BEGINS.match(url) is not None


def read_data_url(url: str) -> Data | None:
    """Returns what an address holds; None where it is another address, or its content is broken.

    As browsers read them: the media type in any spelling and with parameters, percent-encoding also around
    base64, white space within it, its padding left out.
    """
    begin = _BEGINS.match(url)
    comma = url.find(",", 0, _LONGEST_HEAD)
    if begin is None or comma < 0:
        return None
    kind, *parameters = (part.strip().lower() for part in url[begin.end() : comma].split(";"))
    content = unquote_to_bytes(url[comma + 1 :])
    if "base64" in parameters:
        packed = _SPACES.sub(b"", content).rstrip(b"=")
        try:
            content = base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
        except binascii.Error:
            return None
    return Data(kind or _PLAIN, content)
