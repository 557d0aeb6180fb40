"""A page that is drawn from top to bottom, and the parts drawn on it besides tables.

The page records every line of text that is written on it: the truth that parsers are scored against.
"""

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


def banner(canvas: Canvas, company: str, title: str, motto: str) -> None:
    """The coloured head of a poster with white text on it."""
    style = canvas.style
    small, large = canvas.font(1.15), canvas.font(2.2, bold=True)
    titles = wrapped(title, large, canvas.inner)
    height = round(style.size * 5.5) + len(titles) * round(large.size * 1.3)
    accent = style.palette.accent
    if style.gradient:
        canvas.gradient(0, height, (accent, lighter(accent, 0.25)))
        radius = round(height * 0.45)
        x = style.width - canvas.margin
        canvas.draw.ellipse((x - radius, -radius, x + radius, radius), fill=lighter(accent, 0.15))
    else:
        canvas.draw.rectangle((0, 0, style.width, height), fill=accent)
    within = (canvas.margin, style.width - canvas.margin)
    y = round(style.size * 1.2)
    canvas.centred(y, company, small, WHITE, within=within)
    y += round(small.size * 1.7)
    for line in titles:
        canvas.centred(y, line, large, WHITE, within=within)
        y += round(large.size * 1.3)
    canvas.centred(y + style.size * 0.4, motto, canvas.font(), WHITE, within=within)
    canvas.y = height + round(style.size * 1.6)


def heading(canvas: Canvas, text: str, number: int) -> None:
    """A heading over the page's width, in the style's way."""
    style = canvas.style
    font = canvas.font(1.25, bold=True)
    height = round(font.size * 1.8)
    left, right, y = canvas.margin, canvas.margin + canvas.inner, canvas.y
    middle = y + (height - font.size) // 2 - 1
    accent = colour = style.palette.accent
    x: float = left
    match style.heading:
        case "band":
            canvas.draw.rectangle((left, y, right, y + height), fill=accent)
            colour, x = WHITE, left + style.padding
        case "bar":
            canvas.draw.rectangle((left, y + 4, left + 4, y + height - 4), fill=accent)
            x = left + 4 + style.padding
        case "pill":
            width = round(font.getlength(text)) + 2 * font.size
            canvas.draw.rounded_rectangle((left, y, left + width, y + height), height // 2, fill=accent)
            colour, x = WHITE, left + font.size
        case "underlined":
            canvas.draw.line((left, y + height, right, y + height), fill=accent, width=2)
        case "numbered":
            text = f"{number:02d}. {text}"
        case "plain":
            colour = style.palette.ink
    canvas.write(round(x), middle, text, font, colour)
    canvas.y = y + height + style.heading_gap


def bullets(canvas: Canvas, texts: Sequence[str], *, scale: float = 1.0) -> None:
    """A list over the page's width."""
    font = canvas.font(scale)
    x = canvas.margin + canvas.style.padding // 2
    canvas.y = canvas.items((x, canvas.y + 2), texts, canvas.inner, font=font, fill=canvas.style.palette.ink)
    canvas.y += round(canvas.style.size * 1.0)


def pills(canvas: Canvas, words: Sequence[str]) -> None:
    """Words in outlined pills, side by side."""
    font = canvas.font()
    height = round(font.size * 1.9)
    x: float = canvas.margin
    y = canvas.y + 2
    for word in words:
        width = round(font.getlength(word)) + 2 * font.size
        if x + width > canvas.margin + canvas.inner:
            x, y = canvas.margin, y + height + 6
        canvas.draw.rounded_rectangle(
            (x, y, x + width, y + height), height // 2, outline=canvas.style.palette.accent
        )
        text_y = y + (height - font.size) // 2 - 1
        canvas.write(x + font.size, text_y, word, font, canvas.style.palette.accent)
        x += width + 8
    canvas.y = y + height + round(font.size * 1.2)


def two_columns(canvas: Canvas, columns: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Two lists side by side, each under its own head, with nothing between them but space."""
    style = canvas.style
    gutter = style.size * 3
    width = (canvas.inner - gutter) // 2
    bottoms = []
    for number, (head, texts) in enumerate(columns):
        x = canvas.margin + number * (width + gutter)
        bold = canvas.font(1.1, bold=True)
        canvas.write(x, canvas.y, head, bold, style.palette.accent)
        y = canvas.y + round(bold.size * 1.9)
        bottoms.append(canvas.items((x, y), texts, width, font=canvas.font(), fill=style.palette.ink))
    canvas.y = max(bottoms) + round(style.size * 1.2)


def card(canvas: Canvas, head: str, texts: Sequence[str]) -> None:
    """A list in an outlined box, under its head."""
    style = canvas.style
    inset = style.padding + 6
    font, bold = canvas.font(), canvas.font(1.1, bold=True)
    lines = sum(len(wrapped(t, font, canvas.inner - 2 * inset - font.getlength("ㆍ "))) for t in texts)
    height = round(bold.size * 1.9) + lines * canvas.line_height(font) + 2 * inset
    left, y = canvas.margin, canvas.y
    canvas.draw.rounded_rectangle(
        (left, y, left + canvas.inner, y + height),
        10,
        fill=lighter(style.palette.pale, 0.5),
        outline=style.palette.rule,
    )
    canvas.write(left + inset, y + inset, head, bold, style.palette.accent)
    y += inset + round(bold.size * 1.9)
    y = canvas.items((left + inset, y), texts, canvas.inner - 2 * inset, font=font, fill=style.palette.ink)
    canvas.y = y + inset + round(style.size * 0.9)


def steps(canvas: Canvas, names: Sequence[str]) -> None:
    """The steps of the recruiting process, in boxes with arrows between them."""
    style = canvas.style
    font = canvas.font(bold=True)
    arrow = style.size * 2
    width = (canvas.inner - arrow * (len(names) - 1)) // len(names)
    height = round(style.size * 2.6)
    y = canvas.y + 4
    for number, name in enumerate(names):
        x = canvas.margin + number * (width + arrow)
        last = number == len(names) - 1
        fill = style.palette.accent if last else style.palette.pale
        canvas.draw.rounded_rectangle((x, y, x + width, y + height), 6, fill=fill)
        colour = WHITE if last else style.palette.ink
        canvas.centred(y + (height - font.size) // 2 - 1, name, font, colour, within=(x, x + width))
        if not last:
            middle, tip = y + height // 2, x + width + arrow - 8
            points = [(tip - 7, middle - 6), (tip, middle), (tip - 7, middle + 6)]
            canvas.draw.polygon(points, fill=style.palette.accent)
    canvas.y = y + height + round(style.size * 1.6)
