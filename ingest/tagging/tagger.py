"""tag: from the blocks of a document to its positions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ingest.documents import Cost, Hints, Parsed, Tagged
from ingest.errors import NotAPostingError, TaggingError
from ingest.tagging.document_parts import Part
from ingest.tagging.positions import PostingPositions, TaggingTask
from tools.core.errors import ModelOutputError
from tools.core.fencing import fence
from tools.llm.chat import ChatModel, Reply, Usage
from tools.llm.journal import Call, ResponseJournal
from tools.llm.token_estimates import usd
from tools.prompts.prompt import Prompt
from tools.prompts.registry import PromptRegistry, PromptSet

logger = logging.getLogger(__name__)

PURPOSE = "tag_posting"


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What made an answer: the version of a prompt, and the model."""

    prompt: str
    model: str


class Tagger:
    """Sorts what a posting says into positions and their fields, in the posting's own words."""

    def __init__(
        self, chat: ChatModel, prompts: PromptRegistry, journal: ResponseJournal | None = None
    ) -> None:
        """`journal` records the answers, so that none is paid for twice."""
        self.chat = chat
        self._prompts = prompts
        self._journal = journal

    async def tag(self, parsed: Parsed, hints: Hints) -> Tagged:
        """Returns the positions of a document.

        A long document is asked about in parts, at the same time. Every line that is not in the
        document goes back to the model, as often as `settings.output_retries` says, and is dropped
        then. `hints` fill what the document is silent about.

        Raises:
            NotAPostingError: there is no position in the document. `cost` has what it cost
                to find that out.
            ModelUnavailableError: the model did not answer.
            ModelOutputError: the model's answer was no valid one, or had nothing of the document.
        """
        task = await asyncio.to_thread(TaggingTask, parsed, hints)
        prompt = self.prompt(task)
        async with self.recorded_chat() as chat:
            asking = (self.ask(chat, prompt, task, hints, number) for number in range(len(task.parts)))
            # Every part is waited for, so that an answer that was paid for is kept though another failed.
            replies = await asyncio.gather(*asking, return_exceptions=True)
            answered = [reply for reply in replies if not isinstance(reply, BaseException)]
            for reply in replies:
                if isinstance(reply, BaseException):
                    raise reply
            usage = sum((reply.usage for reply in answered), Usage())
            answers = [reply.value for reply in answered]
            made_by = self.made_by(prompt)
            cost = self.cost(made_by.model, usage)
            return await asyncio.to_thread(self.tagged, task, answers, cost, made_by)

    @asynccontextmanager
    async def recorded_chat(self) -> AsyncIterator[ChatModel]:
        """Yields the chat model for one document. Where its answers end in a ModelOutputError, they are
        deleted from the journal: with them the next try would fail in the same way."""
        calls: list[Call] = []
        try:
            yield self.chat.for_run(self._journal, calls)
        except ModelOutputError:
            if self._journal is not None:
                await self._journal.forget([call.question for call in calls])
            raise

    def prompt(self, task: TaggingTask, prompts: PromptSet | None = None) -> Prompt:
        """Returns the prompt for a document: the one in its language, of `prompts` or the active ones."""
        return (prompts or self._prompts).get(PURPOSE, task.language)

    def made_by(self, prompt: Prompt) -> MadeBy:
        """Returns what makes the answers to a prompt."""
        return MadeBy(prompt.version, str(self.chat.choice(prompt).model))

    def tagged(
        self, task: TaggingTask, answers: Sequence[PostingPositions], cost: Cost, made_by: MadeBy
    ) -> Tagged:
        """Returns what the answers to all parts of a document come to.

        Raises:
            NotAPostingError, ModelOutputError: as `tag`.
        """
        found = task.positions(answers)
        if found.dropped:
            logger.warning("lines dropped that the document has not", extra={"lines": len(found.dropped)})
        if not found.positions:
            if not task.parts:
                raise NotAPostingError("The document has no text.", cost=cost)
            if not found.named:
                raise NotAPostingError(cost=cost)
            if not found.dropped:
                raise NotAPostingError(
                    "The document names positions, but says nothing of what they do or ask for.",
                    cost=cost,
                )
            problems = [f"not in the document: {line[:120]}" for line in found.dropped[:10]]
            raise TaggingError(purpose=PURPOSE, problems=problems, cost=cost)
        return Tagged(
            positions=found.positions,
            dropped=found.dropped,
            prompt=made_by.prompt,
            model=made_by.model,
            cost=cost,
        )

    async def ask(
        self, chat: ChatModel, prompt: Prompt, task: TaggingTask, hints: Hints, number: int
    ) -> Reply[PostingPositions]:
        """Returns the answer about one part of a document.

        Raises:
            ModelUnavailableError, ModelOutputError: as `tag`.
        """
        blocks = fences(task.parts, number, hints)
        try:
            return await chat.ask(prompt, blocks, PostingPositions, task.problems)
        except ModelOutputError as error:
            cost = self.cost(self.made_by(prompt).model, error.usage or Usage())
            raise TaggingError.of(error, cost) from error

    def cost(self, model: str, usage: Usage, *, batch: bool = False) -> Cost:
        """Returns what tokens of a model's answer cost, at the standard price or at that of a batch."""
        return Cost(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            usd=usd(model, usage.input_tokens, usage.output_tokens, batch=batch),
        )


def fences(parts: Sequence[Part], number: int, hints: Hints) -> dict[str, str]:
    """Returns the prompt's blocks for one part of a document."""
    return {
        "request": fence("request", {"part": number + 1, "parts": len(parts)}),
        "hints": fence("hints", hints.model_dump(mode="json", exclude_none=True)),
        "document": fence("document", parts[number].rows),
    }
