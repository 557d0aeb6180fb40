"""How many tokens a text has, estimated, and what tokens cost.

Whether a prompt fits is decided before every model call, for any model of a gateway. So the estimate is an
upper bound that costs nothing: no vocabulary is loaded and no text is split.

Measured with OpenAI's vocabularies on 1,866 postings, Korean and English, as rows of a fence, singly and
twenty a prompt. A least-squares fit gives, in tokens:

| vocabulary | an ASCII character | a character of three bytes (Hangul) |
|---|---|---|
| cl100k_base | 0.18 | 1.46 |
| o200k_base | 0.18 | 0.82 |

The constants lie above all of them: the worst single row came to 0.98 of its estimate and the worst prompt of
twenty to 0.86 with cl100k_base, to 0.67 and 0.54 with o200k_base; the longest prompts of the nodes
(`tests/nodes/test_prompt_budget.py`) to 0.80 and 0.56. Text that no vocabulary knows (rare syllables, noise)
can be more; as a token is at least one byte, the truth never exceeds two and a half times the estimate.

Prices are the standard ones in USD of OpenAI's pricing page (developers.openai.com/api/docs/pricing), as
reported between March and November 2026; prompts below 272,000 tokens, no cached input, no regional
surcharge. They are estimates: the bill is OpenAI's.
"""

from __future__ import annotations

import math
import re

from tools.llm.embedding_models import E5, MORPHEMES
from tools.llm.openai_client import OFFLINE_CHAT_MODEL

_PER_CHARACTER = 0.4
_PER_FURTHER_BYTE = 0.625
"""So 0.4 tokens for an ASCII character and 1.65 for a Hangul syllable, which has three bytes."""


def estimated_tokens(text: str) -> int:
    """Returns how many tokens `text` has at most, noise aside."""
    characters = len(text)
    further_bytes = len(text.encode()) - characters
    return math.ceil(_PER_CHARACTER * characters + _PER_FURTHER_BYTE * further_bytes)


BATCH_DISCOUNT = 0.5
"""The Batch API's share of the standard price, for every model."""

USD_PER_MILLION: dict[str, tuple[float, float]] = {
    OFFLINE_CHAT_MODEL: (0.0, 0.0),
    MORPHEMES: (0.0, 0.0),
    E5: (0.0, 0.0),
    "gpt-3.5-turbo": (0.50, 1.50),
    "gpt-4-turbo": (10.00, 30.00),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "o1": (15.00, 60.00),
    "o3": (2.00, 8.00),
    "o3-mini": (1.10, 4.40),
    "o4-mini": (1.10, 4.40),
    "gpt-5": (1.25, 10.00),
    "gpt-5-chat": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5-nano": (0.05, 0.40),
    "gpt-5-pro": (15.00, 120.00),
    "gpt-5.1": (1.25, 10.00),
    "gpt-5.2": (1.75, 14.00),
    "gpt-5.4": (2.50, 15.00),
    "gpt-5.4-mini": (0.75, 4.50),
    "gpt-5.4-nano": (0.20, 1.25),
    "gpt-5.5": (5.00, 30.00),
    "gpt-5.5-pro": (30.00, 180.00),
    "gpt-5.6-sol": (4.00, 20.00),
    "gpt-5.6-terra": (2.00, 12.00),
    "gpt-5.6-luna": (0.20, 1.20),
    "gpt-6-astra": (10.00, 50.00),
    "gpt-6-sol": (2.00, 10.00),
    "gpt-6-luna": (0.10, 0.50),
    "gpt-6.1-terra": (1.00, 5.00),
    "text-embedding-3-small": (0.02, 0.0),
    "text-embedding-3-large": (0.13, 0.0),
    "text-embedding-ada-002": (0.10, 0.0),
}
"""USD per million tokens of input and of output, by model."""

_DATED = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{4}|latest)$")
"""The end of a dated name: `gpt-4o-mini-2024-07-18`."""


def usd(model: str, input_tokens: int, output_tokens: int, *, batch: bool = False) -> float | None:
    """Returns what the tokens cost in USD; None where the price of the model is not known.

    A dated name (`gpt-4o-mini-2024-07-18`) costs what the plain one does, and a gateway's prefix
    (`openai/gpt-4o-mini`) is passed over.
    """
    name = model.rsplit("/", 1)[-1]
    price = USD_PER_MILLION.get(name) or USD_PER_MILLION.get(_DATED.sub("", name))
    if price is None:
        return None
    total = (input_tokens * price[0] + output_tokens * price[1]) / 1_000_000
    return total * BATCH_DISCOUNT if batch else total
