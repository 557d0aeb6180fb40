"""LangSmith's prompt hub: which prompts come from there, pulling and pushing them, and their manifests.

A manifest is LangChain's serialised object, which can name any class to be built. It is read here as the JSON
that it is: nothing of it is constructed, and what is no plain chat prompt is refused.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_core.load import dumpd
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

from tools.core.errors import HubUnavailableError, PromptInvalidError, PromptNotFoundError, SetupError
from tools.core.proxies import only_proxy_for
from tools.core.settings import Settings
from tools.prompts.active_set import FromHub
from tools.prompts.prompt import PromptFile, Texts

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""How long one request to the hub may take."""
PULL_SECONDS = 30.0
"""How long all prompts together may take to come from the hub."""
LONGEST_PROBLEM = 500
"""Characters of a problem that are kept: twice one that names every field of the longest schema."""
_CONCURRENT_REQUESTS = 4
"""A dozen prompts at the same time would meet the hub's rate limit."""
_RATE_LIMIT_PAUSES = (1.0, 3.0)
"""Seconds to wait after each 429; the client does not try those again itself."""
_HUB_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+(?::[\w.-]+)?", re.ASCII)
_SYSTEM = ("SystemMessagePromptTemplate", "SystemMessage")
_HUMAN = ("HumanMessagePromptTemplate", "HumanMessage")
_MESSAGES = 2
_PACKAGES = ("langchain", "langchain_core")
"""The packages whose classes a prompt's manifest may name."""
_CLIENT_ERRORS = (
    LangSmithError,
    ValidationError,
    ValueError,
    LookupError,
    TypeError,
    OSError,
    RecursionError,
)
"""What the client raises for a hub that is down, and for answers that it cannot read (JSON that is nested too
deeply is one)."""

Ref = tuple[str, str]
"""A prompt's name in the hub, and a commit's hash, a tag or `latest`."""


class ManifestError(ValueError):
    """A manifest that is no prompt of this service; the message says why."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a prompt in the hub."""

    hash: str
    manifest: dict[str, Any]


class Hub:
    """Reads and writes prompts. `name` is that of a prompt in the key's own workspace, or `owner/name`; `ref`
    a commit's hash (or its beginning), a tag, or `latest`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._requests = asyncio.Semaphore(_CONCURRENT_REQUESTS)

    async def pull(self, name: str, ref: str = "latest") -> Commit:
        """Returns a commit, as the hub has it now.

        Raises:
            PromptNotFoundError: there is no such prompt or commit.
            HubUnavailableError: the hub does not answer, refuses the key, or is over its rate limit.
        """
        # Past the client's process-wide cache, which would give what it had five minutes ago. Naming
        # another's public prompt is as safe as naming one's own: manifests are read, never built.
        pulled = await self._call(
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

        await self._call(push, name)
        return (await self.pull(name)).hash

    async def tag(self, name: str, commit: str, tags: Sequence[str]) -> None:
        """Puts `tags` on a commit (its whole hash); a tag that is on another commit moves.

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
                # The client can make a tag together with a commit, but not move one.
                request = self._client._arequest_with_retries
                body = {"tag_name": tag, "commit_id": str(ids[0])}
                try:
                    await request("POST", path, json=body)
                except LangSmithConflictError:
                    await request("PATCH", f"{path}/{tag}", json=body)

        await self._call(tag, name)

    async def _call(self, request: Any, name: str) -> Any:
        for pause in (*_RATE_LIMIT_PAUSES, None):
            try:
                async with self._requests:
                    return await request()
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
                message = f"LangSmith has no such prompt or commit: {name}."
                raise PromptNotFoundError(message, prompt=name) from error
            except LangSmithAuthError as error:
                message = "LangSmith refused the key (401). The operator has to check LANGSMITH_API_KEY."
                raise HubUnavailableError(message, prompt=name) from error
            except _CLIENT_ERRORS as error:
                raise HubUnavailableError(_reason(error, name), prompt=name) from error
        raise AssertionError("the last try has no pause")


def _reason(error: Exception, name: str) -> str:
    match error:
        case LangSmithConnectionError() | LangSmithRequestTimeout() | OSError():
            return f"LangSmith does not answer ({name}). Ask again in a moment, or check LANGSMITH_ENDPOINT."
        case LangSmithAPIError():
            return f"LangSmith is failing ({name}). Ask again in a moment."
        case LangSmithError():
            # Its answer, without the client's words around it.
            response = getattr(error.__cause__, "response", None)
            answer = " ".join((str(error) if response is None else response.text).split())[:200]
            return (
                f"LangSmith refused the request ({name}): {answer}. The operator has to check the name "
                "and what LANGSMITH_API_KEY may do."
            )
        case _:
            return (
                f"LangSmith answered with something that is no answer ({name}). The operator has to check "
                "LANGSMITH_ENDPOINT."
            )


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
    with only_proxy_for(settings.langsmith_endpoint or get_api_url(None)):
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


