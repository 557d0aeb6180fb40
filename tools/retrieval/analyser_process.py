"""The process that analyses texts: Kiwi is loaded here, where it holds up nobody.

Reads messages from standard input and answers each (`tools/core/worker_processes.py`); the first answer,
unasked, says that Kiwi is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tools.core.worker_processes import open_answers, read_message, write_message
from tools.lexicon.families import posting_families
from tools.retrieval.terms import load_analyser, sparse, text_terms
from tools.retrieval.understanding import understand

if TYPE_CHECKING:
    from kiwipiepy import Kiwi


def main() -> None:
    """Answers until there are no more messages."""
    answers = open_answers()
    kiwi = load_analyser()
    write_message(answers, b"{}")
    while (message := read_message()) is not None:
        write_message(answers, orjson.dumps(_answer(kiwi, orjson.loads(message))))


def _answer(kiwi: Kiwi, asked: dict[str, Any]) -> Any:
    if "query" in asked:
        return understand(kiwi, asked["query"])
    texts: list[str] = asked["postings"]
    return [
        {"terms": sparse(terms), "families": posting_families(*_title_and_body(text))}
        for text, terms in zip(texts, text_terms(kiwi, texts), strict=True)
    ]


def _title_and_body(text: str) -> tuple[str, str]:
    title, _, body = text.partition("\n")
    return title, body


if __name__ == "__main__":
    main()
