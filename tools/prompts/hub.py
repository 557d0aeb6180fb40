"""LangSmith's prompt hub, through its own client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from langsmith import AsyncClient
from langsmith.utils import (
    LangSmithAPIError,
    LangSmithAuthError,
    LangSmithConflictError,
    LangSmithConnectionError,
    LangSmithError,
    LangSmithNotFoundError,
    LangSmithRateLimitError,
    LangSmithRequestTimeout,
    get_api_url,
)
from pydantic import ValidationError

from tools.core.errors import HubUnavailableError, PromptNotFoundError
from tools.core.proxies import only_for
from tools.core.settings import Settings
from tools.prompts.manifest import manifest_of
from tools.prompts.prompt import Texts

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""How long one request to the hub may take."""
_AT_ONCE = 4
"""Requests at the same time: a dozen prompts would meet the hub's rate limit."""
_RATE_LIMIT_PAUSES = (1.0, 3.0)
"""Seconds to wait after each 429; the client does not try those again itself."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a prompt in the hub."""

    hash: str
    manifest: dict[str, Any]


class Hub:
    """Reads and writes prompts. `name` is that of a prompt in the key's own workspace, or
    `owner/name`; `ref` a commit's hash (or its beginning), a tag, or `latest`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def pull(self, name: str, ref: str = "latest") -> Commit:
        """Returns a commit, as the hub has it now.

        Raises:
            PromptNotFoundError: there is no such prompt or commit.
            HubUnavailableError: the hub does not answer, refuses the key, or has too much to do.
        """
        # Past the client's process-wide cache, which would give what it had five minutes ago. Naming
        # another's public prompt is as safe as naming one's own: manifests are read, never built.
        pulled = await self._asked(
            lambda: self._client.pull_prompt_commit(
                f"{name}:{ref}", skip_cache=True, dangerously_pull_public_prompt=True
            ),
            f"{name}:{ref}",
        )
        return Commit(pulled.commit_hash, pulled.manifest)

    async def push(self, name: str, texts: Texts) -> str:
        """Commits `texts` as the newest of prompt `name`, which is made when there is none; returns the
        commit's hash.

        Raises:
            HubUnavailableError: as `pull`; the hub may also refuse a name.
        """
        manifest = manifest_of(texts)

        async def push() -> None:
            if await self._client.get_prompt(name) is None:
                await self._client.create_prompt(name)
            await self._client.create_commit(name, manifest)

        await self._asked(push, name)
        return (await self.pull(name)).hash

    async def tag(self, name: str, commit: str, tags: Sequence[str]) -> None:
        """Puts `tags` on a commit (its whole hash); one that is on another commit moves.

        Raises:
            PromptNotFoundError, HubUnavailableError: as `pull`.
        """

        async def tag() -> None:
            listed = self._client.list_prompt_commits(name)
            ids = [row.id async for row in listed if row.commit_hash == commit]
            if not ids:
                raise LangSmithNotFoundError(commit)
            path = f"/repos/{name if '/' in name else f'-/{name}'}/tags"
            for tag in tags:
                # The client has methods to make a tag together with a commit, but none to move one.
                ask = self._client._arequest_with_retries
                body = {"tag_name": tag, "commit_id": str(ids[0])}
                try:
                    await ask("POST", path, json=body)
                except LangSmithConflictError:
                    await ask("PATCH", f"{path}/{tag}", json=body)

        await self._asked(tag, name)

    async def _asked(self, ask: Any, name: str) -> Any:
        for pause in (*_RATE_LIMIT_PAUSES, None):
            try:
                async with self._turn:
                    return await ask()
            except LangSmithRateLimitError as error:
                if pause is None:
                    raise HubUnavailableError(
                        f"LangSmith is over its rate limit (429) at {name}. Ask again in a minute.",
                        prompt=name,
                    ) from error
                logger.warning(
                    "LangSmith is over its rate limit", extra={"prompt": name, "pause_seconds": pause}
                )
                await asyncio.sleep(pause)
            except LangSmithNotFoundError as error:
                raise PromptNotFoundError(
                    f"LangSmith has no such prompt or commit: {name}.", prompt=name
                ) from error
            except LangSmithAuthError as error:
                raise HubUnavailableError(
                    "LangSmith refused the key (401). The operator has to check LANGSMITH_API_KEY.",
                    prompt=name,
                ) from error
            except _FAILING as error:
                raise HubUnavailableError(_reason(error, name), prompt=name) from error
        raise AssertionError("the last try has no pause")


_FAILING = (
    LangSmithError,
    ValidationError,
    ValueError,
    LookupError,
    TypeError,
    OSError,
    RecursionError,
)
"""What the client raises for a hub that is down, and for answers that it cannot read: JSON that is nested too
deeply is one."""


def _reason(error: Exception, name: str) -> str:
    match error:
        case LangSmithConnectionError() | LangSmithRequestTimeout() | OSError():
            return f"LangSmith does not answer ({name}). Ask again in a moment, or check LANGSMITH_ENDPOINT."
        case LangSmithAPIError():
            return f"LangSmith is failing ({name}). Ask again in a moment."
        case LangSmithError():
            return (
                f"LangSmith refused the request ({name}): {_said(error)}. The operator has to check the name "
                "and what LANGSMITH_API_KEY may do."
            )
        case _:
            return (
                f"LangSmith answered with something that is no answer ({name}). The operator has to check "
                "LANGSMITH_ENDPOINT."
            )


def _said(error: LangSmithError) -> str:
    """Returns what LangSmith answered, without the client's words around it."""
    response = getattr(error.__cause__, "response", None)
    said = str(error) if response is None else response.text
    return " ".join(said.split())[:200]


@asynccontextmanager
async def open_hub(settings: Settings) -> AsyncIterator[Hub | None]:
    """Yields the hub, or None where no key is set.

    Raises:
        SetupError: the environment names a proxy that cannot be used.
    """
    if settings.langsmith_api_key is None:
        yield None
        return
    limit = round(REQUEST_SECONDS * 1000)
    with only_for(settings.langsmith_endpoint or get_api_url(None)):
        client = AsyncClient(
            api_url=settings.langsmith_endpoint,
            api_key=settings.langsmith_api_key.get_secret_value(),
            # One number alone would limit the connecting, and leave the answer unlimited.
            timeout_ms=(limit, limit, limit, limit),
            retry_config={"max_retries": 2},
            disable_prompt_cache=True,
        )
    try:
        yield Hub(client)
    finally:
        await client.aclose()  # type: ignore[no-untyped-call]
