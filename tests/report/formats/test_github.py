from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import HOSTILE

from llmgate.errors import UsageError
from llmgate.report.formats.github import annotation, write_outputs

if TYPE_CHECKING:
    from pathlib import Path


def runner_outputs(text: str) -> dict[str, str]:
    """Outputs as the runner reads the file: `name<<delimiter`, lines, delimiter."""
    outputs = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, arrows, delimiter = line.partition("<<")
        assert arrows, f"{line!r} is no heading"
        value = []
        for inner in lines:
            if inner == delimiter:
                break
            value.append(inner)
        else:
            raise AssertionError(f"{delimiter} never came")
        outputs[name] = "\n".join(value)
    return outputs


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_value_makes_an_output_of_its_own(tmp_path: Path, text: str) -> None:
    path = tmp_path / "output"
    write_outputs({"sentence": text, "verdict": "FAIL"}, path)
    outputs = runner_outputs(path.read_text(encoding="utf-8"))
    assert list(outputs) == ["sentence", "verdict"]
    assert outputs["verdict"] == "FAIL"


def test_outputs_are_appended_and_delimiters_differ(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("earlier=1\n", encoding="utf-8")
    write_outputs({"a": "1", "b": "2"}, path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("earlier=1\na<<")
    assert len(set(re.findall(r"<<(llmgate-[0-9a-f]{32})\n", text))) == 2


def test_a_guessed_delimiter_is_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "output"
    tokens = (f"llmgate-{i}" for i in count())
    write_outputs({"sentence": "llmgate-0\nllmgate-1"}, path, token=lambda: next(tokens))
    assert runner_outputs(path.read_text(encoding="utf-8")) == {"sentence": "llmgate-0\nllmgate-1"}
    assert "<<llmgate-2\n" in path.read_text(encoding="utf-8")


def test_a_source_of_delimiters_that_never_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every delimiter"):
        write_outputs({"sentence": "EOF"}, tmp_path / "output", token=lambda: "EOF")
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a<<b", "ü", "1a", "a="])
def test_a_bad_output_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        write_outputs({"good": "1", name: "2"}, tmp_path / "output")
    assert not (tmp_path / "output").exists()


@settings(deadline=None)
@given(st.text(max_size=80), st.text(min_size=1, max_size=40))
def test_an_annotation_is_one_command(message: str, title: str) -> None:
    line = annotation("error", message, title=title, file="suites/a.yaml", line=3)
    assert line.count("\n") == 1
    assert "\r" not in line
    properties = line.removeprefix("::error ").split("::", 1)[0].split(",")
    assert [item.split("=", 1)[0] for item in properties] == ["file", "line", "title"]


def test_annotations_escape_as_the_runner_unescapes() -> None:
    assert annotation("warning", "50 % of: a,b\nnext") == "::warning::50 %25 of: a,b%0Anext\n"
    assert annotation("notice", "x", title="a:b,c") == "::notice title=a%3Ab%2Cc::x\n"


def test_an_unwritable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="GITHUB_OUTPUT"):
        write_outputs({"a": "1"}, tmp_path)
