"""One line of a poster to text: which model reads which part of it.

`kor` reads Hangul best and knows no Latin letter, `eng` the other way round, and `Hangul` reads both
fairly. Where the first and the last see Hangul there is Hangul; `eng` reads what stands between, cut
out exactly. A run of two languages at once (`kor+eng`) picks the wrong one too often.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from ingest.parsers.local.decode import Pixels
from ingest.parsers.local.marks import Mask
from ingest.parsers.local.ocr import Engines, Symbol, mean_confidence
from ingest.parsers.local.picture import HEIGHT, PAD, Bullet, Picture, line_picture
from ingest.parsers.local.spaces import word_edges
from ingest.parsers.local.spelling import is_known, mended

_HANGUL = re.compile("[가-힣]")
_LATIN = re.compile("[A-Za-z]")
_NEUTRAL = re.compile(r"[\s,.()·:;%/~\-\[\]!?'\"ㆍ]*")
"""Signs that no model needs help with, where they stand among Hangul."""
_NUMBER = re.compile(r"[(\[~]?[\d.,~\-]+[)\]%+]?")
_LETTERS_LIKE = frozenset("씨쇼셔미디니티")
"""Syllables that look like two Latin letters."""
_ALONE = frozenset("및등수분한본더각내외후전또웹앱총약주시")
"""Syllables that are words of their own."""
_PARTICLES = frozenset("와과를을은는이가의로에도나")
_SURE_PARTICLE = 88.0
_NARROW = 0.12 * HEIGHT
"""Pixels of the narrowest space between words in Latin letters."""
_EARLY = 0.1 * HEIGHT
"""Pixels by which a letter may be placed before the gap that it stands behind."""
_BULLET = re.compile(
    r"^(?:[*>»•◦○●■□▪◆◇▶▷►✓✔※→ㆍ·∙\-–—=~@©®◎^ㅇ]+|(?:[vVoO0]|Oo|oO|OQ|OK|\(\)|<\))(?=\s[가-힣A-Z]))\s*(?=\S)"
)
"""Bullets, and what the models write for them."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A line's text; confidence from 0 to 1."""

    text: str
    confidence: float
    bulleted: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """What a model read of a word or a piece of it. Confidence from 0 to 100."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class _Word:
    """A word's edges in the line's picture, and what the two models for Hangul see there."""

    left: int
    right: int
    both: list[Symbol]
    korean: list[Symbol]

    @property
    def hangul(self) -> list[Symbol]:
        """The syllables that are sure to be Hangul: both models see some there, or it is a particle."""
        seen = [_anchor(symbol) for symbol in self.both if _HANGUL.search(symbol.text)]
        agreed = [
            symbol
            for symbol in self.korean
            if _HANGUL.search(symbol.text)
            and any(abs(_anchor(symbol) - anchor) < 0.5 * HEIGHT for anchor in seen)
        ]
        last = self.korean[-1] if self.korean else None
        if last and last not in agreed and last.text in _PARTICLES and last.confidence >= _SURE_PARTICLE:
            agreed.append(last)
        return agreed


class LineReader:
    """Reads lines; for one thread."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def read(self, crop: Pixels, drawn: Mask, bullets: Sequence[Bullet] = ()) -> Reading | None:
        """Reads the line in `crop`, without the rules and frames that `drawn` marks there. `bullets` are
        marks that lines of its page begin with.

        None when it holds no ink. The text is empty when no model makes anything of it.
        """
        picture = line_picture(crop, drawn, bullets)
        if picture is None:
            return None
        both = self._engines.read(picture.grey, "Hangul")
        seen = _text(both)
        # A line in English needs no second opinion on its Hangul.
        english = not _HANGUL.search(seen) and len(_LATIN.findall(seen)) > len(seen) // 2
        korean = [] if english else self._engines.read(picture.grey, "kor")
        edges = word_edges(picture, korean or both)
        words = [
            _Word(left, right, first, second)
            for (left, right), first, second in zip(
                edges, _by_word(both, edges), _by_word(korean, edges), strict=True
            )
        ]
        parts = self._parts(picture, words)
        text = " ".join(text for text in map(_mended, parts, words) if text)
        confidence = _mean(parts) * _agreement("".join(part.text for part in parts), seen)
        text = text.strip("【】|｜ ")
        match = None if picture.bulleted else _BULLET.match(text)
        if match is not None:
            text = text[match.end() :]
        return Reading(text, confidence / 100, picture.bulleted or match is not None)

    def _parts(self, picture: Picture, words: Sequence[_Word]) -> list[_Part]:
        """The best reading of each word. Latin words next to each other are read at one go."""
        parts: dict[int, _Part] = {}
        latin: list[int] = []
        for number, word in enumerate(words):
            hangul = word.hangul
            others = [symbol.text for symbol in word.both if not _HANGUL.search(symbol.text)]
            if hangul and _NEUTRAL.fullmatch("".join(others)):
                parts[number] = self._hangul(picture, word)
            elif hangul:
                parts[number] = self._mixed(picture, word, hangul)
            else:
                latin.append(number)
        for group in _runs(latin):
            read = self._latin(picture, [(words[number].left, words[number].right) for number in group])
            for number, part in zip(group, read, strict=True):
                parts[number] = _settled(part, words[number])
        return [parts[number] for number in sorted(parts)]

    def _hangul(self, picture: Picture, word: _Word) -> _Part:
        """A word of Hangul; a single syllable may be two Latin letters: "AI" is read as 씨."""
        best = _better(word.korean, word.both)
        if best.text.rstrip("|") in _LETTERS_LIKE:
            english = self._latin(picture, [(word.left, word.right)])[0]
            if _is_word(english.text):
                return english
        return best

    def _mixed(self, picture: Picture, word: _Word, hangul: Sequence[Symbol]) -> _Part:
        """A word of Hangul and something else, such as "React와" or "설계(DDD)를"."""
        number = _text(word.both)
        if _NUMBER.match(number) and _NUMBER.sub("", number, count=1) == _text(hangul):
            return _better(word.korean, word.both)
        pieces: list[_Part] = []
        for left, right, is_hangul in _scripts(picture, word, hangul):
            own = _Word(left, right, _within(word.both, left, right), _within(word.korean, left, right))
            if is_hangul:
                if pieces:
                    # What a syllable's left edge looks like to `eng`.
                    pieces[-1] = _Part(pieces[-1].text.rstrip(":=-'\"|"), pieces[-1].confidence)
                pieces.append(_better([s for s in own.korean if s in hangul], own.both))
            else:
                read = self._latin(picture, [(left, right)])[0]
                pieces.append(_settled(read, own))
        return _Part("".join(piece.text for piece in pieces), _mean(pieces))

    def _latin(self, picture: Picture, edges: Sequence[tuple[int, int]]) -> list[_Part]:
        """Reads words next to each other with `eng`, cut out exactly."""
        left, right = edges[0][0] - 2, edges[-1][1] + 2
        shift = PAD - max(0, left)
        moved = [(a + shift, b + shift) for a, b in edges]
        return [_english(s) for s in _by_word(self._engines.read(picture.cut(left, right), "eng"), moved)]


