from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import HOSTILE

from llmgate.report.visible import as_text, one_line, short_flags, short_path, visible

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


@settings(deadline=None)
@given(ANY_TEXT)
def test_nothing_acts_unseen(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    hidden = [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    assert set(hidden) <= {"\n", "\t", "\u200d"}


@settings(deadline=None)
@given(
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u2800\u3164\u115f\u1160\uffa0"))
)
def test_ordinary_text_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "␛[31m"),
        ("a\x00b\x7f", "a␀b␡"),
        ("a\r\nb", "a␍\nb"),
        ("x\u202ey", "x⟦U+202E⟧y"),
        ("\ud800", "⟦U+D800⟧"),
        ("\x9b", "⟦U+009B⟧"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("❤️\u200d🔥", "❤️\u200d🔥"),
        ("a\u200db", "a⟦U+200D⟧b"),
        ("\u200d", "⟦U+200D⟧"),
        ("مرحبا", "مرحبا"),
        ("\u3164", "⟦U+3164⟧"),
        ("tab\there", "tab\there"),
    ],
)
def test_pictures(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


def test_one_line_counts_what_it_leaves_out() -> None:
    assert one_line("x" * 1500, 300) == "x" * 300 + " … (1,200 further characters)"


def test_a_long_text_keeps_its_end_and_counts_its_middle() -> None:
    text = "start" + "x" * 1_000_000 + "end"
    pieces = as_text(text, 400)
    assert [piece.kind for piece in pieces] == ["plain", "note", "plain"]
    assert pieces[0].text.startswith("start")
    assert pieces[2].text.endswith("end")
    assert pieces[1].text == "999,608 characters are not shown here"
    assert sum(len(piece.text) for piece in pieces if piece.kind == "plain") == 400


def test_a_text_at_the_limit_is_whole() -> None:
    assert [piece.text for piece in as_text("y" * 400, 400)] == ["y" * 400]
    assert as_text("", 400) == ()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/alice/secret-project/runs/2026", "…/runs/2026"),
        ("/", "/"),
        ("~/runs/one", "…/runs/one"),
        ("runs/one/two", "runs/one/two"),
        ("http://user:password@host:8000/v1?key=abc#x", "http://host:8000/v1"),
        ("http://[broken", "http://[broken"),
        ("models:/support-bot/7", "models:/support-bot/7"),
        ("", ""),
    ],
)
def test_short_path(path: str, shown: str) -> None:
    assert short_path(path) == shown


def test_flags_hide_folders_and_credentials() -> None:
    flags = (
        "--model",
        "/data/models/bot",
        "--dtype=bfloat16",
        "--api-key",
        "abc",
        "--hf_token=def",
        "--chat-template=/a/b/c.jinja",
    )
    assert short_flags(flags) == (
        "--model …/models/bot --dtype=bfloat16 --api-key *** --hf_token=*** --chat-template=…/b/c.jinja"
    )


def test_a_flag_after_a_bare_credential_flag_is_shown() -> None:
    assert short_flags(("--api-key", "--eager")) == "--api-key --eager"
