"""HTML as a tree of elements, so that no text can become markup: the serialiser escapes all of it.

Nothing from a result is ever put into an attribute that a browser acts on (no links, no handlers, no
styles), and the page forbids itself everything but its own script and style (`document`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence

from lxml import etree
from lxml.etree import _Element as Element

from tools.core.terminal import plain

Child = Element | str | None
"""What an element holds. None is left out."""


def element(tag: str, *children: Child | Iterable[Child], **attributes: str | float | None) -> Element:
    """Makes an element. An underscore at the end of an attribute's name is dropped (`class_`), one within
    is a hyphen (`aria_label`); an attribute that is None is left out."""
    made = etree.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            shown = value if isinstance(value, str) else f"{value:.7g}"
            made.set(name.rstrip("_").replace("_", "-"), plain(shown))
    for child in children:
        for one in [child] if child is None or isinstance(child, str | Element) else child:
            _add(made, one)
    return made


def folded(summary: str, *children: Child | Iterable[Child], class_: str | None = None) -> Element:
    """Makes what opens when its summary is pressed."""
    return element("details", element("summary", summary), *children, class_=class_)


def table(label: str, names: Sequence[str], rows: Iterable[Element], class_: str | None = None) -> Element:
    """Makes a table that can be scrolled sideways, also with the keyboard."""
    head = element("tr", [element("th", name, scope="col") for name in names])
    made = element("table", element("thead", head), element("tbody", rows), class_=class_)
    return element("div", made, class_="scroll", tabindex="0", role="group", aria_label=label)


def _add(parent: Element, child: Child) -> None:
    if child is None:
        return
    if not isinstance(child, str):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + plain(child)
    else:
        parent.text = (parent.text or "") + plain(child)


def markup(made: Element) -> str:
    """Returns an element as HTML."""
    return etree.tostring(made, method="html", encoding="unicode")


def document(title: str, body: Iterable[Child], *, style: str, script: str) -> str:
    """Returns a whole page. Its policy lets `style` and `script` in by their hashes, and nothing else:
    no other script, no style, no picture, no connection."""
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        _raw("style", style),
        _raw("script", script),
    )
    return "<!doctype html>\n" + markup(element("html", head, element("body", body), lang="en")) + "\n"


def _raw(tag: str, text: str) -> Element:
    # Our own two files; a browser takes what stands in these elements as it is.
    made = etree.Element(tag)
    made.text = text
    return made


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
