"""What a piece of work asked of models: each call, with its tokens and its time."""

from __future__ import annotations

import hashlib
import time
from contextvars import ContextVar
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model. `replayed`: the answer was found in the ledger and cost nothing again.
    `tokens` are as the API counted them, None where it did not say."""

    purpose: str
    model: str
    question: str
    """A hash of what was asked: two calls of one piece of work with the same were paid twice."""
    seconds: float
    replayed: bool
    input_tokens: int | None
    output_tokens: int | None


calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)
"""Where the calls of this piece of work are noted; nowhere, when nobody reads them."""


def note(
    purpose: str, model: str, question: object, began: float, *, paid: bool, tokens: tuple[int, int] | None
) -> None:
    """Notes a call where somebody reads them. `question` is JSON; `began` is in monotonic seconds;
    `tokens` are those of the input and of the output."""
    noted = calls.get()
    if noted is None:
        return
    noted.append(
        Call(
            purpose=purpose,
            model=model,
            question=hashlib.blake2b(orjson.dumps(question), digest_size=8).hexdigest(),
            seconds=time.monotonic() - began,
            replayed=not paid,
            input_tokens=tokens[0] if tokens else None,
            output_tokens=tokens[1] if tokens else None,
        )
    )
