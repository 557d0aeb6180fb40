"""With a model's key the judge is asked in a run; offline that it was not is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evals.judge.judge import CRITERIA
from local.model.server import running
from tests.completions import completion
from tests.evals.judge.bench import marks
from tests.evals.suite_runs import THIN, ran, scores
from tests.pace import time_limit
from tools.core.settings import Settings


@asynccontextmanager
async def provider(settings: Settings, asked: list[str]) -> AsyncIterator[Settings]:
    """Yields settings of an API with a key: its judge is scripted, all else the offline model answers."""
    base = str(settings.openai_base_url).removesuffix("/v1")
    async with httpx.AsyncClient(timeout=time_limit()) as client:

        async def answer(request: Request) -> Response:
            body = await request.body()
            said = orjson.loads(body)
            if said.get("response_format", {}).get("json_schema", {}).get("name") == "Marks":
                asked.append(said["model"])
                return completion(orjson.dumps(marks(5, 4, 3, 2, 1, 5)).decode(), refusal=None)
            forwarded = await client.post(
                base + request.url.path, content=body, headers={"content-type": "application/json"}
            )
            return Response(forwarded.content, forwarded.status_code, media_type="application/json")

        app = Starlette(routes=[Route("/v1/{path:path}", answer, methods=["POST"])])
        async with running(app) as url:
            yield settings.model_copy(
                update={
                    "openai_api_key": SecretStr("a key"),
                    "openai_base_url": url,
                    "judge_model": "a-better-model",
                }
            )


async def test_a_run_with_a_key_has_the_judges_marks_and_what_they_cost(
    settings: Settings, tmp_path: Path
) -> None:
    asked: list[str] = []
    async with provider(settings, asked) as keyed:
        result = await ran(keyed, tmp_path, THIN)
    assert asked == ["a-better-model"]
    assert [scores(result, key) for key in CRITERIA] == [[5.0], [4.0], [3.0], [2.0], [1.0], [5.0]]
    assert result.header.models["judge.model"] == "a-better-model"
    assert "judge" not in result.header.skipped
    # Nobody knows the price of that model.
    assert scores(result, "judge_usd") == [None]


async def test_offline_the_judge_is_left_out_and_the_header_says_why(
    settings: Settings, tmp_path: Path
) -> None:
    result = await ran(settings.model_copy(update={"openai_api_key": None}), tmp_path, THIN)
    assert "OPENAI_API_KEY" in result.header.skipped["judge"]
    assert scores(result, "judge_fit") == []
