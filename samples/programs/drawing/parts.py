"""What posters are put together from besides tables: banners, headings, lists, pills, boxes, steps."""

from __future__ import annotations

from collections.abc import Sequence

from samples.programs.drawing.canvas import Canvas, lighter, wrapped
from samples.programs.drawing.style import WHITE


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
