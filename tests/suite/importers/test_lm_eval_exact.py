"""exact_match with its options and filters: 81 answers, compared as lm-evaluation-harness compares them.

What is right was computed with its own code: `exact_match_hf_evaluate` of lm_eval/api/metrics.py and the classes of
lm_eval/filters, version 0.4.13.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.imports import jsonl, outcomes, planned, write_files

from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.lm_eval.suites import import_lm_eval

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "gsm": {"ignore_case": True, "ignore_punctuation": False, "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"]},
    "case": {"ignore_case": True},
    "punct": {"ignore_punctuation": True},
    "numbers": {"ignore_numbers": True},
    "all": {"ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True},
    "order": {"regexes_to_ignore": ["A"], "ignore_case": True},
    "dot": {"regexes_to_ignore": ["\\.$"]},
    "spaces": {"regexes_to_ignore": ["\\s+"]},
}
FILTERS: Final[dict[str, list[dict[str, Any]]]] = {
    "none": [],
    "first": [{"function": "take_first"}],
    "strict": [{"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"}, {"function": "take_first"}],
    "cot": [{"function": "regex", "regex_pattern": "The answer is (\\-?[0-9\\.\\,]+)."}, {"function": "take_first"}],
    "flexible": [
        {"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
        {"function": "take_first"},
    ],
    "space": [{"function": "remove_whitespace"}, {"function": "take_first"}],
    "lower": [{"function": "lowercase"}, {"function": "take_first"}],
    "upper": [{"function": "remove_whitespace"}, {"function": "uppercase"}, {"function": "take_first"}],
    "answer_is": [{"function": "regex", "regex_pattern": "(?<=answer is )(.*)(?=.)"}, {"function": "take_first"}],
    "second": [{"function": "regex", "regex_pattern": "\\(([A-D])\\)", "group_select": 1}, {"function": "take_first"}],
}
GOLD: Final = "She has 3 + 4 = <<3+4=7>>7 apples.\n#### 1,007"
ROWS: Final[tuple[tuple[str, str, str | list[str], str, bool], ...]] = (
    ("plain", "first", "Paris", "Paris", True),
    ("plain", "first", "Paris", "paris", False),
    ("plain", "first", "Paris", "Paris.", False),
    ("plain", "first", "Paris", " Paris", False),
    ("plain", "first", "Paris", "Paris\n", False),
    ("plain", "first", "A", "A", True),
    ("plain", "first", "A", "a", False),
    ("plain", "first", "A", "B", False),
    ("plain", "first", "A", "", False),
    ("plain", "first", "A", "The A", False),
    ("plain", "first", "the", "a", False),
    ("plain", "none", "Paris", "Paris", True),
    ("plain", "none", "Paris", "Rome", False),
    ("case", "first", "A", "a", True),
    ("case", "first", "A", "b", False),
    ("case", "first", "ÄRGER", "ärger", True),
    ("case", "first", "STRASSE", "straße", False),
    ("case", "first", "The Cat", "the cat", True),
    ("case", "first", "The Cat", "cat", False),
    ("punct", "first", "U.S.A.", "USA", True),
    ("punct", "first", "don't", "dont", True),
    ("punct", "first", "a-b", "ab", True),
    ("punct", "first", "a-b", "a b", False),
    ("punct", "first", "“x”", "x", False),
    ("punct", "first", "$5", "5", True),
    ("numbers", "first", "x1", "x2", True),
    ("numbers", "first", "x1", "y1", False),
    ("numbers", "first", "room 101", "room ", True),
    ("numbers", "first", "٣x", "x", False),
    ("all", "first", "It's 5 O'Clock!", "its 7 oclock", True),
    ("all", "first", "It's 5 O'Clock!", "its  oclock", True),
    ("all", "first", "It's 5 O'Clock!", "it is oclock", False),
    ("order", "first", "aA", "a", True),
    ("order", "first", "aA", "A", False),
    ("order", "first", "BAa", "ba", True),
    ("dot", "first", "5", "5.", True),
    ("dot", "first", "5", "5..", False),
    ("dot", "first", "5.", "5", True),
    ("dot", "first", "5", "5.\n", False),
    ("spaces", "first", "a b", "ab", True),
    ("spaces", "first", "a b", " a  b\n", True),
    ("spaces", "first", "a b", "a.b", False),
    ("gsm", "strict", GOLD, "so\n#### 1007", True),
    ("gsm", "strict", GOLD, "so\n#### 1,007", True),
    ("gsm", "strict", GOLD, "#### 1007.", True),
    ("gsm", "strict", GOLD, "#### $1007", False),
    ("gsm", "strict", GOLD, "It is 1007", False),
    ("gsm", "strict", GOLD, "#### 8 #### 1007", False),
    ("gsm", "strict", GOLD, "####1007", False),
    ("gsm", "flexible", GOLD, "It is 1007", True),
    ("gsm", "flexible", GOLD, "It is $1,007.", True),
    ("gsm", "flexible", GOLD, "1007 of 8", False),
    ("gsm", "flexible", GOLD, "first 12, then 1007", True),
    ("gsm", "flexible", GOLD, "none", False),
    ("gsm", "flexible", "x #### 7", "it is 7", True),
    ("gsm", "flexible", "x #### 7", "it is 7.", True),
    ("gsm", "flexible", "x #### -7", "it is -7", True),
    ("gsm", "flexible", "x #### 7", "it is 7 .", True),
    ("gsm", "flexible", "x #### 7", "it is 7 or 8", False),
    ("gsm", "cot", "7", "The answer is 7.", True),
    ("gsm", "cot", "7", "The answer is 7", False),
    ("gsm", "cot", "12", "The answer is 12", False),
    ("gsm", "cot", "12", "The answer is 12 apples", True),
    ("gsm", "cot", "12", "the answer is 12.", False),
    ("gsm", "cot", "12", "The answer is 1. No. The answer is 12.", False),
    ("plain", "space", "Paris", "\n Paris \t", True),
    ("plain", "space", "Paris", "Paris is", False),
    ("plain", "lower", "paris", "PARIS", True),
    ("plain", "lower", "Paris", "PARIS", False),
    ("plain", "upper", "B", " b\n", True),
    ("plain", "upper", "b", "b", False),
    ("plain", "answer_is", "(B)", "so the answer is (B).", True),
    ("plain", "answer_is", "(B)", "so the answer is (B)", False),
    ("plain", "answer_is", "(B)", "so the answer is (B) .", True),
    ("plain", "answer_is", "(B)", "(B)", False),
    ("plain", "second", "B", "(A) or (B)", True),
    ("plain", "second", "B", "(A) (B) (C)", True),
    ("plain", "first", ["Rome", "Roma"], "Roma", True),
    ("plain", "first", ["Rome", "Roma"], "Rom", False),
    ("case", "first", ["Rome", "Roma"], "roma", True),
    ("gsm", "strict", ["#### 5", "#### 6"], "#### 6", True),
)
GROUPS: Final = sorted({row[:2] for row in ROWS})


def test_there_are_enough_of_both_kinds() -> None:
    assert len(ROWS) >= 60
    assert min(sum(row[-1] for row in ROWS), sum(not row[-1] for row in ROWS)) >= 25


@pytest.mark.parametrize(("options", "steps"), GROUPS)
def test_an_imported_task_decides_as_the_harness_does(tmp_path: Path, options: str, steps: str) -> None:
    rows = [row for row in ROWS if row[:2] == (options, steps)]
    task = {
        "task": "exact",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": "docs.jsonl"},
        "doc_to_text": "question",
        "doc_to_target": "target",
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", **OPTIONS[options]}],
        **({"filter_list": [{"name": "x", "filter": FILTERS[steps]}]} if FILTERS[steps] else {}),
    }
    documents = jsonl(*({"question": f"q{i}", "target": row[2]} for i, row in enumerate(rows)))
    folder = write_files(tmp_path, {"task.json": json.dumps(task), "docs.jsonl": documents})
    done = import_lm_eval(folder / "task.json", VOCABULARY)
    assert done.complete
    suite = planned(done, tmp_path / "out")
    answers = {f"doc-{i:03}": row[3] for i, row in enumerate(rows, start=1)}
    right = {f"doc-{i:03}": ["pass" if row[4] else "fail"] for i, row in enumerate(rows, start=1)}
    assert outcomes(suite, answers) == right
