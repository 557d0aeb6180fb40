"""One line of a page to text: which of Tesseract's models reads which part of it, and what they misread.

`kor` reads Hangul best and knows no Latin letter, `eng` the other way round, and `Hangul` reads both
fairly. Where the first and the last see Hangul there is Hangul; `eng` reads what stands between, cut
out exactly. A run of two languages at once (`kor+eng`) picks the wrong one too often.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from rapidfuzz.distance import Levenshtein

from ingest.parsers.local.layout import WORDS
from ingest.parsers.local.line_image import (
    HEIGHT,
    PAD,
    Bullet,
    Grey,
    LineImage,
    Symbol,
    make_line_image,
    word_edges,
)
from ingest.parsers.local.segmentation import Mask, Pixels
from ingest.parsers.tessdata import SCRIPTS
from tools.lexicon import KIND_OF, find_skills

Model = Literal["kor", "Hangul", "eng"]
MODELS: tuple[Model, ...] = ("kor", "Hangul", "eng")

_HANGUL = re.compile("[가-힣]")
_LATIN = re.compile("[A-Za-z]")
_NEUTRAL = re.compile(r"[\s,.()·:;%/~\-\[\]!?'\"ㆍ]*")  # signs that every model reads well among Hangul
_NUMBER = re.compile(r"[(\[~]?[\d.,~\-]+[)\]%+]?")
_LIKE_LATIN = frozenset("씨쇼셔미디니티")  # syllables that look like two Latin letters
_ONE_SYLLABLE_WORDS = frozenset("및등수분한본더각내외후전또웹앱총약주시")
_PARTICLES = frozenset("와과를을은는이가의로에도나")
_SURE_PARTICLE = 88.0
_NARROW = 0.12 * HEIGHT  # pixels of the narrowest space between words in Latin letters
_EARLY = 0.1 * HEIGHT  # pixels by which a letter may be placed before the gap that it stands behind
_BULLET = re.compile(
    r"^(?:[*>»•◦○●■□▪◆◇▶▷►✓✔※→ㆍ·∙\-–—=~@©®◎^ㅇ]+|(?:[vVoO0]|Oo|oO|OQ|OK|\(\)|<\))(?=\s[가-힣A-Z]))\s*(?=\S)"
)  # bullets, and what the models write for them

# Spelling -------------------------------------------------------------------------------------------
_SURE = 96.0  # confidence from which a word is taken as it stands
_LOOK_ALIKE = str.maketrans({"l": "1", "i": "1", "|": "1", "!": "1", "o": "0", "s": "5"})
_LATIN_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+#./&\-]*[A-Za-z0-9+#]|[A-Za-z]")
_HANGUL_WORD = re.compile("[가-힣]+")
_UNKNOWN_SYLLABLES = frozenset("앱딥챗챌퀀둡팜훅킥")  # the models write the nearest one that they know
_KOREAN_ENDINGS = frozenset(["", *"을를은는이가의에과와로도만", "에서", "으로", "이나"])
_FINALS, _VOWELS = 28, 21
_ONE_EDIT, _TWO_EDITS = 5, 9  # letters of a word from which one and two wrong ones are corrected


class Engines:
    """One engine per model, for one thread; none can be shared."""

    def __init__(self, tessdata: Path) -> None:
        # Must be set before the library is loaded: its own threads cost more than they give on lines.
        os.environ["OMP_THREAD_LIMIT"] = "1"
        import tesserocr  # noqa: PLC0415

        self._library = tesserocr
        self._engines = {
            model: tesserocr.PyTessBaseAPI(
                path=str(tessdata),
                # Some distributions keep scripts in a folder of their own.
                lang=model if (tessdata / f"{model}.traineddata").is_file() else f"{SCRIPTS}/{model}",
                psm=tesserocr.PSM.SINGLE_LINE,
                oem=tesserocr.OEM.LSTM_ONLY,
            )
            for model in MODELS
        }
        for engine in self._engines.values():
            # Lines come as dark on light, and all have one scale.
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
        symbols: list[Symbol] = []
        iterator = engine.GetIterator()
        if iterator is None or iterator.Empty(level):
            return symbols
        while True:
            text = iterator.GetUTF8Text(level)
            box = iterator.BoundingBox(level)
            if text and text.strip() and box is not None:
                spaced = bool(iterator.IsAtBeginningOf(self._library.RIL.WORD))
                symbols.append(Symbol(text.strip(), box[0], box[2], iterator.Confidence(level), spaced))
            if not iterator.Next(level):
                return symbols


@dataclass(frozen=True, slots=True)
class RecognisedLine:
    """A line's text; confidence from 0 to 1."""

    text: str
    confidence: float
    bulleted: bool = False


