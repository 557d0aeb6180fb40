"""Which image files of one folder are the pages of one posting."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath

from tools.core.text import clean

MOST_PAGES = 20
"""Longer runs of numbered images are a numbered collection of postings: the most images that a posting
on 자소설닷컴 or a board is known to have is far below."""

_NUMBERED = re.compile(
    r"(?P<base>.*?\S)(?P<style>[-_]| \()(?P<number>\d{1,3})(?(style)(?P<end>\)?))", re.DOTALL
)


def postings(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Returns the image files `names` of a folder as postings, each with its pages in reading order.

    `poster-1.webp, poster-2.webp` are two pages of one posting; so are `_1`, ` (1)`, and `poster.webp,
    poster (1).webp`, as browsers name downloads. The numbers run without a gap from 0 or 1 (after an
    unnumbered page, from 1 or 2). Everything else is a posting by itself.
    """
    names = sorted(names)
    alone = {clean(PurePath(name).stem): name for name in reversed(names)}
    runs: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        stem = clean(PurePath(name).stem)
        match = _NUMBERED.fullmatch(stem)
        if match and (match["end"] == ")") == (match["style"] == " ("):
            runs[match["base"], match["style"]].append((int(match["number"]), name))
    together: list[tuple[str, ...]] = []
    for (base, _), numbered in runs.items():
        together += _pages(sorted(numbered), alone.get(base))
    taken = {name for pages in together for name in pages}
    return sorted([*together, *((name,) for name in names if name not in taken)])


def _pages(numbered: list[tuple[int, str]], first: str | None) -> list[tuple[str, ...]]:
    """Returns the postings that a run of numbered files makes, after `first`, the unnumbered one."""
    numbers = [number for number, _ in numbered]
    if len(set(numbers)) < len(numbers):
        # One page in several formats: each format is a run of its own.
        formats: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, name in numbered:
            formats[PurePath(name).suffix.lower()].append((number, name))
        if any(len({n for n, _ in run}) < len(run) for run in formats.values()):
            return []
        return [pages for run in formats.values() for pages in _pages(run, None)]
    starts = (0, 1) if first is None else (1, 2)
    whole = numbers[0] in starts and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    pages = (*((first,) if first else ()), *(name for _, name in numbered))
    return [pages] if whole and 1 < len(pages) <= MOST_PAGES else []