def _english(symbols: Sequence[Symbol]) -> _Part:
    """Latin letters with the spaces that `eng` sees, which are right where the gaps are narrow, too."""
    letters = [
        f" {symbol.text}"
        if number and symbol.spaced and symbol.left - before.right >= _NARROW
        else symbol.text
        for number, (before, symbol) in enumerate(zip([*symbols[:1], *symbols], symbols, strict=False))
    ]
    return _Part("".join(letters), mean_confidence(symbols))


def _settled(english: _Part, word: _Word) -> _Part:
    """What a word without sure Hangul says: Latin letters, or a number as all models see it."""
    other = max((_part(word.both), _part(word.korean)), key=lambda part: part.confidence)
    if not english.text:
        return other
    korean = _text(word.korean)
    if korean in _ALONE and not _is_word(english.text):
        return _part(word.korean)
    if _is_word(english.text) or _LATIN.search(_text(word.both)):
        return english
    if len(_LATIN.findall(english.text)) > 1 and english.confidence > other.confidence - 10:
        return english
    if _NEUTRAL.fullmatch(other.text) or _NUMBER.fullmatch(other.text):
        return other
    return max((english, other), key=lambda part: part.confidence)


def _is_word(text: str) -> bool:
    bare = text.strip(".,()·/")
    return len(bare) > 1 and bool(_LATIN.search(bare)) and is_known(bare)


