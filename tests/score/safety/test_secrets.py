"""contains-secret. The tokens are made up, and put together here so that no scanner takes them for real ones."""

from __future__ import annotations

import base64
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import Evaluation, evaluate_assert


def check(output: object, type_: str = "contains-secret", **config: Any) -> Evaluation:
    return evaluate_assert({"type": type_, "config": config}, output)


def token(*parts: dict[str, Any]) -> str:
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2ln"])


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SECRETS = {
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "gh" + "p_" + LETTERS[:36],
    "gitlab": "glpat-" + LETTERS[:20],
    "slack": "xox" + "b-1234567890-" + LETTERS[:24],
    "stripe": "sk_" + "live_" + LETTERS[:24],
    "basic-auth": "https://user:" + "hunter22@example.com",
    "jwt": token({"alg": "HS256"}, {"sub": "1234567890"}),
    "openai": "sk-" + LETTERS[:20] + "T3" + "BlbkFJ" + LETTERS[:20],
    "openai-project": "sk-" + "proj-" + LETTERS * 2,
    "anthropic": "sk-" + "ant-api03-" + LETTERS,
    "google-api": "AI" + "za" + LETTERS[:35],
    "hugging-face": "hf" + "_" + LETTERS[20:54],
    "sendgrid": "SG." + LETTERS[:22] + "." + LETTERS[:43],
    "private-key": "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "high-entropy-hex": "key = '2b00042f7481c7b056c4b410d28f33cf'",
}


@pytest.mark.parametrize("kind", sorted(SECRETS))
def test_found(kind: str) -> None:
    secret = SECRETS[kind]
    for output in (secret, f"It is {secret} there.", {"a": [secret]}, {secret: 1}, json.dumps({"a": f"x\n{secret}"})):
        found = check(output, kinds=[kind])
        assert (found.outcome, found.score) == ("pass", 1), output
        assert kind in found.reason
        assert secret not in found.reason
    if not kind.startswith("high-entropy"):
        assert check(secret, "not-contains-secret").outcome == "fail"


@pytest.mark.parametrize("header", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "])
def test_private_keys(header: str) -> None:
    assert check(f"-----BEGIN {header}PRIVATE KEY-----").outcome == "pass"
    assert check(f"-----BEGIN {header}PUBLIC KEY-----").outcome == "fail"


@pytest.mark.parametrize(
    "text",
    [
        "", "Hello", "Never share your password.", "sk-learn is a library", "AKIA", "https://example.com/a:b@c",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "eyJhbGciOiJIUzI1NiJ9", "SG.a.b",
        'password = "hunter2"', "commit 2b00042f7481c7b056c4b410d28f33cf2b00042f", "ghp_short", "hf_model",
    ],
)  # fmt: skip
def test_not_found(text: str) -> None:
    assert check(text).outcome == "fail", check(text).reason
    assert check(text, "not-contains-secret").outcome == "pass"


def test_a_secret_is_found_wherever_it_stands() -> None:
    for before in (1500, 2047, 2048, 5000, 100_001):
        for kind in ("aws", "slack", "jwt"):
            assert check("." * before + " " + SECRETS[kind] + " " + "." * 3000).outcome == "pass"
    assert check(token({"alg": "HS256"}, {"claims": "x" * 20_000}), kinds=["jwt"]).outcome == "pass"


def test_literal_exceptions() -> None:
    assert check(SECRETS["aws"], allow=[SECRETS["aws"]]).outcome == "fail"
    assert check(f"{SECRETS['aws']} {SECRETS['github']}", allow=[SECRETS["aws"]]).outcome == "pass"


@pytest.mark.parametrize("kind", sorted(SECRETS.keys() & {"github", "gitlab", "aws", "slack", "stripe"}))
def test_a_token_is_allowed_as_a_whole_and_not_by_its_first_letters(kind: str) -> None:
    token = SECRETS[kind]
    assert check(f"here: {token}", allow=[token]).outcome == "fail"
    assert check(f"here: {token}", allow=[token[:3], token[:5]]).outcome == "pass"
    assert f"({len(token)} characters)" in check(f"here: {token}").reason
    assert check(SECRETS["aws"].replace("7", "8"), allow=[SECRETS["aws"]]).outcome == "pass"


@pytest.mark.parametrize(
    "config", [{"kinds": []}, {"kinds": ["awss"]}, {"kinds": "aws"}, {"allow": [""]}, {"allow": {}}, {"entropy": True}]
)
def test_broken_settings(config: dict[str, Any]) -> None:
    for type_ in ("contains-secret", "not-contains-secret"):
        assert check("x", type_, **config).outcome == "error"


def test_no_value_is_taken() -> None:
    assert evaluate_assert({"type": "not-contains-secret", "value": "aws"}, "x").outcome == "error"


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detect_secrets.plugins.aws", None)
    for type_ in ("contains-secret", "not-contains-secret"):
        found = check("x", type_, allow=["y"])
        assert found.outcome == "error"
        assert "pip install 'pytest-llmgate[metrics]'" in found.reason


def test_nothing_is_opened_or_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check("x").outcome == "fail"

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it left the process")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr("requests.sessions.Session.request", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    assert all(check(secret).outcome == "pass" for kind, secret in SECRETS.items() if "entropy" not in kind)


@pytest.mark.parametrize(
    "piece", ["a", "eyJ", "eyJa.", "sk-", "xoxb-1-", "://a:", "a.", '"a', "-", "sk-T3BlbkFJ", "\n"]
)
@pytest.mark.cpu_seconds(15)
def test_hostile_text_takes_bounded_time(piece: str) -> None:
    assert check((piece * 200_000)[:200_000]).outcome in {"pass", "fail", "error"}


@given(st.text() | st.text(alphabet="skeyJ-_.:/@\"'AKIA0123") | st.dictionaries(st.text(), st.text()))
def test_any_output_is_evaluated(output: object) -> None:
    found = check(output)
    assert found.score in {0.0, 1.0}
    assert check(output, "not-contains-secret").score == 1 - found.score