@dataclass(frozen=True, slots=True)
class _Text:
    """What is read of a word or a piece of it. Confidence from 0 to 100."""

    text: str
    confidence: float

    @classmethod
    def of(cls, symbols: Sequence[Symbol]) -> _Text:
        total = sum(symbol.confidence for symbol in symbols)
        return cls(_letters_of(symbols), total / len(symbols) if symbols else 0.0)


@dataclass(frozen=True, slots=True)
class _Word:
    """A word's edges in the line's image, and what the two models for Hangul read there."""

    left: int
    right: int
    both: list[Symbol]
    korean: list[Symbol]

    @property
    def hangul(self) -> list[Symbol]:
        """The syllables that are sure to be Hangul: both models read some there, or it is a particle."""
        positions = [_position(symbol) for symbol in self.both if _HANGUL.search(symbol.text)]
        agreed = [
            symbol
            for symbol in self.korean
            if _HANGUL.search(symbol.text)
            and any(abs(_position(symbol) - position) < 0.5 * HEIGHT for position in positions)
        ]
        last = self.korean[-1] if self.korean else None
        if last and last not in agreed and last.text in _PARTICLES and last.confidence >= _SURE_PARTICLE:
            agreed.append(last)
        return agreed

    def korean_or_both(self) -> _Text:
        """`kor` unless it is less sure than `Hangul` by more than a point."""
        return _korean_or_both(self.korean, self.both)


