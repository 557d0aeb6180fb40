"""Lists of API keys, as people paste them."""

from __future__ import annotations

import hashlib
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from tests.pace import time_limit
from tools.core.api_keys import parse_key_lists
from tools.core.settings import Settings
from tools.core.terminal import exit_on_errors

WEB, MOBILE = (hashlib.sha256(key.encode()).hexdigest() for key in ("web's", "mobile's"))
NAMES = {WEB: "web", MOBILE: "mobile"}


@pytest.mark.parametrize(
    "configured",
    [
        f"web:{WEB},mobile:{MOBILE}",
        f"web:{WEB}  -,mobile:{MOBILE}  -",
        f"web:{WEB} *-, mobile:{MOBILE} *-",
        f"web:{WEB}  -\nmobile:{MOBILE}  -\n",
        f"web: {WEB.upper()}  - ,\n mobile: {MOBILE}\t-,",
        f"\n web:{WEB}\r\nmobile:{MOBILE}\r\n",
    ],
)
def test_what_sha256sum_prints_is_taken_as_it_is(configured: str) -> None:
    assert parse_key_lists(configured, None) == (NAMES, {})
    assert parse_key_lists(None, configured) == ({}, NAMES)


def test_the_readmes_line_makes_an_entry() -> None:
    made = subprocess.run(
        ["sh", "-c", "printf '%s' \"$KEY\" | sha256sum"],
        env={"KEY": "web's", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=time_limit(),
    )
    assert parse_key_lists(f"web:{made.stdout}", None)[0] == {WEB: "web"}


@given(
    st.dictionaries(
        st.text("abcdefghijklmnop0123456789._@가나다", min_size=1, max_size=12),
        st.text(min_size=1, max_size=12).filter(lambda key: key != "\n"),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["", " ", "  -", " *-", "\t-"]),
    st.sampled_from([",", ", ", " ,", "\n", ",\n"]),
    st.booleans(),
)
def test_every_list_is_read(keys: dict[str, str], behind: str, between: str, capitals: bool) -> None:
    hashes = {hashlib.sha256(key.encode()).hexdigest(): name for name, key in keys.items()}
    entries = (f"{name}:{one.upper() if capitals else one}{behind}" for one, name in hashes.items())
    assert parse_key_lists(between.join(entries), None)[0] == hashes


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ("my-secret-key", "Entry 1 does not begin with a name"),
        (WEB, "Entry 1 does not begin with a name"),
        (f":{WEB}", "Entry 1 does not begin with a name"),
        ("web:my-secret-key", "Entry 1 has no 64 hexadecimal digits"),
        (f"web:{WEB[1:]}", "Entry 1 has no 64 hexadecimal digits"),
        (f"web:{WEB},mobile:{MOBILE}0", "Entry 2 has no 64 hexadecimal digits"),
        (f"web:{WEB}-", "Entry 1 has no 64 hexadecimal digits"),
        (f"web:{WEB} mobile:{MOBILE}", "Entry 1 is not followed by a comma"),
        (f"web:{WEB}  my-secret-key.txt", "Entry 1 is not followed by a comma"),
        (f"web:{WEB},web:{MOBILE}", "Entry 2 has the name of another"),
        (f"web:{WEB},mobile:{WEB.upper()}", "Entry 2 has the key of another"),
        (f"web:{hashlib.sha256(b'').hexdigest()}  -", "Entry 1 has the hash of an empty key"),
        (f"web:{hashlib.sha256(bytes([10])).hexdigest()}", "Entry 1 has the hash of an empty key"),
    ],
)
@pytest.mark.parametrize("setting", ["CHECKERBOARD_API_KEYS", "CHECKERBOARD_ADMIN_KEYS"])
def test_another_list_is_one_line_of_advice_that_repeats_none_of_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    configured: str,
    said: str,
) -> None:
    monkeypatch.setenv(setting, configured)
    with pytest.raises(SystemExit) as ended, exit_on_errors():
        Settings()
    line = capsys.readouterr().err
    assert ended.value.code == 1
    assert line.startswith(f"{setting} is a list of name:sha256, each name once, each key once")
    assert said in line
    assert "sha256sum" in line
    assert line.count("\n") == 1
    assert "secret" not in line
    assert configured not in line


def test_no_error_shows_what_was_refused() -> None:
    """Also where somebody else prints it, as LangGraph's server does."""
    given: dict[str, Any] = {"api_keys": SecretStr("web:my-secret-key")}
    with pytest.raises(ValidationError) as refused:
        Settings(**given)
    assert "my-secret-key" not in f"{refused.value} {refused.value!r}"
