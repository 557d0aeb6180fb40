"""What belongs to one run of the graph. LangGraph hands it to every node as `runtime.context`."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.settings import Settings
from tools.core.slots import WorkSlot
from tools.llm.chat import ChatModel
from tools.llm.embeddings import Embedder
from tools.llm.journal import Call, ResponseJournal
from tools.postings.repository import PostingStore
from tools.prompts.registry import PromptSet
from tools.retrieval.search import PostingSearch
from tools.services import Services


@dataclass(frozen=True, slots=True)
class RunContext:
    """The services of a process as one run uses them."""

    settings: Settings
    postings: PostingStore
    search: PostingSearch
    prompts: PromptSet
    """The prompts that were active when the run began. It keeps them though others are activated."""
    chat: ChatModel
    """Records its answers in the run's journal, as `embedder` does."""
    embedder: Embedder
    calls: list[Call]
    """The calls of models that the run has made, with their tokens."""
    owner: str
    """Name of the API key that asked for the run; empty where none is needed."""

    @classmethod
    def of(
        cls,
        services: Services,
        *,
        journal: ResponseJournal | None = None,
        calls: list[Call] | None = None,
        owner: str = "",
        slot: WorkSlot | None = None,
    ) -> RunContext:
        """Returns the context of a run that begins now. Answers are taken from `journal` and recorded there;
        calls of models are appended to `calls`; `slot` is given up while a model is at work."""
        noted = [] if calls is None else calls
        # One for the whole run, whatever serves by its end.
        embedding = services.embeddings.serving
        postings = embedding.postings.for_run()
        embedder = embedding.embedder.for_run(journal, noted, slot)
        return cls(
            settings=services.settings,
            postings=postings,
            search=PostingSearch(postings, embedder, services.analyser),
            prompts=services.prompts.current,
            chat=services.chat.for_run(journal, noted, slot),
            embedder=embedder,
            calls=noted,
            owner=owner,
        )