class LineReader:
    """Reads lines; for one thread."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def read(self, crop: Pixels, drawn: Mask, bullets: Sequence[Bullet] = ()) -> RecognisedLine | None:
        """Reads the line in `crop`, without the rules and frames that `drawn` marks there. `bullets` are
        marks that lines of its page begin with.

        None when it holds no ink. The text is empty when no model recognises anything.
        """
        image = make_line_image(crop, drawn, bullets)
        if image is None:
            return None
        both = self._engines.read(image.grey, "Hangul")
        letters = _letters_of(both)
        # A line in English needs no second opinion on its Hangul.
        is_english = not _HANGUL.search(letters) and len(_LATIN.findall(letters)) > len(letters) // 2
        korean = [] if is_english else self._engines.read(image.grey, "kor")
        edges = word_edges(image, korean or both)
        words = [
            _Word(left, right, *symbols)
            for (left, right), *symbols in zip(
                edges, _by_word(both, edges), _by_word(korean, edges), strict=True
            )
        ]
        texts = self._read_words(image, words)
        confidence = _mean_confidence(texts) * _agreement("".join(text.text for text in texts), letters)
        # A word is corrected where the models do not agree on it: each alone is sure of whatever it reads.
        corrected = (
            correct_spelling(text.text, text.confidence * _agreement(text.text, _letters_of(word.both)))
            for text, word in zip(texts, words, strict=True)
        )
        line = " ".join(filter(None, corrected)).strip("【】|｜ ")
        match = None if image.bulleted else _BULLET.match(line)
        if match is not None:
            line = line[match.end() :]
        return RecognisedLine(line, confidence / 100, image.bulleted or match is not None)

    def _read_words(self, image: LineImage, words: Sequence[_Word]) -> list[_Text]:
        """The best text of each word. Latin words next to each other are read at one go."""
        texts: dict[int, _Text] = {}
        latin: list[list[int]] = []  # runs of words without Hangul
        for number, word in enumerate(words):
            hangul = word.hangul
            others = [symbol.text for symbol in word.both if not _HANGUL.search(symbol.text)]
            if hangul and _NEUTRAL.fullmatch("".join(others)):
                texts[number] = self._read_hangul(image, word)
            elif hangul:
                texts[number] = self._read_mixed(image, word, hangul)
            elif latin and latin[-1][-1] == number - 1:
                latin[-1].append(number)
            else:
                latin.append([number])
        for run in latin:
            english = self._read_latin(image, [(words[number].left, words[number].right) for number in run])
            for number, text in zip(run, english, strict=True):
                texts[number] = _latin_or_number(text, words[number])
        return [texts[number] for number in sorted(texts)]

    def _read_hangul(self, image: LineImage, word: _Word) -> _Text:
        """A word of Hangul; a single syllable may be two Latin letters: "AI" is read as 씨."""
        best = word.korean_or_both()
        if best.text.rstrip("|") in _LIKE_LATIN:
            english = self._read_latin(image, [(word.left, word.right)])[0]
            if _is_known_latin(english.text):
                return english
        return best

    def _read_mixed(self, image: LineImage, word: _Word, hangul: Sequence[Symbol]) -> _Text:
        """A word of Hangul and something else, such as "React와" or "설계(DDD)를"."""
        letters = _letters_of(word.both)
        if _NUMBER.match(letters) and _NUMBER.sub("", letters, count=1) == _letters_of(hangul):
            return word.korean_or_both()
        pieces: list[_Text] = []
        for left, right, is_hangul in _cut_by_script(image, word, hangul):
            both, korean = _between(word.both, left, right), _between(word.korean, left, right)
            if is_hangul:
                if pieces:
                    # What a syllable's left edge looks like to `eng`.
                    pieces[-1] = _Text(pieces[-1].text.rstrip(":=-'\"|"), pieces[-1].confidence)
                pieces.append(_korean_or_both([symbol for symbol in korean if symbol in hangul], both))
            else:
                english = self._read_latin(image, [(left, right)])[0]
                pieces.append(_latin_or_number(english, _Word(left, right, both, korean)))
        return _Text("".join(piece.text for piece in pieces), _mean_confidence(pieces))

    def _read_latin(self, image: LineImage, edges: Sequence[tuple[int, int]]) -> list[_Text]:
        """Reads words next to each other with `eng`, cut out exactly."""
        left, right = edges[0][0] - 2, edges[-1][1] + 2
        shift = PAD - max(0, left)
        shifted = [(start + shift, end + shift) for start, end in edges]
        symbols = self._engines.read(image.cut(left, right), "eng")
        return [_english_text(own) for own in _by_word(symbols, shifted)]


def _english_text(symbols: Sequence[Symbol]) -> _Text:
    """Latin letters with the spaces that `eng` sees, which are right where the gaps are narrow, too."""
    letters = ""
    for number, symbol in enumerate(symbols):
        is_space = number and symbol.spaced and symbol.left - symbols[number - 1].right >= _NARROW
        letters += f" {symbol.text}" if is_space else symbol.text
    return _Text(letters, _Text.of(symbols).confidence)


def _korean_or_both(korean: Sequence[Symbol], both: Sequence[Symbol]) -> _Text:
    first, second = _Text.of(korean), _Text.of(both)
    return first if first.text and first.confidence >= second.confidence - 1 else second


def _latin_or_number(english: _Text, word: _Word) -> _Text:
    """The text of a word without sure Hangul: Latin letters, or a number as all models see it."""
    both, korean = _Text.of(word.both), _Text.of(word.korean)
    other = max((both, korean), key=lambda text: text.confidence)
    if not english.text:
        return other
    is_known = _is_known_latin(english.text)
    if korean.text in _ONE_SYLLABLE_WORDS and not is_known:
        return korean
    if is_known or _LATIN.search(both.text):
        return english
    if len(_LATIN.findall(english.text)) > 1 and english.confidence > other.confidence - 10:
        return english
    if _NEUTRAL.fullmatch(other.text) or _NUMBER.fullmatch(other.text):
        return other
    return max((english, other), key=lambda text: text.confidence)


def _is_known_latin(text: str) -> bool:
    bare = text.strip(".,()·/")
    return len(bare) > 1 and bool(_LATIN.search(bare)) and is_known(bare)


def _cut_by_script(
    image: LineImage, word: _Word, hangul: Sequence[Symbol]
) -> Iterator[tuple[int, int, bool]]:
    """Cuts a word where Hangul begins and ends: (left, right, whether it is Hangul)."""
    symbols = sorted(
        [(symbol.left, symbol in hangul) for symbol in word.korean]
        + [(symbol.left, False) for symbol in word.both if not _HANGUL.search(symbol.text)]
    )
    start, kind = word.left, symbols[0][1]
    for left, is_hangul in symbols[1:]:
        border = _middle_of_gap_near(image, left)
        if is_hangul != kind and border > start:
            yield start, border, kind
            start, kind = border, is_hangul
    yield start, word.right, kind


def _middle_of_gap_near(image: LineImage, x: int) -> int:
    """The middle of the widest gap near x, where a model has placed a letter; x where there is none.

    The models place letters late rather than early, and inside a syllable gaps are narrow.
    """
    near = [gap for gap in image.gaps if -0.4 * HEIGHT <= sum(gap) / 2 - x <= 0.2 * HEIGHT]
    left, right = max(near, key=lambda gap: gap[1] - gap[0], default=(x, x))
    return (left + right) // 2


def _by_word(symbols: Sequence[Symbol], words: Sequence[tuple[int, int]]) -> list[list[Symbol]]:
    grouped: list[list[Symbol]] = [[] for _ in words]
    for symbol in symbols:
        at = _position(symbol)
        nearest = min(range(len(words)), key=lambda n: max(words[n][0] - at, at - words[n][1], 0))
        grouped[nearest].append(symbol)
    return grouped


def _between(symbols: Sequence[Symbol], left: int, right: int) -> list[Symbol]:
    return [symbol for symbol in symbols if left - _EARLY <= symbol.left < right - _EARLY]


def _position(symbol: Symbol) -> float:
    """Where a letter stands; the models now and then stretch its box over the next word."""
    return symbol.left + min(symbol.right - symbol.left, HEIGHT) / 2


def _letters_of(symbols: Sequence[Symbol]) -> str:
    return "".join(symbol.text for symbol in symbols)


def _agreement(text: str, other: str) -> float:
    """From 0.25 to 1: how much of a text the model for both languages has read, too.

    The models are sure of whatever they read, of noise as well; but of noise each reads something else.
    """
    bare = text.replace(" ", "").lower()
    return 0.25 + 0.75 * float(Levenshtein.normalized_similarity(bare, other.lower()))


def _mean_confidence(texts: Sequence[_Text]) -> float:
    weight = sum(len(text.text) for text in texts)
    return sum(text.confidence * len(text.text) for text in texts) / weight if weight else 0.0


def is_known(word: str) -> bool:
    """Whether a word in Latin letters is a skill or another word of the trade."""
    exact, shapes, _ = _dictionary()
    return word.lower() in exact or _shape(word) in shapes or bool(find_skills(word))


def correct_spelling(word: str, confidence: float) -> str:
    """Corrects a word that was read with `confidence` (0 to 100), which a doubt about it has lowered.

    A word is changed only where the models are unsure, and only into a word that exists: letters
    that look alike are exchanged, one or two wrong ones in long words, and a syllable that the models
    do not know. "Reach" may be meant.
    """
    if confidence >= _SURE:
        return word
    word = _LATIN_WORD.sub(lambda match: _correct_latin(match[0]), word)
    return _HANGUL_WORD.sub(lambda match: _correct_hangul(match[0]), word)


def _shape(word: str) -> str:
    """The word with letters that look alike made one."""
    return word.lower().replace("rn", "m").translate(_LOOK_ALIKE)


@lru_cache(maxsize=1)
def _dictionary() -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Known words by their spelling in small letters, by their shape, and the long ones."""
    words = dict.fromkeys(WORDS["trade"])
    for name in KIND_OF:
        words.update(dict.fromkeys(part for part in name.split() if len(part) > 1 and part.isascii()))
    exact: dict[str, str] = {}
    shapes: dict[str, str] = {}
    for word in words:
        exact.setdefault(word.lower(), word)
        shapes.setdefault(_shape(word), word)
    # The point of "Next.js" is easily lost.
    without_points = {_shape(word.replace(".", "")): word for word in words if "." in word}
    return exact, without_points | shapes, [word for word in words if len(word) >= _ONE_EDIT]


