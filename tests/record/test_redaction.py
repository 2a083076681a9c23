"""Secrets are found in every form, and nothing else is touched."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.record.redaction import NO_SECRETS, Redactor, environment_secrets, url_secrets

TOKEN = "sk-Zq8Lw3Vt7Rb2Ny5Kd9Hx4"


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=8, max_size=40),
    before=st.text(max_size=40),
    after=st.text(max_size=40),
)
def test_json_stays_json_and_holds_no_secret(secret: str, before: str, after: str) -> None:
    value = {"text": before + secret + after, "inner": json.dumps({"text": secret}), "number": 0.1}
    clean = json.loads(Redactor((secret,))(json.dumps(value).encode()))
    assert secret not in clean["text"].replace("[redacted]", "\0")
    assert secret not in json.loads(clean["inner"])["text"].replace("[redacted]", "\0") or secret in "[redacted]"
    assert clean["number"] == 0.1


@given(
    secret=st.binary(min_size=8, max_size=60).map(bytes.hex), before=st.binary(max_size=9), after=st.binary(max_size=9)
)
def test_base64_is_found_at_any_place(secret: str, before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        clean = Redactor((secret,)).text(encode(before + secret.encode() + after).decode())
        assert "[redacted]" in clean
        kept = clean.partition("[redacted]")
        assert len(kept[0]) <= len(before) * 4 / 3 + 2
        assert len(kept[2]) <= len(after) * 4 / 3 + 5


@pytest.mark.parametrize("length", range(12, len(TOKEN) + 1))
def test_what_an_excerpt_leaves_of_a_token_is_found(length: int) -> None:
    redact = Redactor((TOKEN,))
    assert redact.text(f"said {TOKEN[:length]}") == "said [redacted]"
    assert redact.text(f"{TOKEN[-length:]} was said") == "[redacted] was said"


def test_the_beginning_of_a_path_is_no_secret() -> None:
    redact = Redactor(("/home/someone/project1/key.json", "https://host/some/where1"))
    assert redact.text("/home/someone/project1/suite.yaml") == "/home/someone/project1/suite.yaml"
    assert redact.text("https://host/some/else") == "https://host/some/else"


def test_text_without_secrets_keeps_its_bytes() -> None:
    line = b'{"b": 1,  "a": "\xc3\xa9\\u00e9", "c": 1e-7}\n'
    assert Redactor((TOKEN,))(line) == line
    assert NO_SECRETS(b"\xff\xfe") == b"\xff\xfe"


def test_short_values_stay() -> None:
    assert Redactor(("", "true", "1234567")).text("true 1234567") == "true 1234567"


def test_numbers_stay() -> None:
    assert json.loads(Redactor(("12345678",))(b'{"n": 0.123456789, "t": "12345678"}')) == {
        "n": 0.123456789,
        "t": "[redacted]",
    }


def test_a_secret_within_another_leaves_nothing_of_the_longer_one() -> None:
    assert Redactor(("password1", "password1-and-more")).text("password1-and-more") == "[redacted]"


def test_a_redactor_does_not_show_what_it_knows() -> None:
    assert TOKEN not in repr(Redactor((TOKEN,)))


def test_what_an_environment_calls_a_secret() -> None:
    environ = {
        "A_TOKEN": "a", "api_key": "b", "GH_PAT": "c", "PWD": "/here", "PATH": "/bin", "OTHER": "d", "EMPTY_KEY": "",
        "DB": "postgres://me:p%40ss@db/x", "REMOTE": "git@host:x", "HOOK": "https://h/a?x=1&access_token=tt#f",
    }  # fmt: skip
    assert environment_secrets(environ, names=["OTHER"]) == {"a", "b", "c", "d", "p%40ss", "p@ss", "tt"}


def test_a_token_in_place_of_a_user_is_a_secret() -> None:
    assert url_secrets([f"https://{TOKEN}@github.com/x", "ssh://git@github.com/x"]) == {TOKEN}
