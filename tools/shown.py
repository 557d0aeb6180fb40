"""What who watches a run has been shown of its subjects and tasks, before the run has ended.

A model's pieces are shown as it writes them. Later checks may refuse some, the model may be asked again, an
answer may break off: what was shown then is withdrawn before anything new is. So at any moment, whoever has
put in what came as `subject` or `task` and taken out what came as `withdrawn` has what stands, and in the end
what the result has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

Place = int | tuple[int, int]
"""Of a subject: 0 is the main one, then the candidates. Of a task: its step and its place in it, from 0."""
Write = Callable[[dict[str, Any]], None]
"""Takes a progress event: `type`, `node`, `data`."""


class Shown:
    """The subjects, or the tasks, of one run."""

    def __init__(self, kind: Literal["subject", "task"], node: str) -> None:
        self._kind = kind
        self._node = node
        self._pieces: dict[Place, dict[str, Any]] = {}
        self._attempt = 0

    def begin(self) -> None:
        """Says that the model begins an answer."""
        self._attempt += 1

    def show(self, pieces: Mapping[Place, dict[str, Any]], write: Write) -> None:
        """Makes what is shown to be `pieces`, the data of events by their places: withdraws what is no longer
        among them as it was, and shows what is new."""
        gone = [place for place, piece in self._pieces.items() if pieces.get(place) != piece]
        if gone:
            # Tasks stand in steps, which a change moves: they are withdrawn together.
            every = self._kind == "task" or len(gone) == len(self._pieces)
            self._pieces = {} if every else {p: self._pieces[p] for p in self._pieces if p not in gone}
            self._write(write, "withdrawn", {"what": f"{self._kind}s", "positions": None if every else gone})
        for place, piece in pieces.items():
            if place not in self._pieces:
                self._pieces[place] = piece
                self._write(write, self._kind, piece)

    def _write(self, write: Write, kind: str, data: dict[str, Any]) -> None:
        numbered = {"attempt": max(self._attempt, 1), **data}
        write({"type": kind, "node": self._node, "data": numbered})
