"""The audit log: changes of the active prompts, and attempts at them, in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb
from pydantic import BaseModel

from tools.core.database import Connection, Pool
from tools.core.sql import queries
from tools.prompts.active_set import ActiveSet

_SQL = queries("prompt_changes.sql")

Action = Literal["start", "reload", "pin"]


class Change(BaseModel):
    """One change of the active prompts, or an attempt that was refused."""

    at: datetime
    action: Action
    by: str
    version_before: str
    """The version before, as `GET /prompts` and a trace name it."""
    version_after: str | None
    """None where it was refused."""
    changes: list[dict[str, Any]]
    """`{"prompt", "before", "after", "pin"}` of each prompt, `{"models": {…}}` of the choice of models."""
    problems: dict[str, Any]
    """Why it was refused, by prompt."""


class AuditLog:
    """Records changes and lists them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def change(
        self, action: Action, by: str, versions: tuple[str, str], changes: Sequence[Mapping[str, Any]]
    ) -> AsyncIterator[None]:
        """Records, in one transaction with the block, the change that the block makes: the record stays only
        where the block succeeds, and nothing is changed that cannot be recorded. `versions` are those before
        and after."""
        async with self._pool.connection() as connection, connection.transaction():
            await _record(connection, action, by, versions, changes=changes)
            yield

    async def refused(self, action: Action, by: str, version: str, problems: Mapping[str, Any]) -> None:
        """Records an attempt that changed nothing."""
        async with self._pool.connection() as connection:
            await _record(connection, action, by, (version, None), problems=problems)

    async def newest(self, count: int) -> Sequence[Change]:
        """Returns the newest `count` changes and refusals, newest first."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["newest"], {"count": count})).fetchall()
        return [Change.model_validate(row) for row in rows]


async def _record(
    connection: Connection,
    action: Action,
    by: str,
    versions: tuple[str, str | None],
    *,
    changes: Sequence[Mapping[str, Any]] = (),
    problems: Mapping[str, Any] | None = None,
) -> None:
    row: dict[str, Any] = {"action": action, "by": by, "version_before": versions[0]}
    row |= {"version_after": versions[1], "changes": Jsonb(list(changes)), "problems": Jsonb(problems or {})}
    await connection.execute(_SQL["record"], row)


def differences(before: ActiveSet | None, after: ActiveSet) -> list[dict[str, Any]]:
    """Returns what differs between two sets, one entry a prompt, and one for the models."""
    changes: list[dict[str, Any]] = []
    for key, new in after.prompts.items():
        old = before.prompts.get(key) if before else None
        if old is None or (old.origin, old.pin) != (new.origin, new.pin):
            commits = {"before": old and old.origin.commit, "after": new.origin.commit}
            changes.append({"prompt": key, **commits, "pin": new.pin})
    if after.models != (before.models if before else {}):
        models = {purpose: choice.model_dump(exclude_none=True) for purpose, choice in after.models.items()}
        changes.append({"models": models})
    return changes
