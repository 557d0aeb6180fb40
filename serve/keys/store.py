"""Keys in PostgreSQL: of each its hash, whose it is, and what it may.

A key is 256 random bits, so its SHA-256 gives nothing away: there is no guessing at it, fast or slow. A slow
hash (bcrypt, Argon2) is for passwords, which people choose; here every request would pay for it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from psycopg.errors import UniqueViolation

from tools.core.api_keys import check_name
from tools.core.database import Connection
from tools.core.errors import SetupError
from tools.core.sql import queries

_SQL = queries("api_keys.sql")
_PREFIX = "cb_"
"""How a key begins: so people, and programs that look for secrets, know one when they find it in a text."""
_KEY_BYTES = 32
Role = Literal["client", "admin"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may; None is the service's default."""

    requests_per_minute: int | None = None
    runs_at_once: int | None = None
    tokens_per_day: int | None = None
    usd_per_month: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that is in force."""

    key_id: int
    name: str
    admin: bool
    seconds_left: float | None
    """Of one whose place another has taken; None: it stays."""
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """The keys in force by their hashes, as they were at one moment."""

    version: UUID
    by_hash: Mapping[str, StoredKey]


async def create_key(connection: Connection, name: str, role: Role, limits: Limits) -> str:
    """Stores a new key and returns it; it is to be had this once.

    Raises:
        SetupError: the name is none, or has a key already.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise SetupError(f"{name!r} is no name for a key: {error}.") from error
    try:
        return await _insert(connection, name, role, asdict(limits))
    except UniqueViolation as error:
        raise SetupError(
            f"{name} has a key already. `checkerboard keys rotate {name}` gives it another."
        ) from error


async def rotate_key(connection: Connection, name: str, keep_minutes: float) -> str:
    """Stores a key in the place of those that a name has, with the same role and limits, and returns it. The
    old ones end after `keep_minutes`, if not before.

    Raises:
        SetupError: the name has no key.
    """
    async with connection.transaction():
        found = await (await connection.execute(_SQL["newest"], {"name": name})).fetchone()
        if found is None:
            raise _no_key(name)
        if keep_minutes > 0:
            await connection.execute(_SQL["end_in"], {"name": name, "seconds": keep_minutes * 60})
        else:
            await connection.execute(_SQL["revoke"], {"name": name})
        return await _insert(connection, name, found["role"], found)


async def revoke_keys(connection: Connection, name: str) -> int:
    """Ends all keys of a name at once; returns how many that were.

    Raises:
        SetupError: the name has no key.
    """
    revoked = await (await connection.execute(_SQL["revoke"], {"name": name})).fetchall()
    if not revoked:
        raise _no_key(name)
    return len(revoked)


async def all_keys(connection: Connection) -> list[dict[str, Any]]:
    """Returns the rows of all keys by name, those that have ended too, without their hashes."""
    return await (await connection.execute(_SQL["all"])).fetchall()


async def are_stored(connection: Connection) -> bool:
    """Whether any key was ever made, in force or not."""
    row = await (await connection.execute(_SQL["are_stored"])).fetchone()
    return row is not None and bool(row["stored"])


async def version(connection: Connection) -> UUID:
    """Returns the version of the keys: another one whenever it has changed who may call."""
    row = await (await connection.execute(_SQL["version"])).fetchone()
    assert row is not None  # noqa: S101 - the migration has made it
    found: UUID = row["version"]
    return found


async def keys_in_force(connection: Connection) -> StoredKeys:
    """Returns the keys that count now."""
    rows = await (await connection.execute(_SQL["in_force"])).fetchall()
    return StoredKeys(
        rows[0]["version"],
        {
            row["hash"]: StoredKey(
                row["id"],
                row["name"],
                row["role"] == "admin",
                row["seconds_left"],
                Limits(**{field.name: row[field.name] for field in fields(Limits)}),
            )
            for row in rows
            if row["id"] is not None
        },
    )


async def write_uses(
    connection: Connection, ages: Mapping[int, float], every_seconds: float
) -> Collection[int]:
    """Writes when keys were used last: by the id of each how many seconds ago. One whose last use, by
    whichever worker, lies within `every_seconds` is passed over. Returns the ids of the others."""
    used = {"ids": list(ages), "ages": list(ages.values()), "every": every_seconds}
    rows = await (await connection.execute(_SQL["used"], used)).fetchall()
    return [row["id"] for row in rows]


async def _insert(connection: Connection, name: str, role: str, limits: Mapping[str, Any]) -> str:
    key = _PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    digest = hashlib.sha256(key.encode()).hexdigest()
    await connection.execute(_SQL["create"], {**limits, "name": name, "role": role, "hash": digest})
    return key


def _no_key(name: str) -> SetupError:
    return SetupError(f"{name} has no key that is in force. `checkerboard keys list` shows all.")
