"""DeepEval: data sets, test runs and Python files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.imports import lost, needs_types, outcomes, planned, prompts, write_files

from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.deepeval import class_name, import_deepeval

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported


def imported(folder: Path, name: str, text: str) -> Imported:
    return import_deepeval(write_files(folder, {name: text}) / name, VOCABULARY)


GOLDENS = [
    {
        "input": "Hi {{x}}",
        "expected_output": "Hello",
        "context": ["a", "b"],
        "actual_output": None,
        "source_file": None,
    },
    {"input": "Bye", "expected_output": None, "retrieval_context": ["c"], "additional_metadata": {"topic": "end"}},
]


@pytest.mark.parametrize("wrapped", [False, True])
def test_goldens_become_rows_and_their_input_is_no_template(tmp_path: Path, wrapped: bool) -> None:
    done = imported(tmp_path, "g.json", json.dumps({"goldens": GOLDENS} if wrapped else GOLDENS))
    assert lost(done) == [
        f"{tmp_path / 'g.json'}: there is no metric to carry over, so nothing is checked: DeepEval keeps metrics in code"
    ]
    (suite,) = done.suites
    assert suite.rows[0]["context"] == ["a", "b"]
    assert suite.rows[1]["topic"] == "end"
    assert prompts(planned(done, tmp_path / "out"))["golden-001"] == [("user", "Hi {{x}}")]


def test_goldens_in_csv(tmp_path: Path) -> None:
    text = 'input,actual_output,expected_output,context,name\n"Hi, you",old,Hello,a|b,First\nBye,,See you,"[""c""]",\n'
    done = imported(tmp_path, "g.csv", text)
    assert [row["id"] for row in done.suites[0].rows] == ["first", "golden-002"]
    assert [row["context"] for row in done.suites[0].rows] == [["a", "b"], ["c"]]
    assert any("every case is asked" in str(note) for note in done.notes)


RUN = {
    "testCases": [
        {
            "name": "test_case_0",
            "input": "Say hello",
            "actualOutput": "hello",
            "expectedOutput": "hello",
            "metricsData": [
                {"name": "Exact Match", "threshold": 1, "success": True, "score": 1},
                {"name": "Answer Relevancy", "threshold": 0.7, "success": True, "score": 1},
                {"name": "Tone [GEval]", "threshold": 0.5, "success": True, "score": 1},
            ],
        }
    ]
}


def test_the_results_of_a_test_run(tmp_path: Path) -> None:
    done = imported(tmp_path, "run.json", json.dumps({"testRunData": RUN}))
    suite = planned(done, tmp_path / "out")
    assert suite.suite.asserts[0].metric == "exact-match"
    first = {name: found[:1] for name, found in outcomes(suite, {"test-case-0": "hello"}).items()}
    assert first == {"test-case-0": ["pass"]}
    assert any("its criterion is not in the file" in note for note in lost(done))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Answer Relevancy", "AnswerRelevancyMetric"),
        ("Correctness [GEval]", "GEval"),
        ("Correctness (GEval)", "GEval"),
        ("Exact Match", "ExactMatchMetric"),
    ],
)
def test_class_names(name: str, kind: str) -> None:
    assert class_name(name) == kind


PYTHON = """
import os
from deepeval import assert_test
from deepeval.metrics import ExactMatchMetric, GEval, PatternMatchMetric
from deepeval.test_case import LLMTestCase, LLMTestCaseParams

QUESTION = "Why?"
os.system("touch ran")

def test_it():
    metric = GEval(
        name="Right answer",
        criteria="Is it right, {{really}}?",
        evaluation_params=[LLMTestCaseParams.ACTUAL_OUTPUT, LLMTestCaseParams.EXPECTED_OUTPUT],
        threshold=0.8,
        model=make_model(),
    )
    assert_test(LLMTestCase(input=QUESTION, actual_output=ask(QUESTION), expected_output="Because."), [metric])
    assert_test(LLMTestCase(input=make(), actual_output="x"), [PatternMatchMetric(pattern="B.*e.")])
    assert_test(LLMTestCase(input="Who?", expected_output=make(), actual_output=""), [ExactMatchMetric()])
