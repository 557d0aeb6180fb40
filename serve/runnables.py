"""LangChain runnables over the sessions: what LangServe serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.schema import StreamEvent
from langserve.serialization import Serializer

from graph.progress import PROGRESS_MESSAGES
from graph.sessions.sessions import ANYONE, Caller, Run


class Progressing(Runnable[Any, dict[str, Any]]):
    """A runnable over one way of running a session.

    `ainvoke` returns the answer; `astream` yields the progress events while the nodes work, the
    answer being the data of the last. A failure is raised by the former and is the last event of
    the latter. Who asks is `caller` in the config's `configurable`, where no request can put it.
    """

    name: str

    def __init__(self, name: str, start: Callable[[Any, Caller], Run]) -> None:
        self.name = name
        self._start = start

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:  # noqa: A002
        """Not offered: the service is asynchronous all the way."""
        raise TypeError("this runnable is asynchronous: use ainvoke or astream")

    async def ainvoke(
        self,
        input: Any,  # noqa: A002 - the name is LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns the answer.

        Raises:
            CheckerboardError: as the run's `error` event says.
        """
        caller = _caller(config)

        async def answer(given: Any) -> dict[str, Any]:
            return await self._start(given, caller).answer()

        return await self._acall_with_config(answer, input, config)

    async def astream(
        self,
        input: Any,  # noqa: A002 - the name is LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yields the progress events."""
        caller = _caller(config)

        async def inputs() -> AsyncIterator[Any]:
            yield input

        async def progress(given: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
            async for one in given:
                async for event in self._start(one, caller):
                    yield event

        async for event in self._atransform_stream_with_config(inputs(), progress, config):
            yield event

    async def astream_events(self, *args: Any, **kwargs: Any) -> AsyncIterator[StreamEvent]:  # type: ignore[override]
        """Yields LangChain's own events of the run and of its nodes; the prompts and the answers of
        the model in between are not for clients."""
        async for event in super().astream_events(*args, **kwargs):
            if event["name"] in PROGRESS_MESSAGES or not event["parent_ids"]:
                yield event


def _caller(config: RunnableConfig | None) -> Caller:
    caller: Caller = (config or {}).get("configurable", {}).get("caller", ANYONE)
    return caller


_LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\x85\u2028\u2029"}
"""What JSON may hold as it is and some readers (`str.splitlines`, so httpx) end a line at, escaped."""


def _on_one_line(line: bytes) -> bytes:
    for end, escape in _LINE_ENDS.items():
        line = line.replace(end, escape)
    return line


class PlainJson(Serializer):
    """LangServe's serializer for answers that are JSON already: nothing in them needs a closer look.

    Only `stream_events` shows more: the inputs, which are models.
    """

    def dumpd(self, obj: Any) -> Any:
        """Returns `obj`."""
        return obj

    def dumps(self, obj: Any) -> bytes:
        """Returns `obj` as JSON that is one line to every reader of event streams."""
        return _on_one_line(orjson.dumps(obj, default=lambda model: model.model_dump()))

    def loadd(self, obj: Any) -> Any:
        """Returns `obj`."""
        return obj