@dataclass(frozen=True, slots=True)
class PullResult:
    """What pulling several prompts came to, by key (`filter_jobs.ko`)."""

    prompts: dict[str, FromHub] = field(default_factory=dict)
    invalid: dict[str, list[str]] = field(default_factory=dict)
    """The problems of a prompt that cannot be used, also where it came."""
    unavailable: dict[str, list[str]] = field(default_factory=dict)
    """Why the hub did not give a prompt."""

    def require_available(self) -> None:
        """Raises HubUnavailableError where the hub did not give a prompt."""
        if self.unavailable:
            reason = next(iter(self.unavailable.values()))[0]
            raise HubUnavailableError(reason, prompts=self.unavailable)

    def all_or_none(self) -> dict[str, FromHub]:
        """Returns the prompts when every one of them can be used.

        Raises:
            PromptInvalidError: one cannot; `prompts` has all that is wrong, by key.
            HubUnavailableError: the hub did not give one.
        """
        if self.invalid:
            raise PromptInvalidError(prompts={**self.invalid, **self.unavailable})
        self.require_available()
        return self.prompts


async def pull_all(hub: Hub | None, refs: Mapping[str, Ref], files: Mapping[str, PromptFile]) -> PullResult:
    """Pulls prompts at the same time, and checks them against the contracts of `files`.

    Args:
        hub: where they are.
        refs: what is pulled, by key.
        files: the bundled prompts, by key.

    Raises:
        HubUnavailableError: together they take too long, or there is no hub to ask.
    """
    if not refs:
        return PullResult()
    if hub is None:
        raise HubUnavailableError(
            "CHECKERBOARD_HUB_PROMPTS is set without LANGSMITH_API_KEY. The operator has to set both."
        )
    try:
        async with asyncio.timeout(PULL_SECONDS):
            outcomes = await asyncio.gather(*(_pull(hub, ref, files[key]) for key, ref in refs.items()))
    except TimeoutError as error:
        raise HubUnavailableError("LangSmith takes too long. Ask again in a moment.") from error
    result = PullResult()
    for key, outcome in zip(refs, outcomes, strict=True):
        match outcome:
            case FromHub():
                result.prompts[key] = outcome
                if problems := files[key].contract.problems(outcome.texts):
                    result.invalid[key] = [_storable(problem) for problem in problems]
            case HubUnavailableError():
                result.unavailable[key] = [_storable(outcome.message)]
            case _:
                result.invalid[key] = [_storable(str(outcome))]
    return result


async def _pull(
    hub: Hub, ref: Ref, file: PromptFile
) -> FromHub | HubUnavailableError | PromptNotFoundError | ManifestError:
    try:
        commit = await hub.pull(*ref)
        texts = texts_of(commit.manifest, file.contract.schema_name)
    except (HubUnavailableError, PromptNotFoundError, ManifestError) as error:
        return error
    return FromHub(name=ref[0], commit=commit.hash, system=texts.system, human=texts.human)


def _storable(problem: str) -> str:
    """Returns a problem without the megabytes that it may quote of a commit, and without characters that no
    database takes."""
    cut = problem if len(problem) <= LONGEST_PROBLEM else problem[: LONGEST_PROBLEM - 1] + "…"
    return "".join(character if character.isprintable() else "\ufffd" for character in cut)


