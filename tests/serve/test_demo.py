"""What the demo prints of what models and documents wrote."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

from graph.sessions.sessions import Event
from serve import demo
from serve.context import AppContext
from tools.core.contracts import Answer, Profile
from tools.core.terminal import Terminal

HOSTILE = "[/nope] \x1b[2J\x1b]52;c;aGk=\x07 \x9b2J"
SEEN = "[/nope] ⟨U+001B⟩[2J⟨U+001B⟩]52;c;aGk=⟨U+0007⟩ ⟨U+009B⟩2J"
WRITTEN = {"title", "description", "summary", "deliverable", "quote", "company", "job_title"}


def hostile(value: Any, key: str = "") -> Any:
    """The same, with hostile words wherever a model or a document may write some."""
    if isinstance(value, dict):
        return {name: hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    return HOSTILE if isinstance(value, str) and key in WRITTEN else value


async def test_a_hostile_answer_is_shown_and_steers_nothing(app_context: AppContext) -> None:
    profile = Profile(desired_job="백엔드 개발자")
    answer = [event async for event in app_context.sessions.generate(profile, "ko")][-1]["data"]
    answer |= {key: hostile(answer[key]) for key in ("project", "candidates")}

    async def events() -> AsyncIterator[Event]:
        finished = {"type": "node_finished", "node": "retrieve", "elapsed_ms": 1, "data": HOSTILE}
        yield {"type": "node_started", "node": "retrieve", "elapsed_ms": 1, "data": {}}
        yield finished  # type: ignore[misc] - any text may be found
        yield {"type": "result", "node": None, "elapsed_ms": 1, "data": answer}

    out = io.StringIO()
    console = Terminal(file=out, color_system=None, width=400)
    demo._print(await demo._watched(events(), console), "ko", console)
    said = out.getvalue()
    assert said.count(SEEN) > 10
    assert not {"\x1b", "\x07", "\x9b"} & set(said)
    assert Answer.model_validate(answer).project.title == HOSTILE
