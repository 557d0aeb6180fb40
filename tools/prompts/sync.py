"""Prompts between files and the hub: the work of the commands `checkerboard prompts …`.

Each command returns the lines to print, and whether all is well.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tools.core.errors import SetupError
from tools.core.settings import Settings
from tools.prompts.hub import Hub, PullResult, Ref, open_hub, parse_hub_names, pull_all
from tools.prompts.prompt import PromptFile, Texts, read, rewritten
from tools.prompts.registry import PACKAGES

Report = tuple[list[str], bool]


@dataclass(frozen=True, slots=True)
class LocalPrompt:
    """A prompt's file. `problems` are what is wrong with it, one sentence each."""

    path: Path
    text: str
    prompt: PromptFile
    problems: list[str]

    @property
    def texts(self) -> Texts:
        """The prompt's texts."""
        return self.prompt.texts


async def check(settings: Settings, names: Sequence[str], folder: Path | None, *, hub: bool) -> Report:
    """Checks the files against their contracts and, with `hub`, the hub's prompts too.

    Raises:
        SetupError: a file cannot be read as a prompt, a name is none, or the hub is not configured.
        HubUnavailableError: the hub does not answer.
    """
    local = await asyncio.to_thread(_local_prompts, names, folder)
    problems = {str(prompt.path): prompt.problems for prompt in local.values()}
    if hub:
        async with _open_hub(settings, local) as (opened, refs):
            pulled = await _pull(opened, refs, local)
        problems |= {
            f"{name}:{ref} in LangSmith": [*pulled.invalid.get(key, []), *pulled.unavailable.get(key, [])]
            for key, (name, ref) in refs.items()
        }
    lines = []
    for place, listed in problems.items():
        lines += [f"{place}: {problem}" for problem in listed] or [f"{place}: good"]
    return lines, not any(problems.values())


async def pull(settings: Settings, names: Sequence[str], folder: Path | None) -> Report:
    """Writes the hub's texts under the front matter of the files, when every one of them can be used.

    Raises:
        SetupError, HubUnavailableError: as `check`.
    """
    local = await asyncio.to_thread(_local_prompts, names, folder, missing=True)
    async with _open_hub(settings, local) as (hub, refs):
        pulled = await _pull(hub, refs, local)
    pulled.require_available()
    problems, written = dict(pulled.invalid), {}
    for key, remote in pulled.prompts.items():
        try:
            written[key] = rewritten(local[key].text, remote.texts)
        except ValueError as error:
            problems.setdefault(key, []).append(str(error))
    if problems:
        lines = [f"{key}: {problem}" for key, listed in problems.items() for problem in listed]
        return [*lines, "No file was changed."], False
    lines = []
    for key, text in written.items():
        path, remote = local[key].path, pulled.prompts[key]
        if remote.texts == local[key].texts and path.exists():
            lines.append(f"{key}: is {remote.name}:{remote.commit[:8]} already")
        else:
            await asyncio.to_thread(path.write_text, text, encoding="utf-8", newline="\n")
            lines.append(f"{key}: {remote.name}:{remote.commit[:8]} written to {path}")
    return lines, True


async def push(
    settings: Settings, names: Sequence[str], folder: Path | None, *, tags: Sequence[str]
) -> Report:
    """Commits what differs from the hub's newest, and puts `tags` on the newest commits.

    Raises:
        SetupError, HubUnavailableError: as `check`.
    """
    local = await asyncio.to_thread(_local_prompts, names, folder)
    lines = [f"{prompt.path}: {problem}" for prompt in local.values() for problem in prompt.problems]
    if lines:
        return [*lines, "Nothing was pushed."], False
    async with _open_hub(settings, local) as (hub, refs):
        newest = await _pull(hub, {key: (name, "latest") for key, (name, _) in refs.items()}, local)
        newest.require_available()
        for key, (name, ref) in refs.items():
            remote = newest.prompts.get(key)
            if remote is not None and remote.texts == local[key].texts:
                commit, done = remote.commit, "nothing to commit"
            else:
                commit, done = await hub.push(name, local[key].texts), "committed"
            await hub.tag(name, commit, tags)
            tagged = f", tagged {', '.join(tags)}" if tags else ""
            lines.append(f"{key}: {done}: {name}:{commit[:8]}{tagged}")
            if ref not in ("latest", *tags):
                lines.append(f"  the service takes {name}:{ref}; --tag {ref} puts it on this commit")
    lines.append("A running service takes them by POST /prompts/reload.")
    return lines, True


