"""Text as it is kept, compared and cut."""

from __future__ import annotations

import json
import unicodedata
from urllib.parse import urlsplit

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from tools.core import text as module
from tools.core.text import (
    clean,
    clean_json,
    clean_values,
    cut,
    find_quote,
    folded,
    is_typed,
    one_line,
    web_address,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
"""With lone surrogates and all."""
BENT = st.text(
    st.sampled_from(
        [*"백엔드서버개발 -'\"·~ab", *"\u200b\u00ad\ufeff\u2060\u200d\ufe0f\u3000\u00a0\n\u2028\x85\x00"]
    )
)
UNSEEN = [
    "\u200b",
    "\u00ad",
    "\u200c",
    "\u2060",
    "\ufeff",
    "\u202e",
    "\u2066",
    "\ufe0f",
    "\U000e0041",
    "\u034f",
    "\u115f",
]
SPACES = ["\u00a0", "\u3000", "\u2009", "\u202f", "\u3164", "\u2800"]
CONTROLS = ["\x00", "\x08", "\x1b", "\x1f", "\x7f", "\x9f", "\ud800", "\udfff"]
BREAKS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def test_hangul_in_pieces_is_composed() -> None:
    assert clean(unicodedata.normalize("NFD", "양자 암호 통신 펌웨어")) == "양자 암호 통신 펌웨어"


@pytest.mark.parametrize("unseen", UNSEEN)
def test_what_is_invisible_is_gone(unseen: str) -> None:
    assert clean(f"수중{unseen} 음향{unseen}") == "수중 음향"


def test_what_is_invisible_between_the_pieces_of_a_letter_does_not_keep_it_apart() -> None:
    assert clean("\u1112\u200b\u1161\u00ad\u11ab") == "한"


@pytest.mark.parametrize("space", SPACES)
def test_every_space_is_a_plain_one(space: str) -> None:
    assert clean(f"Spring{space}Boot") == "Spring Boot"


@pytest.mark.parametrize("control", CONTROLS)
def test_controls_are_spaces_and_no_person_types_them(control: str) -> None:
    assert clean(f"a{control}b") == "a b"
    assert not is_typed(f"a{control}b")


@pytest.mark.parametrize("line_break", BREAKS)
def test_every_line_break_is_a_line_feed(line_break: str) -> None:
    assert clean(f"a{line_break}b") == "a\nb"
    assert not is_typed(f"a{line_break}b")
    assert one_line(f"a{line_break} b") == "a b"


@pytest.mark.parametrize("emoji", ["👩‍💻", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "3️⃣", "👍🏽", "🇰🇷", "👨‍👩‍👧", "🏳️‍🌈"])
def test_an_emoji_stays_whole(emoji: str) -> None:
    assert clean(f"a\u200b{emoji}b") == f"a{emoji}b"


def test_joiners_outside_of_an_emoji_are_gone() -> None:
    assert clean("자\u200d바 \ufe0fA\U000e0041") == "자바 A"


def test_halves_that_belong_together_are_a_letter() -> None:
    assert clean("\ud83d\ude00") == "😀"


def test_forms_that_are_seen_stay() -> None:
    assert clean("㈜Ｊａｖａ “x” – ①") == "㈜Ｊａｖａ “x” – ①"


def test_the_characters_that_need_no_closer_look_are_clean_beside_any_others() -> None:
    ordinary = [letter for letter in map(chr, range(0x110000)) if module._ORDINARY.fullmatch(letter)]
    assert not [letter for letter in ordinary if module._UNCLEAN.search(letter)]
    # None combines, and none is written otherwise: so neither does a text of them.
    assert not [letter for letter in ordinary if unicodedata.combining(letter)]
    assert not [letter for letter in ordinary if unicodedata.normalize("NFC", letter) != letter]


@given(ANY_TEXT | BENT)
def test_what_is_clean_is_composed_typed_and_clean_once_more(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert is_typed(once)
    once.encode()
    assert (
        len(once.splitlines()) == len(once.replace("\r", "\n").removesuffix("\n").split("\n"))
        or not once
        or "\r\n" in once
    )


@given(
    st.recursive(
        ANY_TEXT | st.integers() | st.none(),
        lambda of: st.lists(of, max_size=3) | st.dictionaries(ANY_TEXT, of, max_size=3),
        max_leaves=8,
    )
)
def test_json_is_clean_at_every_depth_however_it_is_escaped(value: object) -> None:
    for ascii_only in (True, False):
        written = clean_json(json.dumps(value, ensure_ascii=ascii_only))
        assert json.loads(written) == clean_values(value)


def test_raw_controls_in_a_string_are_read_as_they_are_meant() -> None:
    assert json.loads(clean_json('{"a": "one\ntwo\x00\u2028three"}')) == {"a": "one\ntwo \nthree"}


@pytest.mark.parametrize(
    "text", ["", "no json \u2028", "{", "[" * 100_000, '{"a": \x00}', "1" * 5_000 + "\n"]
)
def test_what_is_no_json_comes_back(text: str) -> None:
    assert clean_json(text) in (text, unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("결제 서버 – “정산” 개발", "결제 서버 – “정산” 개발"),
        (unicodedata.normalize("NFD", "결제 서버"), "결제 서버"),
        ('결제 서버 - "정산" 개발', "결제 서버 – “정산” 개발"),
        ("결제\u200b 서버\u00ad", "결제 서버"),
        ("결제\n 서버", "결제 서버"),
        ("Java·Kotlin", "ＪａｖａㆍKotlin"),
        ("(주)물푸레", "㈜물푸레"),
        ("3~5년", "3∼5년"),
        ("결제 서비스", None),
        ("java·kotlin", None),
        ("", None),
        ("\u200b", None),
    ],
)
def test_a_quote_stands_in_the_letters_of_the_text(quote: str, found: str | None) -> None:
    text = "저희는 결제\u00a0서버 – “정\u200b산” 개발\nＪａｖａㆍKotlin 3∼5년 ㈜물푸레"
    assert find_quote(quote, text) == found


@given(BENT, st.integers(0, 20), st.integers(1, 20))
def test_every_piece_of_a_text_stands_in_it(text: str, start: int, length: int) -> None:
    piece = text[start : start + length]
    found = find_quote(piece, text)
    if folded(piece):
        whole = " ".join(clean(text).split())
        assert found is None or found in whole
    else:
        assert found is None


@given(st.text(st.sampled_from("백엔드 서버개발abc")), st.integers(0, 20), st.integers(1, 20))
def test_a_piece_quoted_in_another_form_is_found(text: str, start: int, length: int) -> None:
    piece = text[start : start + length].strip()
    if piece:
        bent = "\u200b".join(unicodedata.normalize("NFD", letter) for letter in piece).replace(" ", "\u3000")
        assert find_quote(bent, text) == " ".join(piece.split())


def test_a_text_is_cut_between_words() -> None:
    assert cut("백엔드 서버 개발을 합니다", 10) == "백엔드 서버 개발을"
    assert cut("백엔드 서버 개발을 합니다", 9) == "백엔드 서버"
    assert cut("백엔드 서버", 6) == "백엔드 서버"
    assert cut("백엔드 서버 개발", 6) == "백엔드 서버"
    assert cut("one", 0) == ""


@given(
    st.lists(st.sampled_from(["가", " ", "👩‍💻", "e\u0301", "🇰🇷", "\n", "\u1100\u1161", "👍🏽", "a"])).map(
        "".join
    )
    | ANY_TEXT,
    st.integers(0, 60),
)
def test_no_letter_is_cut(text: str, limit: int) -> None:
    piece = cut(text, limit)
    assert len(piece) <= limit
    assert text.startswith(piece)
    ends = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    assert any(len(piece) <= end and not text[len(piece) : end].strip() for end in ends)


# What may be shown to people as the address of a page.
@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("https://acme.example/jobs/1?b=c#d", "https://acme.example/jobs/1?b=c#d"),
        (" HTTP://Acme.example ", "http://Acme.example"),
        ("https://한글.example/채용", "https://한글.example/채용"),
        ("https://xn--bj0bj06e.example/", "https://xn--bj0bj06e.example/"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a"),
        ("[지원하기](https://acme.example/1)", "https://acme.example/1"),
        ("<https://acme.example/2>", "https://acme.example/2"),
        ('<a class="x" href="https://acme.example/3">지원</a>', "https://acme.example/3"),
        ("https://acme.example/\u200bq", "https://acme.example/q"),
    ],
)
def test_http_and_https_are_addresses(said: str, address: str) -> None:
    assert web_address(said) == address


