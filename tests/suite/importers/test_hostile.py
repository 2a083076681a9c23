"""No file of another tool makes an importer raise anything but an error for its reader."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.imports import loaded

from llmgate.errors import LlmgateError, UsageError
from llmgate.session.commands.import_suites import import_suites
from llmgate.suite.form.suite_file import CasePart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WORDS: Final = {
    "promptfoo": (
        *("prompts", "tests", "vars", "assert", "type", "value", "threshold", "weight", "metric", "options", "prefix"),
        *("defaultTest", "scenarios", "config", "providers", "temperature", "$ref", "raw", "label", "role", "content"),
        *("transform", "description", "metadata", "evaluateOptions", "repeat", "prompt"),
    ),
    "deepeval": (
        *("input", "expected_output", "context", "goldens", "testCases", "metricsData", "name", "threshold"),
        *("additional_metadata", "retrieval_context", "testRunData"),
    ),
    "inspect": (
        *("eval", "samples", "id", "input", "target", "choices", "metadata", "plan", "steps", "solver", "params"),
        *("results", "scores", "scorer", "task", "template", "role", "content", "epoch", "config", "pattern"),
    ),
    "lm-eval": (
        *("doc_to_text", "doc_to_target", "doc_to_choice", "metric_list", "metric", "filter_list", "dataset_kwargs"),
        *("data_files", "num_fewshot", "generation_kwargs", "until", "include", "repeats", "output_type"),
    ),
    "openai-evals": ("class", "args", "samples_jsonl", "modelgraded_spec", "id", "description"),
}
VALUES: Final = (
    *("contains", "equals", "is-json", "assert-set", "{{x}}", "{{", "file://x.txt", "self.json", "user", "system"),
    *("a:Match", "fact", "match", "includes", "choice", "#/tests", "multiple_choice", "system_message", "{{ x | y }}"),
)


def some(document: Any, key: str) -> list[Any]:
    """What stands under a key, as a list."""
    value = document.get(key, []) if isinstance(document, dict) else document
    return value if isinstance(value, list) else [value]


SOUND: Final[Mapping[str, Callable[[Any], Any]]] = {
    "promptfoo": lambda document: {
        **(document if isinstance(document, dict) else {}),
        "prompts": ["{{ q }}", *some(document, "prompts")],
        "tests": [{"vars": {"q": "a"}, "assert": some(document, "assert")}, *some(document, "tests")],
    },
    "deepeval": lambda document: [{"input": "a"}, document, *some(document, "goldens")],
    "inspect": lambda document: {
        **(document if isinstance(document, dict) else {}),
        "eval": {"scorers": [{"name": "match"}, *some(document, "scorer")]},
        "samples": [{"id": "x", "input": "a", "target": "b", "metadata": document}, *some(document, "samples")],
    },
    "lm-eval": lambda document: {
        **(document if isinstance(document, dict) else {}),
        "dataset_kwargs": {"data_files": "a.jsonl"},
        "doc_to_text": "q",
        "doc_to_target": "q",
    },
    "openai-evals": lambda document: {
        **(document if isinstance(document, dict) else {}),
        "x.v0": {"class": "a:Includes", "args": {"samples_jsonl": "a.jsonl"}},
    },
}
"""The random part inside something that can be imported."""


def documents(words: tuple[str, ...]) -> st.SearchStrategy[Any]:
    leaves = (
        st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(VALUES) | st.text(max_size=4)
    )
    inner = st.recursive(
        leaves,
        lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(words), some, max_size=4),
        max_leaves=25,
    )
    return st.dictionaries(st.sampled_from(words), inner, max_size=6) | st.lists(inner, max_size=3)


def try_import(tool: str, files: Mapping[str, str], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for file, text in files.items():
            Path(folder, file).write_text(text, encoding="utf-8", errors="replace")
        try:
            done = import_suites(tool, Path(folder, name), Path(folder, "out"))
        except LlmgateError:
            return
        for path, suite in zip(done.paths, done.imported.suites, strict=True):
            if not set(suite.case) <= set(CasePart.model_fields):
                continue
            planned = loaded(path)
            assert len(planned.cases) == len(suite.rows)


@pytest.mark.parametrize("tool", sorted(WORDS))
def test_any_json_is_imported_and_loads_or_is_an_error(tool: str) -> None:
    @settings(max_examples=40)
    @given(documents(WORDS[tool]))
    def check(document: Any) -> None:
        try_import(tool, {"self.json": json.dumps(document)}, "self.json")
        sound = SOUND[tool](document)
        try_import(
            tool, {"self.json": json.dumps(sound), "a.jsonl": json.dumps(document) + '\n{"q": 1}\n'}, "self.json"
        )

    check()


@given(st.lists(documents(("arguments", "arg_0", "gen_args_0", "target", "doc", "input", "ideal")), max_size=4))
@settings(max_examples=40)
def test_any_lines_are_imported_and_load_or_are_an_error(lines: list[Any]) -> None:
    text = "\n".join(map(json.dumps, lines))
    try_import("lm-eval", {"a.jsonl": text}, "a.jsonl")
    registry = "a.v0: {class: 'x:Match', args: {samples_jsonl: a.jsonl}}"
    try_import("openai-evals", {"a.jsonl": text, "a.yaml": registry}, "a.yaml")


@pytest.mark.parametrize("tool", sorted(WORDS))
def test_depth_is_no_crash(tool: str, tmp_path: Path) -> None:
    deep = tmp_path / "deep.json"
    # How deep a Python reads depends on its version; 3.13 goes below 900.
    for depth, refusal in ((900, contextlib.suppress(UsageError)), (100_000, pytest.raises(UsageError))):
        text = '{"prompts": ["x"], "tests": [{"vars": {"a": ' + "[" * depth + "]" * depth + "}}]}"
        deep.write_text(text, encoding="utf-8")
        with refusal:
            import_suites(tool, deep, tmp_path / "out")
