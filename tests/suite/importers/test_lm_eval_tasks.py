"""Task files of lm-evaluation-harness that used to be carried over wrongly: options, examples, targets, logs."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.imports import jsonl, lost, outcomes, planned, write_files
from support.shared_data import shared_file

from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.lm_eval.suites import import_lm_eval
from llmgate.suite.importers.result import NoteSort

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported

MC = {"output_type": "multiple_choice", "doc_to_text": "{{question}}\nAnswer:", "doc_to_choice": "options"}
TEXT = {"doc_to_text": "question", "doc_to_target": "answer"}


def imported(folder: Path, task: dict[str, Any], *documents: Any) -> Imported:
    whole = {"task": "t", "dataset_path": "json", "dataset_kwargs": {"data_files": "docs.jsonl"}, **task}
    files = {"task.json": json.dumps(whole), "docs.jsonl": jsonl(*documents)}
    return import_lm_eval(write_files(folder, files) / "task.json", VOCABULARY)


def real(folder: Path, name: str, split: str, *documents: Any) -> Imported:
    """A task file of the harness with documents of its columns beside it."""
    text = shared_file(f"foreign/lm-eval/{name}").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^dataset_path:.*$", "dataset_path: json", text)
    text += f"\ndataset_kwargs: {{data_files: {{{split}: docs.jsonl}}}}\n"
    return import_lm_eval(
        write_files(folder, {"task.yaml": text, "docs.jsonl": jsonl(*documents)}) / "task.yaml", VOCABULARY
    )


def said(done: Imported, sort: NoteSort) -> str:
    return " ".join(note.what for note in done.notes if note.sort is sort)


@pytest.mark.parametrize("target", [0, "0", "{{ 0 }}", "gold"])
def test_options_whose_right_one_always_stands_first_are_shuffled(tmp_path: Path, target: Any) -> None:
    documents = [{"question": f"q{i}", "options": ["right", f"x{i}", f"y{i}", f"z{i}"], "gold": 0} for i in range(80)]
    task = {**MC, "doc_to_target": target}
    done = imported(tmp_path / "a", task, *documents)
    assert "options are shuffled" in said(done, NoteSort.REMARK)
    assert "compared by likelihood" in said(done, NoteSort.SETTING)
    places = Counter(str(row["target"]) for row in done.suites[0].rows)
    assert set(places) == set("ABCD")
    assert max(places.values()) < 40
    for row in done.suites[0].rows:
        assert f"\n{row['target']}) right\n" in str(row["prompt"])
    again = imported(tmp_path / "b", task, *reversed(documents))
    assert {row["prompt"] for row in again.suites[0].rows} == {row["prompt"] for row in done.suites[0].rows}


def test_options_in_an_order_that_tells_nothing_stay_as_they_are(tmp_path: Path) -> None:
    documents = [{"question": f"q{i}", "options": ["a1", "a2"], "gold": i % 2} for i in range(10)]
    done = imported(tmp_path, {**MC, "doc_to_target": "gold"}, *documents)
    assert [row["target"] for row in done.suites[0].rows] == ["A", "B"] * 5


LISTED = "What?\nA. red\nB) blue\n(C) green\nAnswer:"


@pytest.mark.parametrize(
    "options", [["A", "B", "C"], ["(A)", "(B)", "(C)"], ["red", "blue", "green"], ["red ", "blue", "green"]]
)
def test_options_that_the_question_lists_are_not_listed_again(tmp_path: Path, options: list[str]) -> None:
    task = {**MC, "doc_to_text": "question", "doc_to_target": "gold"}
    done = imported(tmp_path, task, {"question": LISTED, "options": options, "gold": 1})
    (row,) = done.suites[0].rows
    assert row["prompt"] == f"{LISTED}\n\nAnswer with the letter of the right option."
    assert row["target"] == "B"
    assert "not listed again" in said(done, NoteSort.REMARK)
    suite = planned(done, tmp_path / "out")
    assert [outcomes(suite, {"doc-001": answer})["doc-001"] for answer in ("B", "The answer is A.")] == [
        ["pass"],
        ["fail"],
    ]


def test_signs_that_are_no_capital_letters_are_asked_for_as_they_are(tmp_path: Path) -> None:
    question = "What?\n1. red\n2. blue\nAnswer:"
    task = {**MC, "doc_to_text": "question", "doc_to_target": "gold"}
    done = imported(tmp_path, task, {"question": question, "options": ["1", "2"], "gold": 1})
    assert done.suites[0].rows[0]["target"] == "2"
    suite = planned(done, tmp_path / "out")
    assert [outcomes(suite, {"doc-001": answer})["doc-001"] for answer in (" 2.", "1", "12")] == [
        ["pass"],
        ["fail"],
        ["fail"],
    ]


@pytest.mark.parametrize("options", [["1", "2", "3"], ["a", "b", "c"], ["True", "False", "Neither"]])
def test_options_that_only_look_like_signs_are_listed(tmp_path: Path, options: list[str]) -> None:
    done = imported(
        tmp_path, {**MC, "doc_to_target": "gold"}, {"question": "True, False? 3 - 1?", "options": options, "gold": 1}
    )
    (row,) = done.suites[0].rows
    assert f"B) {options[1]}\n" in str(row["prompt"])
    assert row["target"] == "B"


@pytest.mark.parametrize(
    ("target", "gold", "letter"),
    [
        ("gold", 1, "B"), ("gold", True, "B"), ("gold", "blue", "B"), ("{{gold}}", "1", "B"), ("gold", [1], "B"),
        ("gold", "1", None), ("gold", "B", None), ("gold", 2, None), ("gold", -1, None), ("gold", "Blue", None),
        ("gold", None, None), ("gold", [0, 1], None),
    ],
)  # fmt: skip
def test_the_right_option_is_found_as_the_harness_finds_it(
    tmp_path: Path, target: str, gold: Any, letter: str | None
) -> None:
    other = {"question": "q", "options": ["red", "blue"], "gold": 0}
    done = imported(tmp_path, {**MC, "doc_to_target": target}, other, {**other, "gold": gold})
    assert [row["target"] for row in done.suites[0].rows] == ["A", letter][: 2 if letter else 1]
    assert bool(lost(done)) == (letter is None)


def test_a_list_of_options_is_no_list_of_columns(tmp_path: Path) -> None:
    task = {**MC, "doc_to_choice": ["no", "yes"], "doc_to_target": "gold"}
    done = imported(tmp_path, task, {"question": "q", "yes": "a column", "gold": 1})
    assert done.suites[0].rows[0]["choices"] == ["no", "yes"]


def test_a_written_answer_may_be_the_text_of_an_option(tmp_path: Path) -> None:
    task = {**MC, "output_type": "generate_until", "doc_to_target": "gold"}
    done = imported(tmp_path, task, {"question": "q", "options": ["red", "blue"], "gold": 1})
    assert (done.suites[0].rows[0]["target"], done.suites[0].asserts[0]["type"]) == ("blue", "exact-match")


def test_the_letter_a_is_no_article(tmp_path: Path) -> None:
    done = imported(tmp_path, TEXT, {"question": "q", "answer": "A"}, {"question": "q", "answer": "B"})
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert outcomes(suite, {"doc-001": "A", "doc-002": "B"}) == {"doc-001": ["pass"], "doc-002": ["pass"]}
    assert outcomes(suite, {"doc-001": "", "doc-002": "A"}) == {"doc-001": ["fail"], "doc-002": ["fail"]}


def test_a_target_of_which_nothing_is_compared_is_found_whatever_its_row(tmp_path: Path) -> None:
    metric = {"metric": "exact_match", "ignore_punctuation": True}
    documents = [{"question": "q", "answer": answer} for answer in ("x", "y", "...", "z")]
    done = imported(tmp_path, {**TEXT, "metric_list": [metric]}, *documents)
    assert [row["target"] for row in done.suites[0].rows] == ["x", "y", "z"]
    assert any("1 of 4 cases, from doc-003 on, make no exact-match" in note for note in lost(done))


def test_white_space_between_prompt_and_completion_is_not_compared(tmp_path: Path) -> None:
    done = imported(tmp_path, {**TEXT, "doc_to_target": " {{answer}}"}, {"question": "q", "answer": "Paris"})
    assert "white space" in said(done, NoteSort.REMARK)
    suite = planned(done, tmp_path / "out")
    assert [outcomes(suite, {"doc-001": one})["doc-001"] for one in ("Paris", "paris")] == [["pass"], ["fail"]]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"metric": "bleu"}, "one figure of all answers"),
        ({"metric": "exact_match", "mystery": 1}, "option 'mystery'"),
        ({"metric": "exact_match", "regexes_to_ignore": "x"}, "no list of patterns"),
        ({"metric": "!function utils.mine"}, "utils.mine is code"),
    ],
)
def test_a_metric_that_would_mean_something_else_is_left_out(
    tmp_path: Path, metric: dict[str, Any], words: str
) -> None:
    done = imported(tmp_path, {**TEXT, "metric_list": [metric]}, {"question": "q", "answer": "x"})
    assert not done.suites[0].asserts
    assert any(words in note for note in lost(done))


def test_process_results_computes_every_metric(tmp_path: Path) -> None:
    task = {**TEXT, "process_results": "!function utils.process_results", "metric_list": [{"metric": "exact_match"}]}
    done = imported(tmp_path, task, {"question": "q", "answer": "x"})
    assert not done.suites[0].asserts
    assert any("process_results is code" in note for note in lost(done))


@pytest.mark.parametrize(
    ("given", "sampling"),
    [
        (None, {"max_tokens": 256, "temperature": 0, "stop": ["\n\n"]}),
        ({"until": []}, {"max_tokens": 256, "temperature": 0}),
        (
            {"until": "x", "temperature": "0.5", "do_sample": True},
            {"max_tokens": 256, "temperature": 0.5, "stop": ["x"]},
        ),
        ({"temperature": 0.5, "do_sample": False}, {"max_tokens": 256, "temperature": 0, "stop": ["\n\n"]}),
        ({"max_gen_toks": 9, "until": list("abcdef")}, {"max_tokens": 9, "temperature": 0, "stop": list("abcd")}),
    ],
)
def test_what_the_harness_takes_where_a_task_says_nothing(tmp_path: Path, given: Any, sampling: dict[str, Any]) -> None:
    done = imported(tmp_path, {**TEXT, "generation_kwargs": given}, {"question": "q", "answer": "x"})
    assert done.suites[0].sampling == sampling
    assert done.complete


POOL = [{"question": f"p{i}", "answer": f"a{i}"} for i in range(6)]


def test_examples_are_those_that_the_harness_draws(tmp_path: Path) -> None:
    # Drawn with ContextSampler of lm_eval/api/samplers.py, 0.4.13, seeded with 1234.
    files = {"train": "pool.jsonl", "test": "docs.jsonl"}
    task = {**TEXT, "num_fewshot": 2, "fewshot_split": "train", "test_split": "test", "description": "D "}
    write_files(tmp_path, {"pool.jsonl": jsonl(*POOL)})
    documents = [{"question": f"q{i}", "answer": "x"} for i in range(4)]
    done = imported(tmp_path, {**task, "dataset_kwargs": {"data_files": files}}, *documents)
    drawn = [(3, 0), (0, 5), (4, 0), (5, 0)]
    assert [row["prompt"] for row in done.suites[0].rows] == [
        f"D p{a} a{a}\n\np{b} a{b}\n\nq{i}" for i, (a, b) in enumerate(drawn)
    ]
    assert done.complete


def test_an_example_is_never_the_document_that_is_asked(tmp_path: Path) -> None:
    task = {**TEXT, "num_fewshot": 2, "fewshot_split": "test", "test_split": "test"}
    done = imported(tmp_path, {**task, "dataset_kwargs": {"data_files": {"test": "docs.jsonl"}}}, *POOL)
    drawn = [(3, 4), (0, 4), (5, 0), (2, 1), (0, 5), (4, 3)]
    assert [str(row["prompt"]).split("\n\n")[:2] for row in done.suites[0].rows] == [
        [f"p{a} a{a}", f"p{b} a{b}"] for a, b in drawn
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fewshot_split": "train"}, "no split 'train'"),
        ({"fewshot_config": {"samples": "!function utils.samples"}}, "samples is code"),
        ({"fewshot_config": {"samples": [{"question": "p", "answer": "a"}]}}, "1 documents to draw"),
        ({"fewshot_config": {"samples": POOL, "sampler": "mine"}}, "the sampler mine"),
        ({"fewshot_config": {"samples": POOL, "process_docs": "!function utils.p"}}, "process_docs is code"),
    ],
)
def test_examples_that_cannot_be_had_are_named(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    task = {**TEXT, "num_fewshot": 2, "test_split": "test", "dataset_kwargs": {"data_files": {"test": "docs.jsonl"}}}
    done = imported(tmp_path, {**task, **given}, {"question": "q", "answer": "x"})
    assert words in said(done, NoteSort.SETTING)
    assert done.suites[0].rows[0]["prompt"] == "q"
    assert done.complete


def test_the_beginning_of_an_answer_stands_in_examples_too(tmp_path: Path) -> None:
    task = {**TEXT, "num_fewshot": 1, "gen_prefix": "So:", "target_delimiter": "\n"}
    task["fewshot_config"] = {"samples": POOL, "sampler": "first_n", "fewshot_delimiter": "|"}
    done = imported(
        tmp_path,
        {**task, "test_split": "x", "dataset_kwargs": {"data_files": {"x": "docs.jsonl"}}},
        {"question": "q", "answer": "x"},
    )
    assert done.suites[0].rows[0]["prompt"] == "p0\nSo: a0|q\nSo:"


def test_numbers_in_csv_are_numbers(tmp_path: Path) -> None:
    task: dict[str, Any] = {**MC, "doc_to_target": "gold", "doc_to_choice": ["red", "blue"], "dataset_path": "csv"}
    task["dataset_kwargs"] = {"data_files": "docs.csv"}
    write_files(tmp_path, {"docs.csv": "question,gold\nq1,1\nq2,0\n"})
    assert [row["target"] for row in imported(tmp_path, task).suites[0].rows] == ["B", "A"]


def test_a_key_that_the_harness_does_not_know_is_named(tmp_path: Path) -> None:
    done = imported(
        tmp_path, {**TEXT, "doc_to_txt": "x", "tag": ["a"], "task_alias": "b"}, {"question": "q", "answer": "x"}
    )
    assert [("doc_to_txt" in note, "tag" in note) for note in lost(done)] == [(True, False)]


GSM = {"question": "500 * 2 + 7?", "answer": "It is 1,007.\n#### 1,007"}


def test_gsm8k_can_be_passed_and_each_filter_is_a_metric(tmp_path: Path) -> None:
    done = real(tmp_path, "gsm8k/gsm8k.yaml", "test", GSM)
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert [spec.metric for spec in suite.suite.asserts] == ["exact-match-strict-match", "exact-match-flexible-extract"]
    answers = ["1007\n#### 1007", "so it is $1,007.", "#### 1008", ""]
    found = [outcomes(suite, {"doc-001": answer})["doc-001"] for answer in answers]
    assert found == [["pass", "pass"], ["fail", "pass"], ["fail", "fail"], ["fail", "fail"]]


def test_the_examples_of_a_file_stand_before_the_question(tmp_path: Path) -> None:
    done = real(tmp_path, "gsm8k/gsm8k-cot.yaml", "test", GSM)
    assert done.complete
    prompt = str(done.suites[0].rows[0]["prompt"])
    assert prompt.startswith("Q: There are 15 trees")
    assert prompt.count("The answer is ") == 8
    assert prompt.endswith("The answer is 8.\n\nQ: 500 * 2 + 7?\nA:")
    assert done.suites[0].rows[0]["target"] == "1,007"


def test_truthfulqa_does_not_tell_its_answers_by_their_place(tmp_path: Path) -> None:
    documents = [{"question": f"q{i}", "mc1_targets": {"choices": ["r", f"w{i}", f"v{i}"]}} for i in range(30)]
    done = real(tmp_path, "truthfulqa/truthfulqa_mc1.yaml", "validation", *documents)
    assert len(Counter(row["target"] for row in done.suites[0].rows)) == 3


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("hellaswag/hellaswag.yaml", "validation", "process_docs is code"),
        ("hendrycks_math/hendrycks_math_algebra.yaml", "test", "process_docs is code"),
        ("winogrande/default.yaml", "validation", "doc_to_text is code"),
        ("mathqa/mathqa.yaml", "test", "doc_to_choice is code"),
        ("lambada/lambada_openai.yaml", "test", "likelihood of given texts"),
        ("squadv2/squadv2.yaml", "test", "a Python class"),
    ],
)
def test_questions_that_code_makes_are_refused_by_name(tmp_path: Path, name: str, split: str, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        real(tmp_path, name, split, {"query": "q", "choices": ["a", "b"], "label": 0, "problem": "p", "answer": "1"})


def logged(folder: Path, samples: list[dict[str, Any]], config: dict[str, Any] | None) -> Imported:
    files = {"samples_t_2026-01-02T03-04-05.678901.jsonl": jsonl(*samples)}
    if config is not None:
        files["results_2026-01-02T03-04-05.678901.json"] = json.dumps({"configs": {"t": config}})
    return import_lm_eval(write_files(folder, files) / next(iter(files)), VOCABULARY)


def sample(answer: str, filtered: str, score: float, **more: Any) -> dict[str, Any]:
    request = {"gen_args_0": {"arg_0": "q", "arg_1": {"until": ["\n"], "max_gen_toks": 7}}}
    facts = {"doc_id": 0, "target": "7", "arguments": request, "metrics": ["exact_match"], "filter": "none"}
    return {**facts, "resps": [[answer]], "filtered_resps": [filtered], "exact_match": score, **more}


def test_a_log_that_compares_plainly_keeps_its_metric(tmp_path: Path) -> None:
    done = logged(tmp_path, [sample("7", "7", 1.0), sample("8", "8", 0.0)], None)
    assert done.complete
    assert done.suites[0].sampling == {"max_tokens": 7, "temperature": 0, "stop": ["\n"]}
    assert outcomes(planned(done, tmp_path / "out"), {"doc-001": "7", "doc-002": "7."}) == {
        "doc-001": ["pass"],
        "doc-002": ["fail"],
    }


@pytest.mark.parametrize("one", [sample("so 7", "7", 1.0), sample("7.", "7.", 1.0), sample("7", "7", 0.0)])
def test_a_log_whose_comparison_is_not_known_loses_it_by_name(tmp_path: Path, one: dict[str, Any]) -> None:
    done = logged(tmp_path, [one], None)
    assert not done.suites[0].asserts
    assert any("results_*.json" in note for note in lost(done))


def test_the_results_file_beside_a_log_says_how_it_compares(tmp_path: Path) -> None:
    filters = [
        {"name": "strict", "filter": [{"function": "regex", "regex_pattern": "is (.)"}, {"function": "take_first"}]},
        {"name": "last", "filter": [{"function": "regex", "group_select": -1, "regex_pattern": "[0-9]"}]},
    ]
    samples = [sample("is 7", "7", 1.0, filter="strict"), sample("is 7", "7", 1.0, filter="last")]
    done = logged(tmp_path, samples, {"output_type": "generate_until", "filter_list": filters})
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert outcomes(suite, {"doc-001": "it is 7 or 8"}) == {"doc-001": ["pass", "fail"]}


def test_a_logged_target_that_may_be_an_index_or_a_text_is_named(tmp_path: Path) -> None:
    options = {f"gen_args_{i}": {"arg_0": "2 - 1?", "arg_1": f" {i}"} for i in range(1, 4)}
    base = {"doc_id": 0, "arguments": options, "metrics": ["acc"], "filter": "none"}
    done = logged(tmp_path, [{**base, "target": "0"}, {**base, "target": "1"}, {**base, "target": "3"}], None)
    assert [row["target"] for row in done.suites[0].rows] == ["A", "C"]
    assert any("may be an index or the text" in note for note in lost(done))