"""


def test_python_files_are_parsed_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = imported(tmp_path, "test_x.py", PYTHON)
    assert not (tmp_path / "ran").exists()
    assert [row["input"] for row in done.suites[0].rows] == ["Why?"]
    notes = " ".join(lost(done))
    assert "test_x.py:19: LLMTestCase: its input is computed" in notes
    assert "test_x.py:20: LLMTestCase: expected_output is computed" in notes
    written = {one["type"]: one for one in done.suites[0].asserts}
    assert written["regex"]["value"] == "(?u)\\A(?:B.*e.)\\Z"
    assert written["exact-match"]["value"] == "{{ expected_output | trim }}"


@needs_types("g-eval")
def test_a_criterion_is_no_template_and_tells_the_expected_output_if_asked_to(tmp_path: Path) -> None:
    written = {one["type"]: one for one in imported(tmp_path, "test_x.py", PYTHON).suites[0].asserts}
    assert written["g-eval"] == {
        "type": "g-eval",
        "value": "Is it right, {{ '{' }}{really}}?\n\nExpected output: {{ expected_output }}",
        "threshold": 0.8,
        "metric": "right-answer",
    }


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.py", "def (", "not Python"),
        ("x.json", "[]", "no case"),
        ("x.json", json.dumps([{"scenario": "a", "turns": []}]), "no case"),
        ("x.json", "{", "not JSON"),
        ("x.csv", "", "header"),
        ("x.csv", "a,a\n1,2\n", "header"),
        ("x.csv", "input\n1,2\n", "more cells"),
    ],
)
def test_what_holds_no_case_is_an_error(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        imported(tmp_path, name, text)


@pytest.mark.parametrize(
    ("metric", "expected", "answer", "right"),
    [
        ("ExactMatchMetric()", " Paris ", "Paris\\n", True),
        ("ExactMatchMetric()", "Paris", "paris", False),
        ("ExactMatchMetric()", "7", "7.0", False),
        ("PatternMatchMetric(pattern=' [a-z]+ ')", "x", " abc\\n", True),
        ("PatternMatchMetric(pattern='[a-z]+')", "x", "abc d", False),
        ("PatternMatchMetric(pattern='[a-z]+', ignore_case=True)", "x", "ABC", True),
        ("PatternMatchMetric(pattern='a.c')", "x", "a\\nc", False),
    ],
)
def test_both_texts_are_trimmed_as_deepeval_does(
    tmp_path: Path, metric: str, expected: str, answer: str, right: bool
) -> None:
    text = f"def test_x():\n    assert_test(LLMTestCase(input='q', expected_output={expected!r}), [{metric}])\n"
    done = imported(tmp_path, "test_x.py", text)
    assert done.complete
    (found,) = outcomes(planned(done, tmp_path / "out"), {"golden-001": answer.replace("\\n", "\n")}).values()
    assert found == ["pass" if right else "fail"]


def test_arguments_of_metrics_are_read_or_named(tmp_path: Path) -> None:
    text = "m = GEval(name='x', criteria='c', strict_mode=True, truths=3)\nLLMTestCase(input='q')\n"
    done = imported(tmp_path, "test_x.py", text)
    assert done.suites[0].asserts[0]["threshold"] == 1
    assert any("GEval: the argument truths" in note for note in lost(done))


def test_metrics_of_different_tests_are_named(tmp_path: Path) -> None:
    test = "def test_{0}():\n    assert_test(LLMTestCase(input='q', expected_output='a'), [{1}()])\n"
    text = test.format("a", "ExactMatchMetric") + test.format("b", "AnswerRelevancyMetric")
    done = imported(tmp_path, "test_x.py", text)
    assert any("test_x.py:3: tests with metrics of their own" in note for note in lost(done))
