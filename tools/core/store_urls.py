"""What the URLs of stores say: where each is and who asks. How it is talked to is the service's."""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url

from tools.core.errors import SetupError

logger = logging.getLogger(__name__)

_KEPT = ("ssl_", "db", "client_name", "username", "password")
"""What the options of a Redis URL that are kept begin with. Others would change what answers look like
(`decode_responses`, `protocol`, `encoding`), or the limits of the service's own."""


def redis_url(given: str) -> str:
    """Returns the URL without the options that are the service's own.

    Raises:
        SetupError: it is no Redis URL, or names another database than 0, where Redis can search none.
    """
    try:
        parsed = parse_url(given)
    except ValueError as error:
        raise SetupError(f"REDIS_URL is not a Redis URL: {error}.") from error
    parts = urlsplit(given)
    in_path = unquote(parts.path).strip("/") if parts.scheme != "unix" else ""
    if parsed.get("db", 0) != 0 or in_path not in ("", "0"):
        raise SetupError(
            f"REDIS_URL names the database {parsed.get('db', in_path)}, and Redis searches in database 0 "
            "only. Name that, or another server."
        )
    options = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in options if name.startswith(_KEPT)]
    if len(kept) == len(options):
        return given
    left_out = sorted({name for name, _ in options} - {name for name, _ in kept})
    logger.warning("options of REDIS_URL are the service's own and left out", extra={"options": left_out})
    return given.partition("?")[0] + (f"?{urlencode(kept)}" if kept else "")


def where(url: str) -> str:
    """A URL without its user, password and options: fit for a log or an error. What is no URL, such
    as a list of `key=value`, is not repeated at all."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc + parts.path:
        return "configured address"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
