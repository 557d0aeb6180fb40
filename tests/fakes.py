"""What a node calls, without a server: a chat model that says its script, and a store in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from langgraph.runtime import Runtime
from pydantic import BaseModel

from tools.context import RunContext
from tools.core.errors import NoPostingsError
from tools.core.fencing import unfence
from tools.core.settings import Settings
from tools.llm.chat import Reply
from tools.postings.contracts import FoundPosting, StoredPosting
from tools.postings.question import NEAREST, Question
from tools.postings.repository import Corpus
from tools.prompts.prompt import Prompt
from tools.prompts.registry import PromptRegistry
from tools.retrieval.search import PostingSearch
from tools.retrieval.understanding import Understood

T = TypeVar("T", bound=BaseModel)


def posting(number: int, **fields: Any) -> StoredPosting:
    """A back-end posting `p-<number>`; `fields` replace what it says."""
    said = {
        "company": f"Company {number}",
        "job_title": "Backend developer",
        "responsibilities": f"Design and run payment API number {number}",
        "requirements": "Three years of Java",
        "preferred": "Kafka in production",
        "skills": ["Java"],
    }
    return StoredPosting(posting_id=f"p-{number}", source="test", source_id=str(number), **{**said, **fields})


class ScriptedChat:
    """Gives the scripted answers in turn; one that fails its check is followed by the next, while
    there is one. An exception in the script is raised.

    `asked` holds of every question its purpose and what the model would read: the fenced blocks of
    the rendered prompt. `refusals` holds the problems of every answer that failed its check.
    """

    model_name = "scripted"

    def __init__(self, *script: BaseModel | Exception) -> None:
        self._script = list(script)
        self.asked: list[tuple[str, dict[str, list[dict[str, Any]]]]] = []
        self.refusals: list[list[str]] = []

    def versions(self, prompt: Prompt, schema: type[T]) -> dict[str, Any]:
        """As `ChatModel.versions`."""
        return {"prompt": prompt.version, "model": self.model_name, "schema": schema.__name__}

    async def ask(
        self, prompt: Prompt, blocks: Mapping[str, str], schema: type[T], check: Callable[[T], list[str]]
    ) -> Reply[T]:
        """As `ChatModel.ask`."""
        self.asked.append((prompt.purpose, unfence(str(prompt.render(blocks)[-1].content))))
        while True:
            answer = self._script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, schema)
            if problems := check(answer):
                self.refusals.append(problems)
            if not problems or not self._script:
                return Reply(answer, problems)


class MemoryPostings:
    """Postings in the order of their nearness to every query."""

    def __init__(self, postings: Sequence[StoredPosting]) -> None:
        self._postings = {posting.posting_id: posting for posting in postings}

    async def corpus(self) -> Corpus:
        """As `PostingStore.corpus`, at revision 7."""
        if not self._postings:
            raise NoPostingsError
        return Corpus(len(self._postings), 7)

    async def nearest(
        self, vector: Sequence[float], *, k: int, question: Question = NEAREST
    ) -> list[FoundPosting]:
        """As `PostingStore.nearest`, whatever is asked; scores fall by a hundredth."""
        found = list(self._postings.values())[:k]
        return [FoundPosting(**p.model_dump(), score=0.9 - 0.01 * rank) for rank, p in enumerate(found)]

    async def by_ids(self, posting_ids: Sequence[str]) -> dict[str, StoredPosting]:
        """As `PostingStore.by_ids`."""
        return {i: self._postings[i] for i in posting_ids if i in self._postings}


class ScriptedAnalyser:
    """Understands every text as its wish alone, or as it is told to."""

    def __init__(self, **understood: Any) -> None:
        self._understood = understood

    async def understand(self, text: str) -> Understood:
        """As `Analyser.understand`."""
        plain = Understood(
            parts=[(text, 1.0)],
            terms={},
            sparse="",
            families=[],
            near=[],
            inside_it=True,
            outside_it=False,
            refused="",
        )
        return Understood(**{**plain, **self._understood})  # type: ignore[typeddict-item]


class CountingEmbedder:
    """Gives every text the same vector and keeps the texts."""

    model_name = "scripted-embedding"
    dimensions = 1

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.fingerprinted: list[list[str]] = []

    async def blend(self, parts: Sequence[tuple[str, float]]) -> Sequence[float]:
        """As `Embedder.blend`."""
        self.queries += [text for text, _ in parts]
        return [1.0]

    async def fingerprints(self, texts: Sequence[str]) -> list[str]:
        """As `Embedder.fingerprints`: two texts that begin with the same ten characters are alike."""
        self.fingerprinted.append(list(texts))
        digests = (hashlib.blake2b(text[:10].encode(), digest_size=32).digest() for text in texts)
        return ["fake" + base64.b64encode(digest).decode() for digest in digests]

    def made(self, fingerprint: str) -> bool:
        """As `Embedder.made`."""
        return fingerprint.startswith("fake")

    async def novelty_similarity(self) -> float:
        """As `Embedder.novelty_similarity`."""
        return 0.92


class Stage:
    """A node's runtime over the fakes. `events` holds what the node wrote to its stream."""

    def __init__(
        self,
        *script: BaseModel | Exception,
        postings: Sequence[StoredPosting] = (),
        understood: Mapping[str, Any] | None = None,
    ) -> None:
        self.chat = ScriptedChat(*script)
        self.embedder = CountingEmbedder()
        self.events: list[dict[str, Any]] = []
        store = MemoryPostings(postings)
        search = PostingSearch(store, self.embedder, ScriptedAnalyser(**understood or {}))  # type: ignore[arg-type]
        context = RunContext(
            settings=Settings(),
            chat=self.chat,  # type: ignore[arg-type]
            embedder=self.embedder,  # type: ignore[arg-type]
            postings=store,  # type: ignore[arg-type]
            search=search,
            prompts=PromptRegistry.bundled("nodes").current,
            calls=[],
            owner="",
        )
        self.runtime = Runtime(context=context, stream_writer=self.events.append)
