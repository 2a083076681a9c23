"""promptfoo's asserts that are code: what becomes of them, and what is left out by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.outcomes import Recorded, recorded

from llmgate import evaluate_assert
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.promptfoo.asserts import carried
from llmgate.suite.importers.promptfoo.config import import_promptfoo
from llmgate.suite.importers.result import Notebook

OUTPUTS, VARS, CODES = recorded()
FOREIGN = next(
    (at / "shared/data/foreign/promptfoo" for at in Path(__file__).parents if (at / "shared").is_dir()), None
)


def kept(written: dict[str, Any], **how: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """An assert as it is carried over, and the notes on what is not."""
    notes = Notebook(VOCABULARY)
    made = carried(written, "config.yaml:7", {**VARS, "word": "b"}, notes, **how)
    return made, [note.what for note in notes.notes if note.lost]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"type": "javascript", "value": "file://check.js"}, "stands in a file, which is not read (file://check.js)"),
        (
            {"type": "python", "value": "file://check.py:is_fine"},
            "in a file, which is not read (file://check.py:is_fine)",
        ),
        ({"type": "not-javascript", "value": "package:x:y"}, "in a file"),
        ({"type": "javascript"}, "its code is no text (None)"),
        ({"type": "javascript", "value": False}, "its code is no text (False)"),
        ({"type": "javascript", "value": "false"}, "does not look at `output`"),
        (
            {"type": "javascript", "value": "return output.length > 3"},
            "promptfoo fails it for every answer (return outp",
        ),
        ({"type": "javascript", "value": "output.match(/a/)"}, "it gives a text or a list"),
        ({"type": "javascript", "value": "const a = output\nreturn a ? 'pass' : 'fail'"}, "it gives a text or a list"),
        ({"type": "javascript", "value": "await fix(output)"}, "'javascript' left out: line 1"),
        ({"type": "javascript", "value": "fix(output) && " + "x" * 90}, "(fix(output) && " + "x" * 65 + ")"),
        ({"type": "javascript", "value": "output.length > context.config.n"}, "context.config"),
        ({"type": "python", "value": "re.search('a', output)"}, "without importing it"),
        ({"type": "python", "value": "import requests\nreturn output"}, "import requests"),
        ({"type": "javascript", "value": "output.length / 9", "threshold": 0}, "cannot fail"),
        ({"type": "javascript", "value": "output.length > 1", "transform": "fix(output)"}, "transformed output"),
        ({"type": "javascript", "value": "output.length > 1", "colour": "red"}, "colour"),
        ({"type": "ruby", "value": "output.size"}, "code is not run (output.size)"),
        ({"type": "webhook", "value": "https://x"}, "code is not run"),
    ],
)
def test_code_that_cannot_be_translated_is_lost_by_name(written: dict[str, Any], words: str) -> None:
    made, notes = kept(written)
    assert made is None
    (note,) = notes
    assert words in note
    assert repr(written["type"]) in note


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("output.includes('a')", {"type": "contains", "value": "a"}),
        ('!output.includes("it\'s");', {"type": "not-contains", "value": "it's"}),
        ("output.toLowerCase().includes('a')", {"type": "icontains", "value": "a"}),
        ("return output.startsWith('a');\n", {"type": "expression"}),
        ("// why\nreturn output.startsWith('a');\n", {"type": "starts-with", "value": "a"}),
        ("output.includes('a') && output.includes('b')", {"type": "contains-all", "value": ["a", "b"]}),
        ("output.includes('a') || output.includes('b')", {"type": "contains-any", "value": ["a", "b"]}),
        (r"/\d+/.test(output)", {"type": "regex", "value": r"\d+"}),
        # Not the same for every answer: an emoji has two units, other letters have cases, an order of arguments.
        ("/^.{3}$/.test(output)", {"type": "expression"}),
        ("/a/i.test(output)", {"type": "expression"}),
        ("/[^a]/.test(output)", {"type": "expression"}),
        ("/(?=a)/.test(output)", {"type": "expression"}),
        ("output.toLowerCase().includes('A')", {"type": "expression"}),
        ("output.includes('a', 3)", {"type": "expression"}),
        ("output.includes('a') && output.toLowerCase().includes('b')", {"type": "expression"}),
        ("output.includes('')", {"type": "expression"}),
        ("output.includes('{{ word }}')", {"type": "expression"}),
    ],
)
def test_what_another_type_says_exactly_becomes_that_type(code: str, made: dict[str, Any]) -> None:
    result, notes = kept({"type": "javascript", "value": code})
    if code.startswith("return"):
        assert result is None
        assert notes
        return
    assert notes == []
    assert result == {"value": code, **made}


@pytest.mark.parametrize("one", CODES, ids=lambda one: one.code[:40])
def test_a_translation_gives_what_promptfoo_gives_or_is_lost_because_it_never_passes(one: Recorded) -> None:
    made, notes = kept({"type": one.language, "value": one.code})
    if made is None:
        assert notes
        assert one.hopeless
        return
    for output, (outcome, score) in zip(OUTPUTS, one.expected, strict=True):
        result = evaluate_assert(made, output, vars=VARS, prompt="Q")
        assert (result.outcome, result.score) == (outcome, score and pytest.approx(score, abs=1e-9)), output


def test_weight_metric_threshold_and_negation_stay() -> None:
    made, _ = kept({"type": "javascript", "value": "output.length / 9", "threshold": 0.5, "weight": 2, "metric": "m"})
    assert made == {"type": "expression", "value": "output.length / 9", "threshold": 0.5, "weight": 2, "metric": "m"}
    made, _ = kept({"type": "not-javascript", "value": "!output.includes('a')", "threshold": 0})
    assert made == {"type": "contains", "value": "a"}
    made, _ = kept({"type": "not-javascript", "value": "output.length > 3", "threshold": 0, "config": {"n": 1}})
    assert made == {"type": "not-expression", "value": "output.length > 3"}
    made, _ = kept({"type": "not-python", "value": "'a' in output", "weight": 0})
    assert made == {"type": "not-expression", "value": "'a' in output", "config": {"language": "python"}, "weight": 0}


def test_members_of_a_set_are_translated_and_a_lost_one_takes_a_threshold_with_it() -> None:
    members = [{"type": "javascript", "value": "output.length < 9"}, {"type": "contains", "value": "a"}]
    made, notes = kept({"type": "assert-set", "threshold": 0.5, "assert": members})
    assert notes == []
    assert made is not None
    assert [member["type"] for member in made["assert"]] == ["expression", "contains"]
    lost = [*members, {"type": "javascript", "value": "fix(output)"}]
    assert kept({"type": "assert-set", "threshold": 0.5, "assert": lost})[0] is None


def test_data_that_a_provider_hands_on_is_what_code_sees(tmp_path: Path) -> None:
    check = {"type": "javascript", "value": "output.color === 'red'"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    forms = {
        "openai:gpt-4o": ({"response_format": form}, ["parsed"]),
        "openai:gpt-4.1": ({}, []),
        "file://app.py": ({}, ["parsed"]),
    }
    for name, (settings, transform) in forms.items():
        config = {"prompts": ["{{q}}"], "providers": [{"id": name, "config": settings}]}
        config |= {"tests": [{"vars": {"q": "a"}, "assert": [check, {"type": "contains", "value": "red"}]}]}
        path = tmp_path / "promptfooconfig.yaml"
        path.write_text(yaml.safe_dump(config))
        code, contains = import_promptfoo(path, VOCABULARY).suites[0].asserts
        assert code.get("transform", []) == transform
        assert contains.get("transform", []) == (transform if name.startswith("openai") else [])
        passes = evaluate_assert(dict(code), '{"color": "red"}').outcome == "pass"
        assert passes is bool(transform)


def test_transforms_of_a_test_come_before_those_of_its_asserts(tmp_path: Path) -> None:
    config = {
        "prompts": ["{{q}}"],
        "providers": ["openai:gpt-4o"],
        "defaultTest": {"options": {"transform": "JSON.parse(output).items"}},
        "tests": [
            {"vars": {"q": "a"}, "assert": [{"type": "equals", "value": "tea", "transform": "output[0].name"}]},
            {"vars": {"q": "b"}, "assert": [{"type": "javascript", "value": "output.includes('tea')"}]},
        ],
    }
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(yaml.safe_dump(config))
    done = import_promptfoo(path, VOCABULARY)
    assert done.complete
    first, second = (row["asserts"][0] for row in done.suites[0].rows)  # type: ignore[index]
    assert first["transform"] == ["javascript:JSON.parse(output).items", "javascript:output[0].name"]  # type: ignore[call-overload,index]
    assert evaluate_assert(first, '{"items": [{"name": "tea"}]}').outcome == "pass"  # type: ignore[arg-type]
    # On a list `includes` looks for an item, not for a piece of text.
    assert second["type"] == "expression"  # type: ignore[call-overload,index]
    assert evaluate_assert(second, '{"items": ["tea"]}').outcome == "pass"  # type: ignore[arg-type]
    assert evaluate_assert(second, '{"items": ["green tea"]}').outcome == "fail"  # type: ignore[arg-type]


def codes(value: Any) -> list[dict[str, Any]]:
    """All code asserts in a configuration."""
    if isinstance(value, list):
        return [found for item in value for found in codes(item)]
    if not isinstance(value, dict):
        return []
    own = [value] if str(value.get("type", "")).removeprefix("not-") in {"javascript", "python"} else []
    return own + [found for item in value.values() for found in codes(item)]


@pytest.mark.skipif(FOREIGN is None, reason="the files of others are not here")
def test_most_code_in_files_of_others_is_translated_and_the_rest_has_a_reason() -> None:
    assert FOREIGN is not None
    found = [
        code
        for path in sorted(FOREIGN.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        for code in codes(document)
    ]
    results = [kept(code) for code in found]
    assert len(found) >= 40
    assert sum(made is not None for made, _ in results) >= 0.8 * len(found)
    for made, notes in results:
        assert (made is None) == bool(notes)
        assert all("file" in note or "whatever" in note or "every" in note or "gives" in note for note in notes)
