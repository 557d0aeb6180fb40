"""Prompts between files and the hub: what the commands `checkerboard prompts …` do.

Each returns the lines to print and whether all is well.
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
from tools.prompts.hub import Hub, hub_names, open_hub, pulled
from tools.prompts.prompt import PromptFile, Texts, read, rewritten
from tools.prompts.registry import PACKAGES

Report = tuple[list[str], bool]


@dataclass(frozen=True, slots=True)
class Kept:
    """A prompt's file. `problems` are what is wrong with it, one sentence each."""

    path: Path
    text: str
    prompt: PromptFile
    problems: list[str]


async def check(settings: Settings, names: Sequence[str], folder: Path | None, *, hub: bool) -> Report:
    """Holds the files against their contracts and, with `hub`, the hub's prompts too.

    Raises:
        SetupError: a file cannot be read as a prompt, a name is none, or the hub is not configured.
        HubUnavailableError: the hub does not answer.
    """
    kept = await asyncio.to_thread(_kept, names, folder)
    problems = {str(one.path): one.problems for one in kept.values()}
    if hub:
        async with _opened(settings, kept) as (opened, refs):
            came = await pulled(opened, refs, _prompts(kept))
        problems |= {
            f"{name}:{ref} in LangSmith": [*came.wrong.get(key, []), *came.away.get(key, [])]
            for key, (name, ref) in refs.items()
        }
    lines = []
    for where, found in problems.items():
        lines += [f"{where}: {problem}" for problem in found] or [f"{where}: good"]
    return lines, not any(problems.values())


async def pull(settings: Settings, names: Sequence[str], folder: Path | None) -> Report:
    """Writes the hub's texts under the front matter of the files, when every one of them can be used.

    Raises:
        SetupError, HubUnavailableError: as `check`.
    """
    kept = await asyncio.to_thread(_kept, names, folder, missing=True)
    async with _opened(settings, kept) as (opened, refs):
        came = await pulled(opened, refs, _prompts(kept))
    came.require()
    lines, wrong, written = [], dict(came.wrong), {}
    for key, origin in came.came.items():
        try:
            written[key] = rewritten(kept[key].text, origin.texts)
        except ValueError as error:
            wrong.setdefault(key, []).append(str(error))
    if wrong:
        lines = [f"{key}: {problem}" for key, found in wrong.items() for problem in found]
        return [*lines, "No file was changed."], False
    for key, text in written.items():
        one, origin = kept[key], came.came[key]
        if origin.texts == one.prompt.texts and one.path.exists():
            lines.append(f"{key}: is {origin.name}:{origin.commit[:8]} already")
        else:
            await asyncio.to_thread(one.path.write_text, text, encoding="utf-8", newline="\n")
            lines.append(f"{key}: {origin.name}:{origin.commit[:8]} written to {one.path}")
    return lines, True


async def push(
    settings: Settings, names: Sequence[str], folder: Path | None, *, tags: Sequence[str]
) -> Report:
    """Commits what differs from the hub's newest, and puts `tags` on the newest commits.

    Raises:
        SetupError, HubUnavailableError: as `check`.
    """
    kept = await asyncio.to_thread(_kept, names, folder)
    lines = [f"{one.path}: {problem}" for one in kept.values() for problem in one.problems]
    if lines:
        return [*lines, "Nothing was pushed."], False
    async with _opened(settings, kept) as (hub, refs):
        newest = await pulled(hub, {key: (name, "latest") for key, (name, _) in refs.items()}, _prompts(kept))
        newest.require()
        for key, (name, ref) in refs.items():
            there = newest.came.get(key)
            if there is not None and there.texts == kept[key].prompt.texts:
                commit, done = there.commit, "nothing to commit"
            else:
                commit, done = await hub.push(name, kept[key].prompt.texts), "committed"
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
    kept = await asyncio.to_thread(_kept, names, folder)
    async with _opened(settings, kept) as (hub, refs):
        came = await pulled(hub, refs, _prompts(kept))
    came.require()
    lines: list[str] = []
    for key, (name, ref) in refs.items():
        there = came.came.get(key)
        if there is None:
            lines += [f"{key}: {problem}" for problem in came.wrong[key]]
            continue
        lines += difflib.unified_diff(
            _lines(kept[key].prompt.texts),
            _lines(there.texts),
            str(kept[key].path),
            f"{name}:{ref} ({there.commit[:8]})",
            lineterm="",
        )
    return lines, not lines


def _lines(texts: Texts) -> list[str]:
    return ["## system", *texts.system.split("\n"), "## human", *texts.human.split("\n")]


def _prompts(kept: Mapping[str, Kept]) -> dict[str, PromptFile]:
    return {key: one.prompt for key, one in kept.items()}


def _kept(names: Sequence[str], folder: Path | None, *, missing: bool = False) -> dict[str, Kept]:
    """Returns the files of `names`, or all, by key: those of `folder`, or else the bundled ones. With
    `missing`, a file that the folder lacks is there with the bundled one's text.

    Raises:
        SetupError: a name is none, a file cannot be read, or none of them is there.
    """
    bundled = _bundled()
    if unknown := sorted(set(names) - set(bundled)):
        raise SetupError(f"There is no prompt {', '.join(unknown)}; there are {', '.join(bundled)}.")
    chosen = {key: one for key, one in bundled.items() if not names or key in names}
    if folder is None:
        return chosen
    paths = {key: folder / one.path.name for key, one in chosen.items()}
    there = {key: path for key, path in paths.items() if missing or path.exists()}
    if not there:
        raise SetupError(f"None of the prompts is in {folder}: {', '.join(p.name for p in paths.values())}.")
    kept = _read({path: path if path.exists() else chosen[key].path for key, path in there.items()})
    found = dict(zip(there, kept, strict=True))
    for key, one in found.items():
        if one.prompt.contract != bundled[key].prompt.contract:
            one.problems.append("its front matter is not what the service supplies and asks for")
    return found


def _bundled() -> dict[str, Kept]:
    paths = [path for package in PACKAGES for path in sorted(Path(str(files(package))).glob("*.md"))]
    return {one.prompt.contract.key: one for one in _read({path: path for path in paths})}


def _read(sources: Mapping[Path, Path]) -> list[Kept]:
    """Returns the files with the texts of their sources."""
    kept, unreadable = [], []
    for path, source in sources.items():
        text = source.read_text(encoding="utf-8")
        try:
            prompt = read(text, str(path))
        except SetupError as error:
            unreadable.append(error.message)
        else:
            kept.append(Kept(path, text, prompt, prompt.contract.problems(prompt.texts)))
    if unreadable:
        raise SetupError(" ".join(unreadable))
    return kept


@asynccontextmanager
async def _opened(
    settings: Settings, kept: Mapping[str, Kept]
) -> AsyncIterator[tuple[Hub, dict[str, tuple[str, str]]]]:
    """Yields the hub, and the name and ref there of each prompt in `kept`, by key."""
    if not settings.hub_prompts:
        raise SetupError(
            "No prompt has a name in the hub yet. Set CHECKERBOARD_HUB_PROMPTS, for instance to "
            "checkerboard-{purpose}-{language}."
        )
    async with open_hub(settings) as hub:
        if hub is None:
            raise SetupError("There is no key for LangSmith. Set LANGSMITH_API_KEY.")
        named = hub_names(settings.hub_prompts, _bundled())
        refs = {key: named[key] for key in kept if key in named}
        if not refs:
            raise SetupError("CHECKERBOARD_HUB_PROMPTS names none of these prompts.")
        yield hub, refs
