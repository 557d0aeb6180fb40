"""Whose a session is: the name of an API key, a visitor of the pages, or nobody's (empty, where no key is
needed). A guest owns nothing: a link lets them read the one session that it is for."""

from __future__ import annotations

from tools.core.api_keys import RESERVED

_VISITOR, _GUEST = RESERVED


def visitor(visitor_id: str) -> str:
    """Returns the owner that a visitor is, by the id in their cookie."""
    return f"{_VISITOR}{visitor_id}"


def guest(session_id: str) -> str:
    """Returns who has a link to a session."""
    return f"{_GUEST}{session_id}"


def guest_session(asker: str) -> str | None:
    """Returns the session that a guest may read; None of everybody else."""
    return asker.removeprefix(_GUEST) if asker.startswith(_GUEST) else None


def may_read(asker: str, owner: str, session_id: str) -> bool:
    """Whether `asker` may read a session, or a run of it, that belongs to `owner`."""
    return asker in (owner, guest(session_id))