@pytest.mark.parametrize(
    "said",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "[x](javascript:alert(1))",
        "data:text/html,<b>",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://acme.example",
        "mailto:a@acme.example",
        "blob:https://acme.example/1",
        "//acme.example/1",
        "www.acme.example",
        "/jobs/1",
        "https://user:password@acme.example/",
        "https://acme.example@evil.example",
        "https://acme.example\\@evil.example",
        "https://acme.example/a b",
        "https://acme.example/\x00",
        "https://acme.example/a\u2028b",
        'https://acme.example/"><script>',
        "https:///x",
        "https:/acme.example",
        "https:acme.example",
        "https://",
        "https://acme.example:99999/",
        "https://acme.example:port/",
        "https://" + "a" * 3000,
        "nan",
        "-",
        "",
        None,
        5,
        ["https://acme.example"],
    ],
)
def test_all_else_is_none(said: object) -> None:
    assert web_address(said) is None


@given(st.text() | st.text(st.sampled_from('htps:/@.\\a한 \n<>[]()"')).map("https://".__add__))
def test_an_address_has_a_web_scheme_a_host_and_nothing_to_break_out_with(said: str) -> None:
    address = web_address(said)
    if address is not None:
        parts = urlsplit(address)
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert "@" not in parts.netloc
        assert not set(address) & set('"<>\\` \n\t\x00')
        assert web_address(address) == address
