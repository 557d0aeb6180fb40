"""An experiment's data set, runs and scores in LangSmith (`eval run --upload`)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from langsmith import Client
from langsmith.schemas import Dataset, Example
from langsmith.utils import LangSmithError

from evals.datasets.cases import Case
from evals.runs.results import Header, Score
from tools.core.errors import SetupError
from tools.core.logs import cause
from tools.core.settings import Settings
from tools.core.tracing import use_proxy_for

logger = logging.getLogger(__name__)

_PREFIX = "checkerboard"
_FLUSH_SECONDS = 30.0
REQUEST_MS = (5_000, 30_000)
"""Limits of one request to LangSmith: to connect, to answer."""
_CONTENT = "content"
"""The key of an example's metadata that has the hash of its case."""


class _Client(Client):
    """A client that ends an experiment in order. `aevaluate` closes the experiment while cases are under way,
    which would delay all of them, or break them off when LangSmith is down; and it sends scores from threads
    that nobody waits for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._threads = ThreadPoolExecutor(1)
        self._closing: list[Future[Any]] = []
        self._sent = threading.Semaphore(0)

    def update_project(self, *args: Any, **changes: Any) -> Any:
        """See `Client.update_project`; done later, in a thread. Returns nothing."""
        self._closing.append(self._threads.submit(super().update_project, *args, **changes))

    def create_feedback(self, *args: Any, **score: Any) -> Any:
        """See `Client.create_feedback`; counts it as well."""
        try:
            return super().create_feedback(*args, **score)
        finally:
            self._sent.release()

    def finish(self, scores: int) -> None:
        """Waits until so many scores are sent, and sends what is pending. Blocks at most some
        `_FLUSH_SECONDS`."""
        until = time.monotonic() + _FLUSH_SECONDS
        for left in range(scores, 0, -1):
            if not self._sent.acquire(timeout=max(0.0, until - time.monotonic())):
                logger.error("LangSmith was not given scores in time", extra={"scores": left})
                break
        self.flush(_FLUSH_SECONDS)
        self._threads.shutdown()
        for closing in self._closing:
            if (error := closing.exception()) is not None:
                logger.error(
                    "LangSmith was not told that the experiment ended", extra={"cause": cause(error)}
                )
        self.close(_FLUSH_SECONDS)


class Upload:
    """A data set in LangSmith, in the version that is run, and the experiment over it.

    Attributes:
        examples: the cases that are run, as LangSmith has them.
        scores: how many scores the experiment has so far.
        experiment: the arguments of `aevaluate` that describe the experiment.
    """

    def __init__(self, client: Client, dataset: Dataset, header: Header) -> None:
        self.client = client
        self.examples: dict[uuid.UUID, tuple[Example, Case]] = {}
        self.scores = 0
        self._dataset = dataset
        fields = ("suite", "variant", "commit", "dirty", "prompts", "models", "parameters")
        self.experiment: dict[str, Any] = {
            "experiment_prefix": header.name,
            "description": f"{header.suite} suite, {header.variant}",
            "metadata": {
                **{field: getattr(header, field) for field in fields},
                "corpus_version": header.corpus.version,
                "cases_version": header.dataset.version,
            },
        }

    def put(self, cases: Sequence[Case], version: str, run: Sequence[Case]) -> None:
        """Makes the data set hold `cases`, tags it with their version, and takes the examples of those that
        are `run`. Blocks.

        Unchanged cases keep their examples, so that experiments compare by example. A changed case is a new
        example; the old one stays in earlier versions of the data set only.

        Raises:
            LangSmithError: LangSmith does not answer, or refuses.
        """
        wanted = {_content(case): case for case in cases}
        existing = self._existing()
        new = [
            {
                "inputs": case.inputs.model_dump(mode="json"),
                "reference_outputs": case.expect.model_dump(mode="json"),
                "metadata": {
                    "case_id": case.id,
                    "tags": list(case.tags),
                    "source": case.source,
                    _CONTENT: content,
                },
            }
            for content, case in wanted.items()
            if content not in existing
        ]
        if new:
            self.client.create_examples(dataset_id=self._dataset.id, examples=new)
        # Two evaluations that begin at once may both create an example of the same content: one is dropped.
        surplus = [one for content, examples in existing.items() for one in examples[content in wanted :]]
        if surplus:
            self.client.delete_examples([example.id for example in surplus])
        newest = self.client.read_dataset_version(dataset_id=self._dataset.id, tag="latest")
        self.client.update_dataset_tag(dataset_id=self._dataset.id, as_of=newest.as_of, tag=version)
        existing = self._existing()
        self.examples = {(example := existing[_content(case)][0]).id: (example, case) for case in run}

    async def feedback(self, run_id: uuid.UUID, experiment_id: uuid.UUID, scores: Sequence[Score]) -> None:
        """Adds scores that were known only when other runs had ended."""
        self.scores += len(scores)
        for score in scores:
            try:
                await asyncio.to_thread(
                    self.client.create_feedback,
                    run_id,
                    score.key,
                    score=score.score,
                    comment=score.comment,
                    trace_id=run_id,
                    session_id=experiment_id,
                )
            except LangSmithError as error:
                extra = {"score": score.key, "cause": cause(error)}
                logger.error("LangSmith did not take a score", extra=extra)  # noqa: TRY400 - it has the cause

    def _existing(self) -> dict[str, list[Example]]:
        """The newest version's examples by content, the oldest first, without those that somebody added by
        hand."""
        existing: dict[str, list[Example]] = {}
        for example in self.client.list_examples(dataset_id=self._dataset.id):
            content = (example.metadata or {}).get(_CONTENT)
            if content is not None:
                existing.setdefault(content, []).insert(0, example)
        return existing


def require_key(settings: Settings) -> str:
    """Returns the key for LangSmith.

    Raises:
        SetupError: there is none.
    """
    if settings.langsmith_api_key is None:
        raise SetupError("--upload needs LANGSMITH_API_KEY. Without it, results are in evals/results alone.")
    return settings.langsmith_api_key.get_secret_value()


@asynccontextmanager
async def uploading(
    settings: Settings, header: Header, cases: Sequence[Case], run: Sequence[Case]
) -> AsyncIterator[Upload]:
    """Yields the data set in LangSmith, with all `cases` of its file, of which some are `run`; at the end
    sends what is pending. Every run is sent whole, whatever LANGSMITH_TRACING_SAMPLING_RATE and
    LANGSMITH_HIDE_INPUTS say of the service's traces: a data set holds nobody's profile.

    Raises:
        SetupError: LANGSMITH_API_KEY is not set, or LangSmith does not answer or refuses.
    """
    client = _Client(
        api_url=settings.langsmith_endpoint,
        api_key=require_key(settings),
        timeout_ms=REQUEST_MS,
        tracing_sampling_rate=1.0,
        hide_inputs=False,
        hide_outputs=False,
    )
    use_proxy_for(client)
    upload = None
    try:
        upload = Upload(client, await asyncio.to_thread(_dataset, client, header), header)
        await asyncio.to_thread(upload.put, cases, header.dataset.version, run)
        yield upload
    except LangSmithError as error:
        raise SetupError(f"LangSmith did not take the evaluation: {error}") from error
    finally:
        await asyncio.to_thread(client.finish, upload.scores if upload else 0)


def _dataset(client: Client, header: Header) -> Dataset:
    name = f"{_PREFIX}-{header.dataset.name}"
    if client.has_dataset(dataset_name=name):
        dataset: Dataset = client.read_dataset(dataset_name=name)
        return dataset
    return client.create_dataset(name, description="Cases of the file in evals/datasets")


def _content(case: Case) -> str:
    return hashlib.sha256(case.model_dump_json().encode()).hexdigest()
