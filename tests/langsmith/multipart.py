"""Forms of many parts, as the SDK sends runs and examples: a part's name says what it belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from tests.langsmith.server import Call, Refused


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its name, cut at the dots, its media type and its content."""

    name: list[str]
    media_type: str
    content: bytes

    def json(self) -> Any:
        """The content, decoded."""
        return orjson.loads(self.content)


def parts(call: Call) -> list[Part]:
    """The parts of a form, in order; raises `Refused` (422) for one that is not whole."""
    boundary = re.search(r"boundary=\"?([^\";]+)", call.headers.get("Content-Type", ""))
    if boundary is None:
        raise Refused(422, "expected multipart/form-data")
    mark = b"\r\n--" + boundary[1].encode()
    head, *pieces = (b"\r\n" + call.body).split(mark)
    if head or not pieces or not pieces.pop().startswith(b"--"):
        raise Refused(422, "the form has no end")
    return [_part(piece) for piece in pieces]


def _part(piece: bytes) -> Part:
    head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    headers = head.decode()
    name = re.search(r'name="([^"]+)"', headers)
    media_type = re.search(r"(?i)^content-type: *([^;\r\n]+)", headers, re.MULTILINE)
    if name is None or media_type is None:
        raise Refused(422, "a part without a name or a type")
    return Part(name[1].split("."), media_type[1], content)