async def diff(settings: Settings, names: Sequence[str], folder: Path | None) -> Report:
    """Compares the files with what the service would take from the hub.

    Raises:
        SetupError, HubUnavailableError: as `check`.
    """
    local = await asyncio.to_thread(_local_prompts, names, folder)
    async with _open_hub(settings, local) as (hub, refs):
        pulled = await _pull(hub, refs, local)
    pulled.require_available()
    lines: list[str] = []
    for key, (name, ref) in refs.items():
        remote = pulled.prompts.get(key)
        if remote is None:
            lines += [f"{key}: {problem}" for problem in pulled.invalid[key]]
            continue
        lines += difflib.unified_diff(
            _lines(local[key].texts),
            _lines(remote.texts),
            str(local[key].path),
            f"{name}:{ref} ({remote.commit[:8]})",
            lineterm="",
        )
    return lines, not lines


def _lines(texts: Texts) -> list[str]:
    return ["## system", *texts.system.split("\n"), "## human", *texts.human.split("\n")]


async def _pull(hub: Hub, refs: Mapping[str, Ref], local: Mapping[str, LocalPrompt]) -> PullResult:
    return await pull_all(hub, refs, {key: prompt.prompt for key, prompt in local.items()})


def _local_prompts(
    names: Sequence[str], folder: Path | None, *, missing: bool = False
) -> dict[str, LocalPrompt]:
    """Returns prompt files by key.

    Args:
        names: which; all where empty.
        folder: where they are; else the bundled ones.
        missing: whether a file that the folder lacks is there with the bundled one's text.

    Raises:
        SetupError: a name is none, a file cannot be read, or none of them is there.
    """
    bundled = _bundled()
    if unknown := sorted(set(names) - set(bundled)):
        raise SetupError(f"There is no prompt {', '.join(unknown)}; there are {', '.join(bundled)}.")
    chosen = {key: prompt for key, prompt in bundled.items() if not names or key in names}
    if folder is None:
        return chosen
    paths = {key: folder / prompt.path.name for key, prompt in chosen.items()}
    sources = {
        key: path if path.exists() else chosen[key].path
        for key, path in paths.items()
        if missing or path.exists()
    }
    if not sources:
        raise SetupError(f"None of the prompts is in {folder}: {', '.join(p.name for p in paths.values())}.")
    read_prompts = _read({paths[key]: source for key, source in sources.items()})
    local = dict(zip(sources, read_prompts, strict=True))
    for key, prompt in local.items():
        if prompt.prompt.contract != bundled[key].prompt.contract:
            prompt.problems.append("its front matter is not what the service supplies and asks for")
    return local


def _bundled() -> dict[str, LocalPrompt]:
    paths = [path for package in PACKAGES for path in sorted(Path(str(files(package))).glob("*.md"))]
    return {prompt.prompt.contract.key: prompt for prompt in _read({path: path for path in paths})}


def _read(sources: Mapping[Path, Path]) -> list[LocalPrompt]:
    """Returns the files with the texts of their sources."""
    prompts, unreadable = [], []
    for path, source in sources.items():
        text = source.read_text(encoding="utf-8")
        try:
            prompt = read(text, str(path))
        except SetupError as error:
            unreadable.append(error.message)
        else:
            prompts.append(LocalPrompt(path, text, prompt, prompt.contract.problems(prompt.texts)))
    if unreadable:
        raise SetupError(" ".join(unreadable))
    return prompts


@asynccontextmanager
async def _open_hub(
    settings: Settings, local: Mapping[str, LocalPrompt]
) -> AsyncIterator[tuple[Hub, dict[str, Ref]]]:
    """Yields the hub, and the name and ref there of each local prompt that has one."""
    if not settings.hub_prompts:
        raise SetupError(
            "No prompt has a name in the hub yet. Set CHECKERBOARD_HUB_PROMPTS, for instance to "
            "checkerboard-{purpose}-{language}."
        )
    async with open_hub(settings) as hub:
        if hub is None:
            raise SetupError("There is no key for LangSmith. Set LANGSMITH_API_KEY.")
        named = parse_hub_names(settings.hub_prompts, _bundled())
        refs = {key: named[key] for key in local if key in named}
        if not refs:
            raise SetupError("CHECKERBOARD_HUB_PROMPTS names none of these prompts.")
        yield hub, refs
