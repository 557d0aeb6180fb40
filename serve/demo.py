"""The demo: one generation and one regeneration in the terminal, node by node."""

from __future__ import annotations

from collections.abc import AsyncIterable
from importlib.resources import files
from typing import Any

import orjson
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from graph.sessions.sessions import Event
from serve.context import open_app_context
from serve.markdown import to_markdown
from tools.core import errors
from tools.core.contracts import Answer, Language, Profile, Wishes
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings, offline_notice
from tools.core.terminal import Terminal, plain
from tools.core.tracing import traced


async def run_demo(settings: Settings, profile_id: str | None, console: Terminal) -> None:
    """Generates for a sample profile, regenerates, and prints both projects.

    Raises:
        InvalidRequestError: there is no sample profile of that id.
        CheckerboardError: as the run's `error` event says.
    """
    sample = _sample(profile_id)
    profile = Profile.model_validate(sample["profile"])
    console.print(Panel(f"{profile.desired_job} · {', '.join(profile.skills)}", title=Text(sample["id"])))
    if (notice := offline_notice(settings)) is not None:
        console.print(notice, style="yellow")
    async with traced(), open_app_context(settings) as app_context:
        console.rule("generate")
        first = await _watched(app_context.sessions.generate(profile, sample["language"]), console)
        _print(first, sample["language"], console)
        console.rule("regenerate: another subject, please")
        second = await _watched(app_context.sessions.regenerate(first.session_id, Wishes()), console)
        _print(second, sample["language"], console)


def _sample(profile_id: str | None) -> dict[str, Any]:
    text = (files("samples") / "profiles.jsonl").read_text(encoding="utf-8")
    samples: dict[str, dict[str, Any]] = {row["id"]: row for row in map(orjson.loads, text.splitlines())}
    if profile_id is None:
        return next(iter(samples.values()))
    if profile_id not in samples:
        raise InvalidRequestError(f"No sample profile {profile_id!r}; there are {', '.join(samples)}.")
    return samples[profile_id]


async def _watched(events: AsyncIterable[Event], console: Terminal) -> Answer:
    with console.status("…") as status:
        async for event in events:
            match event["type"]:
                case "node_started":
                    status.update(event["node"])
                case "node_finished":
                    line = f"{event['node']:<18}{event['elapsed_ms']:>6} ms  {event['data']}"
                    console.print(Text.assemble(("✓", "green"), f" {line}"))
                case "error":
                    raise errors.from_json(event["data"])
                case "result":
                    return Answer.model_validate(event["data"])
    raise AssertionError("a run ends with a result or an error")


def _print(answer: Answer, language: Language, console: Terminal) -> None:
    text = to_markdown(answer.project, language, candidates=answer.candidates, warnings=answer.warnings)
    # Made plain before it is parsed: rich drops some control characters without a word.
    console.print(Markdown(plain(text)))
