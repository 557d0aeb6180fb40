"""What a regeneration costs beside a generation, which also sorts the postings and sums them up."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest

from graph.sessions.sessions import Run
from ingest.load import SAMPLES
from serve.context import AppContext
from tests.graph.sessions.test_sessions import finished, result
from tools.core.contracts import Language, Profile, Wishes
from tools.llm.journal import Call

SHARE = 0.60
"""The most that a regeneration may take of a generation's tokens."""
PEOPLE = [orjson.loads(line) for line in (SAMPLES.parent / "profiles.jsonl").read_bytes().splitlines()]
WISHES = [Wishes(), Wishes(feedback="더 쉽게, 기간은 4주로")]


def chat_tokens(calls: Sequence[Call]) -> int:
    """In and out of the chat model. Embeddings, of which a regeneration takes some 600 tokens to compare its
    subjects with the earlier ones, cost a tenth and less, or nothing."""
    chats = [call for call in calls if call.purpose != "embedding"]
    assert all(call.input_tokens and call.output_tokens for call in chats)
    return sum((call.input_tokens or 0) + (call.output_tokens or 0) for call in chats)


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person["id"])
async def test_a_regeneration_costs_no_more_than_its_share_of_a_generation(
    app_context: AppContext, person: dict[str, object], language: Language
) -> None:
    async def tokens(run: Run) -> int:
        result(await finished(run))
        return chat_tokens(run.calls)

    sessions = app_context.sessions
    first = sessions.generate(Profile.model_validate(person["profile"]), language)
    generation = await tokens(first)
    shares = [await tokens(sessions.regenerate(first.session_id, wishes)) / generation for wishes in WISHES]
    assert max(shares) <= SHARE
