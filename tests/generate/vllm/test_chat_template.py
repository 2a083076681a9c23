"""Chat templates that are refused before a start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import UsageError
from llmgate.generate.vllm.chat_template import check_template

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "{% for m in messages %}{% if loop.index > 9 %}{% break %}{% endif %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
"""Breaks and `generation` are what transformers adds to Jinja."""


def test_a_template_as_tokenizers_have_it(tmp_path: Path) -> None:
    path = tmp_path / "t.jinja"
    path.write_text(GOOD, encoding="utf-8")
    check_template(path, where="--chat-template")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"one\n{% for x in y %}", "line 2"),
        (b"{{ 1 +", "line 1"),
        (b"{% nonsense %}", "nonsense"),
        (b"{{" + b"(" * 50_000, "line 1|nested too deeply"),
        (b"x" * 1_000_001, "cannot be read"),
    ],
)
def test_what_is_no_template_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "t.jinja"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as error:
        check_template(path, where="--chat-template")
    assert error.value.where == "--chat-template"
    assert str(path) in str(error.value)


def test_a_folder_a_pipe_and_nothing_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "gone"):
        with pytest.raises(UsageError, match="cannot be read"):
            check_template(path, where="--chat-template")
