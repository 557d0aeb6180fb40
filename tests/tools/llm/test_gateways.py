"""Gateways that bend OpenAI's protocol: one paid call is enough, and a refusal is told as one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from starlette.responses import Response

from tests.tools.llm.test_chat import GOOD, gateway
from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.model_answers import Usage


def bent(body: Any, status: int = 200, media_type: str = "application/json") -> Response:
    content = body if isinstance(body, str | bytes) else orjson.dumps(body)
    return Response(content, status, media_type=media_type)


def choice(message: Any, finish_reason: Any = "stop", **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        **more,
    }


def message(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


CALL = {"name": "JobVerdicts", "arguments": GOOD}
ANSWERS = {
    "a list of text": choice(message([{"type": "text", "text": GOOD}])),
    "a list of output_text": choice(message([{"type": "output_text", "text": GOOD, "annotations": []}])),
    "a list without types": choice(message([{"text": GOOD}])),
    "a list of strings": choice(message([GOOD[:9], GOOD[9:]])),
    "text under value": choice(message([{"type": "text", "text": {"value": GOOD}}])),
    "reasoning, then text": choice(
        message(
            [
                {"type": "reasoning", "text": '{"verdicts": []}'},
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": GOOD},
            ]
        )
    ),
    "one block": choice(message({"type": "text", "text": GOOD})),
    "an object": choice(message(orjson.loads(GOOD))),
    "a tool call": choice(
        message(None, tool_calls=[{"id": "1", "type": "function", "function": CALL}]), "tool_calls"
    ),
    "a tool call with an object": choice(
        message("", tool_calls=[{"function": {**CALL, "arguments": orjson.loads(GOOD)}}]), "tool_calls"
    ),
    "a sentence and a tool call": choice(message("Calling {it}.", tool_calls=[{"function": CALL}])),
    "a function call": choice(message(None, function_call=CALL), "function_call"),
    "what a parser took for thoughts": choice(message(None, reasoning_content=GOOD)),
    "thoughts beside": choice(message(GOOD, reasoning_content="{draft}", reasoning=None)),
    "no reason": choice(message(GOOD), None),
    "an odd reason": choice(message(GOOD), "eos_token"),
    "a reason that is no word": choice(message(GOOD), 7),
    "the reason of a cut, but whole": choice(message(GOOD), "MAX_TOKENS"),
    "no role": choice({"content": GOOD}),
    "an odd role": choice({"role": "model", "content": GOOD}),
    "an empty refusal": choice(message(GOOD, refusal="")),
    "text as once": choice(None) | {"choices": [{"text": GOOD, "finish_reason": "stop"}]},
    "a delta": choice(None) | {"choices": [{"delta": message(GOOD), "finish_reason": "stop"}]},
    "no usage": {key: value for key, value in choice(message(GOOD)).items() if key != "usage"},
    "null usage": choice(message(GOOD), usage=None),
    "odd usage": choice(message(GOOD), usage={"prompt_tokens": None, "prompt_tokens_details": []}),
    "usage that is no object": choice(message(GOOD), usage="5"),
    "bare": {"choices": [{"message": {"content": GOOD}}]},
    "nulls everywhere": {
        "id": None,
        "model": None,
        "error": None,
        **choice(message(GOOD), system_fingerprint=None),
    },
    "a fence": choice(message(f"```json\n{GOOD}\n```")),
    "thoughts": choice(message(f"<think>\n{{p-1}}\n</think>\n\n{GOOD}")),
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_in_another_form_is_one_paid_call(embedded: Settings, body: dict[str, Any]) -> None:
    async with gateway(embedded, bent(body)) as chat:
        reply = await chat.ask()
    assert [verdict.posting_id for verdict in reply.value.verdicts] == ["p-1"]
    assert len(chat.bodies) == 1
    assert reply.usage in (Usage(3, 2), Usage())


@pytest.mark.parametrize("media_type", ["text/plain", "text/html; charset=utf-8", "application/octet-stream"])
async def test_an_answer_under_another_type_is_one(embedded: Settings, media_type: str) -> None:
    body = b"\xef\xbb\xbf" + orjson.dumps(choice(message(GOOD)))
    async with gateway(embedded, bent(body, media_type=media_type)) as chat:
        assert (await chat.ask()).usage == Usage(3, 2)


async def test_half_a_character_in_an_answer_breaks_nothing(embedded: Settings) -> None:
    body = orjson.dumps(choice(message(GOOD.replace("runs", "runs ?")))).replace(b"?", b"\\ud83d")
    async with gateway(embedded, bent(body)) as chat:
        assert (await chat.ask()).value.verdicts[0].reason == "runs ? APIs"


REFUSALS = {
    "as OpenAI": choice(message(None, refusal="I can't help with that.")),
    "as a block": choice(message([{"type": "refusal", "refusal": "I can't help with that."}])),
    "with empty content": choice(message("", refusal=" I can't help\nwith that."), "refusal"),
}


@pytest.mark.parametrize("body", REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refusal_is_told_as_such_after_one_call(embedded: Settings, body: dict[str, Any]) -> None:
    async with gateway(embedded, bent(body)) as chat:
        with pytest.raises(ModelOutputError, match="refuses to answer: “I can't help with that") as failed:
            await chat.ask()
    assert failed.value.details == {
        "purpose": "filter_jobs",
        "cause": "refusal",
        "refusal": "I can't help with that.",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    assert len(chat.bodies) == 1


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "PROHIBITED_CONTENT", "content-filter"])
async def test_an_answer_that_a_filter_withheld_is_told_as_such(embedded: Settings, reason: str) -> None:
    async with gateway(embedded, bent(choice(message(GOOD[:20]), reason))) as chat:
        with pytest.raises(ModelOutputError, match="content filter") as failed:
            await chat.ask()
    assert failed.value.cause == "content_filter"
    assert len(chat.bodies) == 1


@pytest.mark.parametrize("reason", ["length", "Length", "MAX_TOKENS", "max_output_tokens"])
async def test_an_answer_that_was_cut_goes_back_whatever_the_cut_is_called(
    embedded: Settings, reason: str
) -> None:
    answers = bent(choice(message(GOOD[:20]), reason)), bent(choice(message(GOOD)))
    async with gateway(embedded, *answers) as chat:
        assert (await chat.ask()).usage == Usage(6, 4)
    assert [entry["role"] for entry in chat.bodies[1]["messages"]] == ["system", "user", "user"]
    assert "cut off" in chat.bodies[1]["messages"][-1]["content"]


async def test_what_groq_refuses_for_its_json_is_read_like_any_answer(embedded: Settings) -> None:
    error = {"message": "Failed to generate JSON.", "code": "json_validate_failed"}
    fenced = bent({"error": {**error, "failed_generation": f"```json\n{GOOD}```"}}, 400)
    async with gateway(embedded, fenced) as chat:
        assert (await chat.ask()).value.verdicts
    half = bent({"error": {**error, "failed_generation": GOOD[:30]}}, 400)
    async with gateway(embedded, half, bent(choice(message(GOOD)))) as chat:
        assert (await chat.ask()).value.verdicts
    assert len(chat.bodies) == 2


NONSENSE = {
    "a page": bent("<html>Maintenance</html>", media_type="text/html"),
    "a page called JSON": bent("<html>Maintenance</html>"),
    "half JSON": bent("{"),
    "nothing": bent(""),
    "a list": bent([1]),
    "a word": bent('"ok"'),
    "null": bent("null"),
    "null choices": bent(choice(None) | {"choices": None}),
    "no choices": bent(choice(None) | {"choices": []}),
    "choices that are none": bent(choice(None) | {"choices": ["no"]}),
    "another API's": bent({"models": ["a"]}),
    "deep": bent("[" * 100_000),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
async def test_an_answer_that_is_none_is_the_operators_to_mend(
    embedded: Settings, nonsense: Response
) -> None:
    async with gateway(embedded, nonsense) as chat:
        with pytest.raises(ModelUnavailableError, match="OPENAI_BASE_URL") as failed:
            await chat.ask()
    assert failed.value.details == {"purpose": "filter_jobs", "cause": "unreadable"}
    assert len(chat.bodies) == 1


@pytest.mark.parametrize(
    "bug", [KeyError("ours"), TypeError("ours"), AttributeError("ours"), ValueError("ours")]
)
async def test_a_bug_of_ours_stays_a_bug(
    embedded: Settings, bug: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(embedded, bent(choice(message(GOOD)))) as chat:

        def broken(*_: Any) -> None:
            raise bug

        monkeypatch.setattr("tools.llm.chat._trace_config", broken)
        with pytest.raises(type(bug), match="ours"):
            await chat.ask()
