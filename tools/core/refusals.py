"""How a program of ours ends when it cannot do what it was asked: with a line of advice, no traceback."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from pydantic import ValidationError
from pydantic_settings import SettingsError
from redis.exceptions import RedisError

from tools.core.errors import CheckerboardError
from tools.core.settings import Settings, variable
from tools.core.store_failures import store_failure
from tools.core.terminal import Terminal

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
