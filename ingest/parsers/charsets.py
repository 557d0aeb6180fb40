"""From bytes to text, as the files of Korean boards come: UTF-8, UTF-16, CP949."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"<(?:meta|\?xml)\b[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE
)
_DECLARED_WITHIN = 4096
_KOREAN = ("euc", "ks", "cp949", "ms949", "uhc", "windows-949", "x-windows-949")
"""How the names of Korean encodings begin. Pages that declare EUC-KR mostly are CP949."""
_MULTIBYTE_UTF8 = 0.1
"""Share of broken characters among all beyond ASCII up to which a text is UTF-8 with an accident in it."""
_BROKEN_CP949 = 0.02
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_FEW_CONTROLS = 0.001


def decoded(content: bytes) -> str | None:
    """Returns the text of a file; None where it is none.

    What a byte order mark says goes first, then whether it is UTF-8, then what the page declares, then
    CP949 (which EUC-KR is part of). A character that was cut or lost becomes U+FFFD.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _if_text(content[len(mark) :].decode(encoding, "replace"))
    if b"\0" in content[:1000]:
        return _utf16(content)
    try:
        return _if_text(content.decode("utf-8"))
    except UnicodeDecodeError:
        return _other(content)


def _utf16(content: bytes) -> str | None:
    """UTF-16 without a mark: every ASCII character has a zero beside it, on the same side."""
    head = content[:1000]
    zeros_even, zeros_odd = head[::2].count(0), head[1::2].count(0)
    if min(zeros_even, zeros_odd) * 20 > max(zeros_even, zeros_odd):
        return None
    text = content.decode("utf-16-le" if zeros_odd > zeros_even else "utf-16-be", "replace")
    return _if_text(text) if text.count("\ufffd") <= _BROKEN_CP949 * len(text) else None


def _other(content: bytes) -> str | None:
    declared = _DECLARED.search(content[:_DECLARED_WITHIN])
    name = declared[1].decode("ascii").lower() if declared else ""
    if name and not name.startswith((*_KOREAN, "utf")):
        try:
            return _if_text(content.decode(name))
        except (LookupError, ValueError):
            # An unknown name or a false one: the content decides.
            pass
    as_utf8 = content.decode("utf-8", "replace")
    if _broken(as_utf8) <= _MULTIBYTE_UTF8:
        return _if_text(as_utf8)
    as_cp949 = content.decode("cp949", "replace")
    return _if_text(as_cp949) if _broken(as_cp949) <= _BROKEN_CP949 else None


def _broken(text: str) -> float:
    """The share of characters that could not be read among those beyond ASCII."""
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return text.count("\ufffd") / beyond if beyond else 0.0


def _if_text(text: str) -> str | None:
    controls = sum(1 for _ in _CONTROL.finditer(text))
    return text.removeprefix("\ufeff") if controls <= max(2, _FEW_CONTROLS * len(text)) else None