def _correct_latin(word: str) -> str:
    exact, shapes, long = _dictionary()
    lower = word.lower()
    if lower in exact or len(word) < 2 or word.isdigit():  # noqa: PLR2004 - a letter has no shape of its own
        return word
    shape = shapes.get(_shape(word))
    if shape is not None:
        return shape
    if find_skills(word):
        return word
    edits = 2 if len(word) >= _TWO_EDITS else 1 if len(word) >= _ONE_EDIT else 0
    for known in long if edits else ():
        if (
            abs(len(known) - len(word)) <= edits
            and Levenshtein.distance(lower, known.lower(), score_cutoff=edits) <= edits
        ):
            return known
    return word


def _correct_hangul(word: str) -> str:
    """The known word that differs only in syllables that the models do not know, with its ending."""
    for known in WORDS["korean"]:
        stem, ending = word[: len(known)], word[len(known) :]
        if len(stem) == len(known) and ending in _KOREAN_ENDINGS and stem != known:
            pairs = [(one, other) for one, other in zip(stem, known, strict=True) if one != other]
            if all(
                other in _UNKNOWN_SYLLABLES and _are_similar(one, other, len(known)) for one, other in pairs
            ):
                return known + ending
    return word


def _are_similar(one: str, other: str, syllables: int) -> bool:
    """Whether a syllable may be read as another: a letter of theirs is the same, and where no other
    syllable confirms the word, all but the last."""
    same = [a == b for a, b in zip(_jamo(one), _jamo(other), strict=True)]
    return same[0] and same[1] if syllables == 1 else any(same)


def _jamo(syllable: str) -> tuple[int, int, int]:
    """Initial, vowel and final of a syllable, by their numbers."""
    number = ord(syllable) - ord("가")
    return number // (_VOWELS * _FINALS), number // _FINALS % _VOWELS, number % _FINALS
