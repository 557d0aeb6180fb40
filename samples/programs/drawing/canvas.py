"""A page that is drawn from top to bottom and remembers what was written on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from samples.programs.drawing.style import WHITE, Colour, Style

_TALLEST = 16_000
"""Pixels that a page may grow to; WebP ends at 16,383."""
Font = ImageFont.FreeTypeFont


@lru_cache(maxsize=256)
def _font(path: Path, size: int) -> Font:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


class Canvas:
    """A page: its picture and the truth, in reading order because that is how it is drawn.

    `lines` are the lines as the eye sees them, without bullets; `tables` are HTML.
    """

    def __init__(self, style: Style, fonts: Path) -> None:
        self.style = style
        self.lines: list[str] = []
        self.tables: list[str] = []
        self.y = 0
        self._fonts = fonts
        self._image = Image.new("RGB", (style.width, _TALLEST), style.palette.page)
        self.draw = ImageDraw.Draw(self._image)
        self.margin = round(style.width * 0.05)

    @property
    def inner(self) -> int:
        """Width between the margins, pixels."""
        return self.style.width - 2 * self.margin

    def font(self, scale: float = 1.0, *, bold: bool = False) -> Font:
        """A font of `scale` times the body's size."""
        return _font(self._fonts / self.style.fonts[bold], max(11, round(self.style.size * scale)))

    def line_height(self, font: Font) -> int:
        """From one baseline to the next, pixels."""
        return round(font.size * self.style.leading)

    def write(self, x: float, y: float, text: str, font: Font, fill: Colour) -> None:
        """Writes one line with its top left corner at (x, y), and remembers it."""
        self.draw.text((x, y), text, font=font, fill=fill)
        self.lines.append(text)

    def centred(self, y: float, text: str, font: Font, fill: Colour, *, within: tuple[float, float]) -> None:
        """Writes one line in the middle of `within` (left and right edge)."""
        left, right = within
        self.write(round((left + right - font.getlength(text)) / 2), y, text, font, fill)

    def items(
        self, corner: tuple[int, int], texts: Sequence[str], width: int, *, font: Font, fill: Colour
    ) -> int:
        """Writes a list, wrapped, each item behind the style's bullet. Returns the y below it."""
        x, y = corner
        step = self.line_height(font)
        indent = round(font.getlength(self.style.bullet + " "))
        for text in texts:
            self.draw.text((x, y), self.style.bullet, font=font, fill=fill)
            for line in wrapped(text, font, width - indent):
                self.write(x + indent, y, line, font, fill)
                y += step
        return y

    def gradient(self, top: int, bottom: int, colours: tuple[Colour, Colour]) -> None:
        """Fills the page's width with a gradient from the first colour to the second."""
        first, second = colours
        for y in range(top, bottom):
            share = (y - top) / max(1, bottom - top)
            colour = tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
            self.draw.line([(0, y), (self.style.width, y)], fill=colour)

    def picture(self) -> Image.Image:
        """The page as far as it was drawn."""
        return self._image.crop((0, 0, self.style.width, min(_TALLEST, self.y)))


def wrapped(text: str, font: Font, width: float) -> list[str]:
    """Breaks a text at its spaces into lines of at most `width` pixels."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def lighter(colour: Colour, share: float) -> Colour:
    """Mixes a colour with white."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, WHITE, strict=True))
    return red, green, blue
