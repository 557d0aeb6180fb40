"""What a keeper tells the users of its part, as one small JSON file replaced at once."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

Phase = Literal["starting", "ready", "stopped", "failed"]


@dataclass(frozen=True)
class Running:
    """The server of a part."""

    server: str
    """Which server it is: `postgres`, `redis-stack`, `valkey` or `offline`."""
    pid: int
    born: str
    """`local.servers.process.birth` of the pid."""
    url: str
    """What clients connect to."""
    address: str
    """Path of its Unix socket, or `host:port`."""
    version: str
    passed_over: list[str] = field(default_factory=list)
    """Which servers would have been preferred to this one, each with why it was not taken."""
    warnings: list[str] = field(default_factory=list)
    """What whoever started it must know, such as a permission that was widened for it."""


@dataclass(frozen=True)
class State:
    """The part's phase, and its server where one was started and not yet stopped."""

    phase: Phase
    keeper: int
    """Process id of the keeper that wrote this."""
    running: Running | None = None
    error: str | None = None
    """With `failed`: why, and what to do."""


def write_state(path: Path, state: State) -> None:
    """Replaces the file at once.

    Raises:
        OSError: when the disk is full or the folder read-only.
    """
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(asdict(state), indent=1))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_state(path: Path) -> State | None:
    """The last state; None when there is none, or when the file is damaged."""
    try:
        raw: Any = json.loads(path.read_text())
        running = raw.pop("running")
        state = State(**raw, running=None if running is None else Running(**running))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return state if _well_typed(state) and (state.running is None or _well_typed(state.running)) else None


def _well_typed(record: State | Running) -> bool:
    integers = {"pid", "keeper"}
    return all(
        isinstance(getattr(record, f.name), int) and getattr(record, f.name) > 0
        if f.name in integers
        else True
        for f in fields(record)
    )
