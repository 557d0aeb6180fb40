"""Addresses of pages, as they may be shown to people."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from tools.core.text import clean

_LONGEST = 2_000
"""Characters: what every browser takes."""
_WRAPPED = re.compile(r"!?\[[^\[\]]*\]\(\s*<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\s*\)|<([^<>\s]+)>")
_LINK = re.compile(r"<a\b[^<>]*?\bhref\s*=\s*[\"']?([^\"'\s<>]+)", re.IGNORECASE)
_NOT_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f-\x9f<>\"\\`]")
_HOST = re.compile(r"[0-9a-f:]*:[0-9a-f:.]+|[\w.-]*[^\W_]\.?", re.IGNORECASE)


def web_address(said: Any) -> str | None:
    """Returns the address of a page, with `http` or `https`; None for all else.

    A link in Markdown or HTML gives what it leads to. Not taken are other schemes (`javascript:`,
    `data:`), addresses without one (`//host`, `www.host`), with a name or password before the host, and
    with white space, control or quoting characters in them: a page that shows them could be misled.
    """
    if not isinstance(said, str):
        return None
    bare = said.strip()
    if link := _LINK.search(bare) or _WRAPPED.fullmatch(bare):
        bare = next(filter(None, link.groups()))
    # What is invisible is no part of an address; what is a control character is no accident.
    if _NOT_IN_ADDRESS.search(bare) or len(address := clean(bare)) > _LONGEST:
        return None
    try:
        parts = urlsplit(address)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return None
    rest = address[len(parts.scheme) :]
    whole = (
        parts.scheme in ("http", "https") and rest.startswith("://") and _HOST.fullmatch(parts.hostname or "")
    )
    return f"{parts.scheme}{rest}" if whole and "@" not in parts.netloc and port_is_one else None
