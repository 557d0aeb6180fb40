"""The terminal: what is printed there of words that people, models and documents wrote.

A title may hold the escape sequences that clear a screen or write a clipboard, and a file's name may look
like markup. So every command prints with `Terminal`, on which words are words: nothing in them is markup,
and characters that would steer the terminal are shown as what they are.
"""

from __future__ import annotations

import errno
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from pydantic import ValidationError
from pydantic_settings import SettingsError
from redis.exceptions import RedisError
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from tools.core.errors import CheckerboardError
from tools.core.settings import Settings, variable
from tools.core.store_failures import store_failure

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


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def refusals() -> Iterator[None]:
    """Ends the program with a line for each thing that is wrong, on standard error and with exit code 1,
    where what happens in the block is an error of ours, a setting that makes no sense, a store that fails or
    a disk that takes no more."""
    try:
        yield
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        _refuse(
            *(_setting(item["loc"]) + item["msg"].removeprefix("Value error, ") for item in error.errors())
        )
    except SettingsError as error:
        _refuse(f"{error}: {error.__cause__}")
    except CheckerboardError as error:
        _refuse(f"{error.code}: {error.message}")
    except (psycopg.Error, RedisError) as error:
        if (told := store_failure(error)) is None:
            raise
        _refuse(f"{told.code}: {told.message}")
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        _refuse(f"{error.strerror}: {error.filename}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _setting(place: tuple[int | str, ...]) -> str:
    """What a problem's line begins with; one that is about several settings names them itself."""
    if not place:
        return ""
    name = str(place[0])
    return ".".join([variable(name) if name in Settings.model_fields else name, *map(str, place[1:])]) + ": "


def _refuse(*lines: str) -> None:
    console = Terminal(stderr=True)
    for line in lines:
        console.print(line, style="red", soft_wrap=True)
    sys.exit(1)
