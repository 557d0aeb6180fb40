"""What browsers hold of the service's: the cookie of a visitor and the token of a link, each signed.

Both are names that nobody can make up. Nothing else is in them, and nothing is stored of them.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets

import psycopg
from itsdangerous import BadSignature, Signer, TimestampSigner

from tools.core.database import Pool
from tools.core.settings import Settings
from tools.core.sql import queries

logger = logging.getLogger(__name__)

_SQL = queries("secrets.sql")
_NAME = "signatures"
_SECRET_BYTES = 32
_ID_BYTES = 16
_ID = re.compile(rf"[0-9a-f]{{{2 * _ID_BYTES}}}")
_DAY = 24 * 60 * 60


class Signatures:
    """Signs and reads. Workers with the same secret read what any of them has signed."""

    def __init__(self, secret: str, kept_days: float) -> None:
        """`kept_days` is the life of a kept project, which the cookie of who kept it outlives."""
        self.cookie_seconds = round((kept_days + 1) * _DAY)
        """Life of a cookie after it was signed last."""
        self._cookies = TimestampSigner(
            secret, salt="checkerboard.visitor", key_derivation="hmac", digest_method=hashlib.sha256
        )
        self._links = Signer(
            secret, salt="checkerboard.link", key_derivation="hmac", digest_method=hashlib.sha256
        )

        self._addresses = Signer(
            secret, salt="checkerboard.address", key_derivation="hmac", digest_method=hashlib.sha256
        )

    def cookie(self, visitor_id: str | None = None) -> str:
        """Returns the cookie of a visitor, of a new one without an id."""
        return self._cookies.sign(visitor_id or secrets.token_hex(_ID_BYTES)).decode()

    def visitor_id(self, cookie: str) -> str | None:
        """Returns whose cookie it is; None where it is not the service's, or too old."""
        try:
            signed = self._cookies.unsign(cookie.encode(), max_age=self.cookie_seconds)
        except BadSignature:
            return None
        return signed.decode() if _ID.fullmatch(signed.decode()) else None

    def link_token(self, session_id: str) -> str:
        """Returns the token with which a session can be read. It holds as long as the session lives."""
        return self._links.sign(session_id).decode()

    def linked_session(self, token: str) -> str | None:
        """Returns the session that a token is for; None where it is not the service's."""
        try:
            return self._links.unsign(token.encode()).decode()
        except BadSignature:
            return None

    def pseudonym(self, address: str) -> str:
        """Returns what stands for an address where it has to be known again, and by nobody else."""
        return self._addresses.get_signature(address).decode()


async def open_signatures(settings: Settings, pool: Pool) -> Signatures:
    """Returns the signatures of this service. Where no secret is set, the first worker makes one; it is kept
    in PostgreSQL, beside the projects that visitors keep, which only their cookies can delete. Where that
    takes nothing, the secret is this worker's alone."""
    if settings.cookie_secret is not None:
        return Signatures(settings.cookie_secret.get_secret_value(), settings.kept_days)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    async with pool.connection() as connection:
        try:
            await connection.execute(_SQL["make"], {"name": _NAME, "secret": secret})
        except psycopg.errors.ReadOnlySqlTransaction:
            logger.warning(
                "PostgreSQL is read-only: a secret that no worker has made yet is made for this alone"
            )
        row = await (await connection.execute(_SQL["read"], {"name": _NAME})).fetchone()
    return Signatures(row["secret"] if row else secret, settings.kept_days)
