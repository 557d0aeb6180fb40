"""Colours of CSS, as far as it takes to see that letters have the colour of what they stand on."""

from __future__ import annotations

import re

from PIL import ImageColor

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
_TOKEN = re.compile(r"#[0-9a-f]{3,8}|(?P<model>rgb|hsl)a?\((?P<parts>[^()]{1,60})\)|[a-z]+")
_PART = re.compile(r"[\d.]+%?")
_ALIKE = 20
"""Of 255: what differs less in each part cannot be read."""


def colour_in(value: str) -> Colour | None:
    """The first colour in a value of CSS; None where there is none that is known."""
    for token in _TOKEN.finditer(value):
        text = token[0]
        if token["model"]:
            text = f"{token['model']}({','.join(_PART.findall(token['parts'])[:3])})"
        try:
            red, green, blue, *_ = ImageColor.getrgb(text)
        except ValueError:  # a word that names none
            continue
        return red, green, blue
    return None


def is_sheer(value: str) -> bool:
    """Whether a colour lets through all of what lies behind it."""
    if value == "transparent":
        return True
    token = _TOKEN.fullmatch(value)
    if token is None or not token["model"]:
        return len(value) in (5, 9) and value[0] == "#" and not value[len(value) // 5 * 4 :].strip("0")
    alpha = _PART.findall(token["parts"])[3:]
    return bool(alpha) and not alpha[0].strip("0.%")


def alike(one: Colour, other: Colour) -> bool:
    """Whether letters of one colour cannot be read on the other."""
    return all(abs(a - b) <= _ALIKE for a, b in zip(one, other, strict=True))
