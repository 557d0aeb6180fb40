"""Asks a model which words and lines of a résumé belong where.

It is given the lines with their numbers. It answers with numbers of lines and with words that stand in them,
so it can put nothing into a profile that the person did not write: `tools/resume/profile.py` looks at each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.core.contracts import Language
from tools.core.fencing import fence
from tools.core.text import clean
from tools.llm.chat import ChatModel
from tools.prompts.registry import PromptSet
from tools.resume.profile import ReadResume, Resume
from tools.resume.schema import ResumeReading

MAX_RESUME_CHARS = 20_000
"""Longest résumé: some ten pages, and as much as a profile may hold."""
MAX_LINES = 1_000
_LONGEST_LINE = 300
"""Characters. What is pasted without line breaks is cut into lines at the ends of sentences."""
_PURPOSE = "read_resume"
_SOME = rf".{{1,{_LONGEST_LINE}}}"
_PIECE = re.compile(rf"{_SOME}(?:(?<=[.!?。다])\s|\s[•▪■●ㆍ]\s|$)|{_SOME}(?:\s|$)|{_SOME}")
"""The beginning of a line: to the end of a sentence or to a bullet, else of a word."""


async def read_resume(
    chat: ChatModel, prompts: PromptSet, lines: Sequence[str], language: Language
) -> ReadResume:
    """Returns the profile that a résumé, in lines, gives, and the lines that went nowhere.

    What does not stand in the lines goes back to the model, a bounded number of times, and is left out then.

    Raises:
        ModelUnavailableError: the model did not answer.
        ModelOutputError: its answer was no valid one.
    """
    resume = Resume(lines)
    blocks = {
        "request": fence("request", {"language": language}),
        "resume": fence("resume", ({"line": n, "text": line} for n, line in enumerate(lines, start=1))),
    }
    reply = await chat.ask(prompts.get(_PURPOSE, language), blocks, ResumeReading, resume.problems)
    return resume.profile(reply.value)


def resume_lines(text: str) -> list[str]:
    """Returns the lines of a pasted résumé, cleaned, without empty ones, each of at most 300 characters."""
    pieces = (
        piece.strip() for line in clean(text).splitlines() for piece in _PIECE.findall(" ".join(line.split()))
    )
    return [piece for piece in pieces if piece]