def _scripts(picture: Picture, word: _Word, hangul: Sequence[Symbol]) -> Iterator[tuple[int, int, bool]]:
    """Cuts a word where Hangul begins and ends: (left, right, whether it is Hangul)."""
    marks = sorted(
        [(symbol.left, symbol in hangul) for symbol in word.korean]
        + [(symbol.left, False) for symbol in word.both if not _HANGUL.search(symbol.text)]
    )
    start, kind = word.left, marks[0][1]
    for left, is_hangul in marks[1:]:
        border = _gap_near(picture, left)
        if is_hangul != kind and border > start:
            yield start, border, kind
            start, kind = border, is_hangul
    yield start, word.right, kind


def _gap_near(picture: Picture, x: int) -> int:
    """The middle of the widest gap where a letter is said to begin at x; x where there is none.

    The models place letters late rather than early, and inside a syllable gaps are narrow.
    """
    near = [(a, b) for a, b in picture.gaps if -0.4 * HEIGHT <= (a + b) / 2 - x <= 0.2 * HEIGHT]
    widest = max(near, key=lambda gap: gap[1] - gap[0], default=(x, x))
    return (widest[0] + widest[1]) // 2


def _by_word(symbols: Sequence[Symbol], words: Sequence[tuple[int, int]]) -> list[list[Symbol]]:
    found: list[list[Symbol]] = [[] for _ in words]
    for symbol in symbols:
        at = _anchor(symbol)
        nearest = min(range(len(words)), key=lambda n: max(words[n][0] - at, at - words[n][1], 0))
        found[nearest].append(symbol)
    return found


def _within(symbols: Sequence[Symbol], left: int, right: int) -> list[Symbol]:
    return [symbol for symbol in symbols if left - _EARLY <= symbol.left < right - _EARLY]


def _anchor(symbol: Symbol) -> float:
    """Where a letter stands; the models now and then stretch its box over the next word."""
    return symbol.left + min(symbol.right - symbol.left, HEIGHT) / 2


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _text(symbols: Sequence[Symbol]) -> str:
    return "".join(symbol.text for symbol in symbols)


def _part(symbols: Sequence[Symbol]) -> _Part:
    return _Part(_text(symbols), mean_confidence(symbols))


def _better(korean: Sequence[Symbol], both: Sequence[Symbol]) -> _Part:
    """`kor` unless it is less sure by more than a point."""
    first, second = _part(korean), _part(both)
    return first if first.text and first.confidence >= second.confidence - 1 else second


def _mended(part: _Part, word: _Word) -> str:
    """A word's text, mended where the models do not agree on it: each alone is sure of whatever it says."""
    return mended(part.text, part.confidence * _agreement(part.text, _text(word.both)))


def _agreement(text: str, seen: str) -> float:
    """From 0.25 to 1: how much of the best reading the model for both languages has read, too.

    The models are sure of whatever they say, of noise as well; but of noise each says something else.
    """
    bare = text.replace(" ", "").lower()
    return 0.25 + 0.75 * float(Levenshtein.normalized_similarity(bare, seen.lower()))


def _mean(parts: Sequence[_Part]) -> float:
    weight = sum(len(part.text) for part in parts)
    return sum(part.confidence * len(part.text) for part in parts) / weight if weight else 0.0
