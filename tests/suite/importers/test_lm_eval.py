"""lm-evaluation-harness: tasks with local data, and logged samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.imports import jsonl, lost, needs_types, outcomes, planned, prompts, write_files

from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.lm_eval.checks import transforms
from llmgate.suite.importers.lm_eval.suites import import_lm_eval
from llmgate.suite.importers.result import Notebook, NoteSort

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported

BASE = """
dataset_path: json
dataset_kwargs: {data_files: {test: docs.jsonl}}
test_split: test
description: "Answer the question.\\n"
"""
TASK = """
include: base.yaml
task: capitals
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 32}
num_fewshot: 3
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: '(\\w+)$'}, {function: take_first}]
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
  - {metric: !function utils.mine}
"""
CHOICES = """
task: mc
output_type: multiple_choice
dataset_path: json
dataset_kwargs: {data_files: docs.jsonl}
doc_to_text: "{{question}}"
doc_to_target: gold
doc_to_choice: "{{options}}"
"""
DOCS = (
    {"question": "Capital of {France}?", "answer": "Paris"},
    {"question": "Capital of Italy?", "answer": ["Rome", "Roma"]},
)


def imported(folder: Path, task: str, *documents: Any) -> Imported:
    files = {"task.yaml": task, "base.yaml": BASE, "docs.jsonl": jsonl(*documents)}
    return import_lm_eval(write_files(folder, files) / "task.yaml", VOCABULARY)


def test_a_task_with_local_documents(tmp_path: Path) -> None:
    done = imported(tmp_path, TASK, *DOCS)
    (suite,) = done.suites
    assert suite.name == "capitals"
    assert [row["prompt"] for row in suite.rows] == [
        "Answer the question.\nQuestion: Capital of {France}?\nAnswer:",
        "Answer the question.\nQuestion: Capital of Italy?\nAnswer:",
    ]
    assert [row["target"] for row in suite.rows] == [["Paris", "Paris"], ["Rome", "Roma"]]
    assert suite.sampling == {"max_tokens": 32, "temperature": 0, "stop": ["\n"]}
    assert lost(done) == [f"{tmp_path / 'task.yaml'}: the metric utils.mine is code, which is not run"]
    assert ["num_fewshot 3" in note.what for note in done.notes if note.sort is NoteSort.SETTING] == [True]
    assert prompts(planned(done, tmp_path / "out"))["doc-001"][0][0] == "user"


@pytest.mark.parametrize(
    ("steps", "written"),
    [
        (
            [{"function": "regex", "regex_pattern": "#### (\\d+)"}, {"function": "take_first"}],
            ["findall:0:#### (\\d+)"],
        ),
        ([{"function": "regex", "group_select": -1, "regex_pattern": "x"}], ["findall:-1:x"]),
        ([{"function": "regex"}], ["findall:0:#### (\\-?[0-9\\.\\,]+)"]),
        ([{"function": "lowercase"}, {"function": "remove_whitespace"}, {"function": "take_first"}], ["lower", "trim"]),
        ([{"function": "take_first"}], []),
        ([{"function": "take_first"}, {"function": "lowercase"}], None),
        ([{"function": "regex", "regex_pattern": "x", "fallback": "A"}], None),
        ([{"function": "regex", "regex_pattern": "("}], None),
        ([{"function": "regex", "regex_pattern": "x", "group_select": "1"}], None),
        ([{"function": "majority_vote"}, {"function": "take_first"}], None),
        ([{"function": "regex_pos"}], None),
        ([{"function": "multi_choice_regex", "regex_pattern": "x"}, {"function": "take_first"}], None),
        ([{"function": "!function utils.mine"}], None),
    ],
)
def test_a_filter_is_carried_over_whole_or_named(steps: list[dict[str, Any]], written: list[str] | None) -> None:
    notes = Notebook(VOCABULARY)
    assert transforms({"name": "mine", "filter": steps}, "task.yaml", notes) == written
    assert [note.lost and "the filter 'mine'" in note.what for note in notes.notes] == [True] * (written is None)


def test_exact_match_takes_any_of_the_targets_letter_by_letter(tmp_path: Path) -> None:
    suite = planned(imported(tmp_path, TASK, *DOCS), tmp_path / "out")
    assert outcomes(suite, {"doc-001": "It is Paris", "doc-002": "Roma"}) == {"doc-001": ["pass"], "doc-002": ["pass"]}
    assert outcomes(suite, {"doc-001": "paris", "doc-002": "Paris"}) == {"doc-001": ["fail"], "doc-002": ["fail"]}


def test_multiple_choice_is_asked_with_letters(tmp_path: Path) -> None:
    done = imported(tmp_path, CHOICES, {"question": "2+2?", "options": ["3", "4"], "gold": 1})
    row = done.suites[0].rows[0]
    assert row["prompt"] == "2+2?\n\nA) 3\nB) 4\n\nAnswer with the letter of the right option."
    assert row["target"] == "B"


ARC = """
task: arc
output_type: multiple_choice
dataset_path: json
dataset_kwargs: {data_files: docs.jsonl}
doc_to_text: "Question: {{question.strip()}}\\nAnswer:"
doc_to_target: "{{choices.label.index(answerKey)}}"
doc_to_choice: "{{choices.text}}"
"""
WORKED = """
task: worked
output_type: generate_until
dataset_path: json
dataset_kwargs: {data_files: docs.jsonl}
doc_to_text: "{{question}}"
doc_to_target: "{{answer.split('####')[-1].strip()}}"
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def test_templates_may_call_what_the_harness_calls(tmp_path: Path) -> None:
    choices = {"text": ["red", "blue, or so"], "label": ["A", "B"]}
    done = imported(tmp_path, ARC, {"question": " Sky? ", "choices": choices, "answerKey": "B"})
    (row,) = done.suites[0].rows
    assert row["choices"] == ["red", "blue, or so"]
    assert row["target"] == "B"
    assert str(row["prompt"]).startswith("Question: Sky?\nAnswer:")
    done = imported(tmp_path, WORKED, {"question": "2+2?", "answer": "so 2 + 2 = 4 #### 4 "})
    assert done.suites[0].rows[0]["target"] == "4"


