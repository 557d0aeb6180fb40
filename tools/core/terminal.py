"""The terminal: what is printed there of words that people, models and documents wrote.

A title may hold the escape sequences that clear a screen or write a clipboard, and a file's name may look
like markup. So every command prints with `Terminal`, on which words are words: nothing in them is markup,
and characters that would steer the terminal are shown as what they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import orjson
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_STEERING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of writing
    "\u2028\u2029"  # separators that some programs take for an end of line
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"  # marks, and what is no character
    "]"
)


def plain(text: str) -> str:
    """Returns a text in which what steers a terminal, or cannot be seen, is written out (`⟨U+001B⟩`). Tabs
    and ends of lines stay."""
    return _STEERING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


class Terminal(Console):
    """A console on which strings are plain words, in tables and trees too. What is ours to colour takes a
    `style`, or is a `Text`."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As `Console.render_str`. Words are made plain before they are measured."""
        return super().render_str(plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As `Console.render`. Only rich's own segments steer the terminal."""
        for segment in super().render(renderable, options):
            if segment.control or not _STEERING.search(segment.text):
                yield segment
            else:
                yield segment._replace(text=plain(segment.text))


def echo(text: str) -> None:
    """Prints a line as it is, to be copied or piped: not wrapped, not coloured, and plain."""
    sys.stdout.write(plain(text) + "\n")


def echo_json(value: object) -> None:
    """Prints a value as one line of JSON for programs; its strings hold what they held, in JSON's escapes."""
    line = orjson.dumps(value).decode()
    sys.stdout.write(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n")