def parse_hub_names(configured: Sequence[str], keys: Iterable[str]) -> dict[str, Ref]:
    """Returns the prompts that CHECKERBOARD_HUB_PROMPTS takes from the hub, by key (`filter_jobs.ko`).

    Args:
        configured: at most one pattern with `{purpose}` and `{language}` for all, and `key=name` for single
            prompts, which go before it. A name without a ref means its `latest`.
        keys: the prompts that there are.

    Raises:
        SetupError: an entry is neither, or names a prompt that there is not.
    """
    known = list(keys)
    patterns = [entry for entry in configured if "=" not in entry]
    single = dict(entry.split("=", 1) for entry in configured if "=" in entry)
    unknown = sorted(set(single) - set(known))
    if len(patterns) > 1 or unknown:
        wrong = patterns[1:] + unknown
        raise SetupError(
            f"CHECKERBOARD_HUB_PROMPTS has {', '.join(wrong)}; it takes one pattern, and pairs of a prompt "
            f"({', '.join(known)}) and its name in the hub."
        )
    refs: dict[str, Ref] = {}
    for key in known:
        pattern = single.get(key, next(iter(patterns), None))
        if pattern == "":
            raise SetupError(f"CHECKERBOARD_HUB_PROMPTS has {key}= without a name.")
        if pattern is not None:
            purpose, _, language = key.rpartition(".")
            entry = pattern.replace("{purpose}", purpose).replace("{language}", language)
            if not _HUB_NAME.fullmatch(entry):
                raise SetupError(
                    f"CHECKERBOARD_HUB_PROMPTS has {entry!r}, which is no name of a prompt in LangSmith."
                )
            name, _, ref = entry.partition(":")
            refs[key] = name, ref or "latest"
    if len(set(refs.values())) < len(refs):
        raise SetupError(
            "CHECKERBOARD_HUB_PROMPTS gives two prompts one name; a pattern needs {purpose} and {language}."
        )
    return refs


def manifest_of(texts: Texts) -> dict[str, Any]:
    """Returns the manifest of a prompt."""
    manifest: dict[str, Any] = dumpd(texts.template())
    return manifest


def texts_of(manifest: Mapping[str, Any], schema_name: str) -> Texts:
    """Returns the texts of a manifest. Where it has an output schema, that must be `schema_name`: the service
    asks with its own.

    Raises:
        ManifestError: it is no chat prompt of one system and one human message, or does more than fill in
            placeholders.
    """
    kind, kwargs = _constructor(manifest)
    if kind not in ("ChatPromptTemplate", "StructuredPrompt"):
        raise ManifestError(f"it is a {kind}; only a chat prompt is taken")
    _refuse_partials(kwargs)
    if kind == "StructuredPrompt":
        schema = kwargs.get("schema_") or kwargs.get("schema")
        named = schema.get("title") or schema.get("name") if isinstance(schema, Mapping) else None
        if named != schema_name:
            raise ManifestError(f"its output schema is {named}; the service's is {schema_name}")
    messages = kwargs.get("messages")
    if not isinstance(messages, list) or len(messages) != _MESSAGES:
        raise ManifestError("it has to have two messages: the system's and the human's")
    system, human = messages
    return Texts(
        _message_text(system, _SYSTEM, "first", "system"), _message_text(human, _HUMAN, "second", "human")
    )


def _message_text(message: Any, kinds: tuple[str, str], place: str, role: str) -> str:
    kind, kwargs = _constructor(message)
    if kind not in kinds:
        raise ManifestError(f"its {place} message is a {kind}; it has to be the {role} message")
    if kind == kinds[1]:
        # A message without placeholders; its text is no template.
        content = kwargs.get("content")
        if not isinstance(content, str):
            raise ManifestError(f"the {role} message is not plain text")
        return content.replace("{", "{{").replace("}", "}}").strip()
    inner = kwargs.get("prompt")
    if isinstance(inner, list) and len(inner) == 1:
        [inner] = inner
    kind, kwargs = _constructor(inner)
    if kind != "PromptTemplate":
        raise ManifestError(f"the {role} message is a {kind}; only text is taken")
    _refuse_partials(kwargs)
    if (syntax := kwargs.get("template_format", "f-string")) != "f-string":
        raise ManifestError(f"the {role} message is a {syntax} template; only f-string is taken")
    template = kwargs.get("template")
    if not isinstance(template, str):
        raise ManifestError(f"the {role} message has no text")
    return template.replace("\r\n", "\n").strip()


def _constructor(value: Any) -> tuple[str, Mapping[str, Any]]:
    """Returns the class that a serialised object names, and its arguments."""
    if isinstance(value, Mapping) and value.get("type") == "constructor":
        name, kwargs = value.get("id"), value.get("kwargs")
        if isinstance(name, list) and name and isinstance(kwargs, Mapping):
            if name[0] not in _PACKAGES:
                raise ManifestError(
                    f"it names {'.'.join(map(str, name))}, which is none of LangChain's classes"
                )
            return str(name[-1]), kwargs
    raise ManifestError("it is no serialised prompt")


def _refuse_partials(kwargs: Mapping[str, Any]) -> None:
    if partials := kwargs.get("partial_variables"):
        named = ", ".join(map(str, partials)) if isinstance(partials, Mapping) else "something"
        raise ManifestError(f"it fills in {named} itself (partial variables); only the service fills in")