@needs_types("choice")
def test_multiple_choice_scores(tmp_path: Path) -> None:
    done = imported(tmp_path, CHOICES, {"question": "2+2?", "options": ["3", "4"], "gold": 1})
    suite = planned(done, tmp_path / "out")
    assert outcomes(suite, {"doc-001": "B"}) == {"doc-001": ["pass"]}
    assert outcomes(suite, {"doc-001": "A"}) == {"doc-001": ["fail"]}


def sample(target: Any, *requests: tuple[str, Any]) -> dict[str, Any]:
    arguments = {f"gen_args_{i}": {"arg_0": a, "arg_1": b} for i, (a, b) in enumerate(requests)}
    return {"doc_id": 0, "doc": {}, "target": target, "arguments": arguments, "resps": [], "exact_match": 1.0}


def logged(folder: Path, *samples: Any) -> Imported:
    name = "samples_capitals_2026-01-02T03-04-05.678901.jsonl"
    return import_lm_eval(write_files(folder, {name: jsonl(*samples)}) / name, VOCABULARY)


def test_logged_samples_of_a_generating_task(tmp_path: Path) -> None:
    done = logged(tmp_path, sample("Paris", ("Capital of {{France}}?", {"until": ["\n"]})))
    assert done.suites[0].name == "capitals"
    suite = planned(done, tmp_path / "out")
    assert prompts(suite) == {"doc-001": [("user", "Capital of {{France}}?")]}


def test_logged_samples_of_a_choosing_task(tmp_path: Path) -> None:
    done = logged(tmp_path, sample("1", ("2+2?", " 3"), ("2+2?", " 4")))
    assert done.suites[0].rows[0]["target"] == "B"
    assert "A) 3\nB) 4" in str(done.suites[0].rows[0]["prompt"])


def test_likelihoods_of_given_texts_are_named(tmp_path: Path) -> None:
    good = sample("Paris", ("Capital of France?", {}))
    done = logged(tmp_path, good, sample("", ("A text", " goes on")), sample("0", ("a", "x"), ("b", "x")), {"doc": {}})
    assert any("exact_match: its filters and options are not in the log" in note for note in lost(done))
    assert len(done.suites[0].rows) == 1
    assert len([note for note in lost(done) if "likelihoods of given texts" in note]) == 2


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("task: x\ndataset_path: openai/gsm8k\ndataset_name: main\n", "openai/gsm8k/main"),
        ("group: x\ntask: [a, b]\n", "group"),
        ("include: task.yaml\n", "no task file"),
        ("- a\n", "no task file"),
        ("task: x\ndataset_kwargs: {data_files: gone.jsonl}\n", "no file"),
        (CHOICES.replace("{{question}}", "{{question | no_such}}"), "no document"),
        (CHOICES.replace('"{{question}}"', "!function utils.ask"), "code"),
        (CHOICES.replace("{{question}}", "{{no_such}} {{question}}"), "the column 'no_such'"),
        (CHOICES + "process_docs: !function utils.process_docs\n", "process_docs is code"),
        (CHOICES + "use_prompt: promptsource:x\n", "use_prompt"),
        (CHOICES + "doc_to_image: image\n", "images"),
        ("class: !function task.Mine\n", "Python class"),
        (CHOICES.replace("multiple_choice", "loglikelihood"), "likelihood of given texts"),
        (CHOICES.replace("{data_files: docs.jsonl}", "{data_files: docs.jsonl, data_dir: x}"), "data_dir is not read"),
        (CHOICES.replace("docs.jsonl", "{train: docs.jsonl}") + "test_split: test\n", "no split 'test'"),
        (CHOICES.replace("docs.jsonl", "docs.parquet"), "no file"),
        (CHOICES.replace("dataset_path: json", "dataset_path: org/data"), "org/data"),
        (CHOICES.replace('doc_to_text: "{{question}}"', "doc_to_text: gold"), "chooses among contexts"),
    ],
)
def test_what_cannot_be_read_is_an_error(tmp_path: Path, task: str, words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        imported(tmp_path, task, {"question": "2+2?", "options": ["3", "4"], "gold": 1})
    assert words in str(caught.value)
