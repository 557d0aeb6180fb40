"""Tesseract's models on one line: symbols with their places and confidences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ingest.parsers.tessdata import SCRIPTS

Model = Literal["kor", "Hangul", "eng"]
MODELS: tuple[Model, ...] = ("kor", "Hangul", "eng")
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A letter as read: its left and right edge in the line's picture, confidence from 0 to 100."""

    text: str
    left: int
    right: int
    confidence: float
    spaced: bool
    """Whether a word begins with it."""


class Engines:
    """One engine per model, for one thread; none can be shared."""

    def __init__(self, tessdata: Path) -> None:
        # Must stand before the library is loaded: its own threads cost more than they give on lines.
        os.environ["OMP_THREAD_LIMIT"] = "1"
        import tesserocr  # noqa: PLC0415

        self._library = tesserocr
        self._engines = {
            model: tesserocr.PyTessBaseAPI(
                path=str(tessdata),
                lang=_named(tessdata, model),
                psm=tesserocr.PSM.SINGLE_LINE,
                oem=tesserocr.OEM.LSTM_ONLY,
            )
            for model in MODELS
        }
        for engine in self._engines.values():
            # Lines come as dark on light, and their scale is not told by a resolution.
            engine.SetVariable("tessedit_do_invert", "0")
            engine.SetVariable("user_defined_dpi", "300")

    def read(self, line: Grey, model: Model) -> list[Symbol]:
        """Reads one line, dark on light. Empty when there is nothing it takes for a letter."""
        modes = self._library.PSM
        symbols = self._read(line, model, modes.SINGLE_LINE)
        # The layout step before the model now and then finds no line in a short one: go without it.
        return symbols or self._read(line, model, modes.RAW_LINE)

    def _read(self, line: Grey, model: Model, mode: int) -> list[Symbol]:
        engine = self._engines[model]
        engine.SetPageSegMode(mode)
        height, width = line.shape
        engine.SetImageBytes(line.tobytes(), width, height, 1, width)
        engine.Recognize()
        level = self._library.RIL.SYMBOL
        found: list[Symbol] = []
        iterator = engine.GetIterator()
        if iterator is None or iterator.Empty(level):
            return found
        while True:
            text = iterator.GetUTF8Text(level)
            box = iterator.BoundingBox(level)
            if text and text.strip() and box is not None:
                spaced = bool(iterator.IsAtBeginningOf(self._library.RIL.WORD))
                found.append(Symbol(text.strip(), box[0], box[2], iterator.Confidence(level), spaced))
            if not iterator.Next(level):
                return found

    def close(self) -> None:
        """Frees the models."""
        for engine in self._engines.values():
            engine.End()


def _named(tessdata: Path, model: Model) -> str:
    """What Tesseract calls a model: some distributions keep scripts in a folder of their own."""
    return model if (tessdata / f"{model}.traineddata").is_file() else f"{SCRIPTS}/{model}"


def mean_confidence(symbols: Sequence[Symbol]) -> float:
    """Mean over letters, 0 to 100; 0 when there is none."""
    return sum(s.confidence for s in symbols) / len(symbols) if symbols else 0.0
