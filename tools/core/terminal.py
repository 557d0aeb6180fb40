"""Printing on a terminal, and ending a command with a line of advice.

Words of people, models and documents may hold escape sequences that clear a screen or write a clipboard, and
may look like markup. On a `Terminal` nothing in a string is markup, and control characters are written out.
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

_CONTROL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    "\u2028\u2029"  # separators that some programs take for an end of line
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"  # marks, and what is no character
    "]"
)
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def plain(text: str) -> str:
    """Returns `text` with control and invisible characters written out (`⟨U+001B⟩`). Tabs and ends of lines
    stay."""
    return _CONTROL.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


class Terminal(Console):
    """A console on which strings are plain words, in tables and trees too. Colour is given by `style`, or by
    a `Text`."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As `Console.render_str`, with words made plain before they are measured."""
        return super().render_str(plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As `Console.render`; only rich's own segments control the terminal."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROL.search(segment.text):
                yield segment
            else:
                yield segment._replace(text=plain(segment.text))


def echo(text: str) -> None:
    """Prints a line to be copied or piped: not wrapped, not coloured, and plain."""
    sys.stdout.write(plain(text) + "\n")


def echo_json(value: object) -> None:
    """Prints a value as one line of JSON; control characters in its strings are JSON's escapes."""
    line = orjson.dumps(value).decode()
    sys.stdout.write(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n")


@contextmanager
def exit_on_errors() -> Iterator[None]:
    """Ends the program with exit code 1, and a line on standard error for each thing that is wrong, where
    the block raises a CheckerboardError, or meets a wrong setting, a store that fails or a full disk."""
    try:
        yield
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        _exit(*(_setting(item["loc"]) + item["msg"].removeprefix("Value error, ") for item in error.errors()))
    except SettingsError as error:
        _exit(f"{error}: {error.__cause__}")
    except CheckerboardError as error:
        _exit(f"{error.code}: {error.message}")
    except (psycopg.Error, RedisError) as error:
        failure = store_failure(error)
        if failure is None:
            raise
        _exit(f"{failure.code}: {failure.message}")
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        _exit(f"{error.strerror}: {error.filename}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _setting(path: tuple[int | str, ...]) -> str:
    """Returns the setting at `path` as the beginning of a line; a problem with several names them itself."""
    if not path:
        return ""
    name = str(path[0])
    return ".".join([variable(name) if name in Settings.model_fields else name, *map(str, path[1:])]) + ": "


def _exit(*lines: str) -> None:
    console = Terminal(stderr=True)
    for line in lines:
        console.print(line, style="red", soft_wrap=True)
    sys.exit(1)
