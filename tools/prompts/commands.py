"""`checkerboard prompts …`: prompts in files, in LangSmith's prompt hub, or in both."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from tools.core import logs
from tools.core.errors import SetupError
from tools.core.settings import Settings
from tools.core.terminal import echo
from tools.prompts.hub import Hub, PullResult, Ref, open_hub, parse_hub_names, pull_all
from tools.prompts.prompt import PromptFile, Texts, read, rewritten
from tools.prompts.registry import PACKAGES

app = typer.Typer(help="Keep prompts in files, in LangSmith's prompt hub, or in both.", no_args_is_help=True)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME…", help="such as filter_jobs.ko; without: all")
]
Folder = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="where the files are; without: in this checkout"),
]


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


@app.callback()
def prompts() -> None:
    """Keep prompts in files, in LangSmith's prompt hub, or in both."""
    logs.configure(logging.WARNING)


@app.command()
def check(
    names: Names = None,
    folder: Folder = None,
    hub: Annotated[bool, typer.Option("--hub", help="check the hub's prompts too")] = False,
) -> None:
    """Hold prompts against what the service supplies and asks for; list all that is wrong."""
    local = _local_prompts(names, folder)
    problems = {str(prompt.path): prompt.problems for prompt in local.values()}
    if hub:
        refs, pulled = asyncio.run(_pull(local))
        problems |= {
            f"{name}:{ref} in LangSmith": [*pulled.invalid.get(key, []), *pulled.unavailable.get(key, [])]
            for key, (name, ref) in refs.items()
        }
    for place, listed in problems.items():
        _print([f"{place}: {problem}" for problem in listed] or [f"{place}: good"])
    if any(problems.values()):
        raise typer.Exit(1)


@app.command()
def pull(names: Names = None, folder: Folder = None) -> None:
    """Write the hub's prompts into the files, all or none."""
    local = _local_prompts(names, folder, missing=True)
    _, pulled = asyncio.run(_pull(local))
    pulled.require_available()
    problems, written = dict(pulled.invalid), {}
    for key, remote in pulled.prompts.items():
        try:
            written[key] = rewritten(local[key].text, remote.texts)
        except ValueError as error:
            problems.setdefault(key, []).append(str(error))
    if problems:
        _print(f"{key}: {problem}" for key, listed in problems.items() for problem in listed)
        echo("No file was changed.")
        raise typer.Exit(1)
    for key, text in written.items():
        path, remote = local[key].path, pulled.prompts[key]
        if remote.texts == local[key].texts and path.exists():
            echo(f"{key}: is {remote.name}:{remote.commit[:8]} already")
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
            echo(f"{key}: {remote.name}:{remote.commit[:8]} written to {path}")


@app.command()
def push(
    names: Names = None,
    folder: Folder = None,
    tag: Annotated[list[str] | None, typer.Option(help="a tag to put on the newest commit")] = None,
) -> None:
    """Commit to the hub what differs in the files, and make the prompts that it has not."""
    local = _local_prompts(names, folder)
    if lines := [f"{prompt.path}: {problem}" for prompt in local.values() for problem in prompt.problems]:
        _print([*lines, "Nothing was pushed."])
        raise typer.Exit(1)
    _print(asyncio.run(_push(local, tag or [])))
    echo("A running service takes them by POST /prompts/reload.")


async def _push(local: Mapping[str, LocalPrompt], tags: Sequence[str]) -> list[str]:
    lines = []
    async with _open_hub(local) as (hub, refs):
        latest = {key: (name, "latest") for key, (name, _) in refs.items()}
        newest = await pull_all(hub, latest, _files(local))
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
    return lines


@app.command()
def diff(names: Names = None, folder: Folder = None) -> None:
    """Show how the hub's prompts differ from the files; exit code 1 when they do."""
    local = _local_prompts(names, folder)
    refs, pulled = asyncio.run(_pull(local))
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
    _print(lines)
    if lines:
        raise typer.Exit(1)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        echo(line)


def _lines(texts: Texts) -> list[str]:
    return ["## system", *texts.system.split("\n"), "## human", *texts.human.split("\n")]


def _files(local: Mapping[str, LocalPrompt]) -> dict[str, PromptFile]:
    return {key: prompt.prompt for key, prompt in local.items()}


async def _pull(local: Mapping[str, LocalPrompt]) -> tuple[dict[str, Ref], PullResult]:
    """Returns the refs of prompts, and what the hub has of them."""
    async with _open_hub(local) as (hub, refs):
        return refs, await pull_all(hub, refs, _files(local))


@asynccontextmanager
async def _open_hub(local: Mapping[str, LocalPrompt]) -> AsyncIterator[tuple[Hub, dict[str, Ref]]]:
    """Yields the hub, and the name and ref there of each local prompt that has one."""
    settings = Settings()
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


def _local_prompts(
    names: Sequence[str] | None, folder: Path | None, *, missing: bool = False
) -> dict[str, LocalPrompt]:
    """Returns prompt files by key: those of `names`, or all; in `folder`, or the bundled ones. With
    `missing`, a file that the folder lacks is there with the bundled one's text.

    Raises:
        SetupError: a name is none, a file cannot be read, or none of them is there.
    """
    bundled = _bundled()
    if unknown := sorted(set(names or ()) - set(bundled)):
        raise SetupError(f"There is no prompt {', '.join(unknown)}; there are {', '.join(bundled)}.")
    chosen = {key: prompt for key, prompt in bundled.items() if not names or key in names}
    if folder is None:
        return chosen
    paths = {key: folder / prompt.path.name for key, prompt in chosen.items()}
    sources = {
        path: path if path.exists() else chosen[key].path
        for key, path in paths.items()
        if missing or path.exists()
    }
    if not sources:
        raise SetupError(f"None of the prompts is in {folder}: {', '.join(p.name for p in paths.values())}.")
    keys = [key for key, path in paths.items() if path in sources]
    local = dict(zip(keys, _read(sources), strict=True))
    for key, prompt in local.items():
        if prompt.prompt.contract != bundled[key].prompt.contract:
            prompt.problems.append("its front matter is not what the service supplies and asks for")
    return local


def _bundled() -> dict[str, LocalPrompt]:
    paths = [path for package in PACKAGES for path in sorted(Path(str(files(package))).glob("*.md"))]
    return {prompt.prompt.contract.key: prompt for prompt in _read({path: path for path in paths})}


def _read(sources: Mapping[Path, Path]) -> list[LocalPrompt]:
    """Returns files with the texts of their sources."""
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
