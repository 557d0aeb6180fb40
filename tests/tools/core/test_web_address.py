"""What may be shown to people as the address of a page."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.core.text import web_address


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
