"""The offline model: rules behind OpenAI's HTTP protocol, on loopback.

It answers in the place of a paid model when no key is set, so that one client (`langchain-openai`)
serves both. `rules/` holds what it says; the other modules hold how it is said:

    server        the routes and the order in which a call is served
    completions   chat requests, answers and stream events
    embeddings    hashed Korean morphemes, and embedding requests and answers
    files         uploads and what batches write, in memory
    batches       files of chat requests, worked off behind the caller's back
    behaviour     latency and faults, set from outside, and the count of calls
    control_routes  who may set them

`python -m local.model --port 0` runs it. What the protocol modules share stands here.
"""

from __future__ import annotations

import math

SECRET_VARIABLE = "CHECKERBOARD_OFFLINE_SECRET"  # noqa: S105 - its name
"""What opens the controls; without it they are closed."""
TOKENS_PER_WIDE_CHARACTER = 0.7
TOKENS_PER_NARROW_CHARACTER = 0.25


class ApiError(Exception):
    """An answer in OpenAI's error envelope.

    Attributes:
        status: HTTP status.
        kind: the envelope's `type`, such as `invalid_request_error`.
        param: the field of the request that is at fault, as a dotted path.
        code: a word for programs.
        headers: further HTTP headers of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = headers

    def as_json(self) -> dict[str, dict[str, str | None]]:
        """Returns `{"error": {"message", "type", "param", "code"}}`."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


def count_tokens(text: str) -> int:
    """Estimates the tokens of `text` for `usage`: 0.7 a Korean syllable, 0.25 any other character.

    The weights are rules of thumb for recent OpenAI tokenisers, not a count by one of them, which
    would have to be downloaded. A Korean syllable is told by its length in UTF-8: two bytes more
    than a character of ASCII, so the whole text is counted without looking at each character.
    """
    wide = (len(text.encode()) - len(text)) / 2
    return math.ceil(
        TOKENS_PER_WIDE_CHARACTER * wide + TOKENS_PER_NARROW_CHARACTER * max(0.0, len(text) - wide)
    )
