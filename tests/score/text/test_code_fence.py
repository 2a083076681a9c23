"""Fenced code blocks, checked with the examples of the CommonMark specification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.score.text.code_fence import code_blocks, read_lines


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("```\n<\n >\n```", [("", "<\n >")]),
        ("~~~\n<\n~~~", [("", "<")]),
        ("``\nfoo\n``", []),
        ("```\naaa\n~~~\n```", [("", "aaa\n~~~")]),
        ("````\naaa\n```\n``````", [("", "aaa\n```")]),
        ("~~~~\naaa\n~~~\n~~~~", [("", "aaa\n~~~")]),
        ("```", [("", "")]),
        ("`````\n\n```\naaa", [("", "\n```\naaa")]),
        (" ```\n aaa\naaa\n```", [("", "aaa\naaa")]),
        ("  ```\naaa\n  aaa\naaa\n  ```", [("", "aaa\naaa\naaa")]),
        ("   ```\n   aaa\n    aaa\n  aaa\n   ```", [("", "aaa\n aaa\naaa")]),
        ("    ```\n    aaa\n    ```", []),
        ("```\naaa\n  ```", [("", "aaa")]),
        ("```\naaa\n    ```", [("", "aaa\n    ```")]),
        ("``` ```\naaa", []),
        ("foo\n```\nbar\n```\nbaz", [("", "bar")]),
        ("```ruby\ndef foo(x)\n  return 3\nend\n```", [("ruby", "def foo(x)\n  return 3\nend")]),
        ("~~~~    ruby startline=3 $%@#$\ndef\n~~~~~~~", [("ruby startline=3 $%@#$", "def")]),
        ("``` aa ```\nfoo", []),
        ("~~~ aa ``` ~~~\nfoo\n~~~", [("aa ``` ~~~", "foo")]),
        ("```\n``` aaa\n```", [("", "``` aaa")]),
        ("1. Run:\n   ```python\n   a = 1\n   ```", [("python", "a = 1")]),
        ("- ```py\n  a = 1\n  ```\nend", [("py", "a = 1")]),
        ("- ```py\n  a = 1\nleft", [("py", "a = 1")]),
        ("a\n```py\nb\n```\n```py\nc\n```", [("py", "b"), ("py", "c")]),
        ("```py\r\nb\r\n```\r\n", [("py", "b")]),
    ],
)
def test_blocks_are_those_of_the_specification(text: str, blocks: list[tuple[str, str]]) -> None:
    assert [(block.info, block.code) for block in code_blocks(text)] == blocks


@given(st.text(alphabet="`~ \n\t-*1.ab", max_size=200))
def test_every_line_is_read_once(text: str) -> None:
    lines = list(read_lines(text))
    assert [line.start for line in lines] == [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
    assert all(text.startswith(line.content, line.start) for line in lines)
    assert len(code_blocks(text)) == sum(line.opens is not None for line in lines)
