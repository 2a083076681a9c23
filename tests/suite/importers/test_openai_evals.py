"""OpenAI evals: registry files with their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.imports import jsonl, lost, needs_types, outcomes, planned, prompts, write_files

from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.openai_evals import import_openai_evals

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported

SYSTEM = {"role": "system", "content": "Answer {{ briefly }}."}
FRANCE = {"input": [SYSTEM, {"role": "user", "content": "Capital of France?"}], "ideal": "Paris"}
ITALY = {"input": [SYSTEM, {"role": "user", "content": "Capital of Italy?"}], "ideal": ["Rome", "Roma (it)"]}


def imported(folder: Path, kind: str, *samples: object, args: str = "") -> Imported:
    registry = f"""
capitals:
  id: capitals.dev.v0
  description: Knows capitals
  metrics: [accuracy]
capitals.dev.v0:
  class: evals.elsuite.{kind}
  args:
    samples_jsonl: capitals/samples.jsonl
    {args}
"""
    files = {"evals/capitals.yaml": registry, "data/capitals/samples.jsonl": jsonl(*samples)}
    return import_openai_evals(write_files(folder, files) / "evals" / "capitals.yaml", VOCABULARY)


def test_match_wants_an_ideal_at_the_start(tmp_path: Path) -> None:
    done = imported(tmp_path, "basic.match:Match", FRANCE, ITALY)
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert suite.suite.name == "capitals-dev-v0"
    assert suite.suite.description == "Knows capitals"
    assert prompts(suite)["sample-001"] == [("system", "Answer {{ briefly }}."), ("user", "Capital of France?")]
    answers = {"sample-001": "Paris it is", "sample-002": "Roma (it)"}
    assert outcomes(suite, answers) == {"sample-001": ["pass"], "sample-002": ["pass"]}
    answers = {"sample-001": "It is Paris", "sample-002": "Roma it"}
    assert outcomes(suite, answers) == {"sample-001": ["fail"], "sample-002": ["fail"]}


def test_one_ideal_each_is_starts_with(tmp_path: Path) -> None:
    (suite,) = imported(tmp_path, "basic.match:Match", FRANCE, FRANCE).suites
    assert suite.asserts == ({"type": "starts-with", "value": "{{ ideal }}"},)


@pytest.mark.parametrize(("args", "found"), [("", "fail"), ("ignore_case: true", "pass")])
def test_includes(tmp_path: Path, args: str, found: str) -> None:
    suite = planned(imported(tmp_path, "basic.includes:Includes", FRANCE, ITALY, args=args), tmp_path / "out")
    answers = {"sample-001": "It is paris", "sample-002": "it is Roma (it)!"}
    assert outcomes(suite, answers) == {"sample-001": [found], "sample-002": ["pass"]}


def test_fuzzy_match(tmp_path: Path) -> None:
    done = imported(tmp_path, "basic.fuzzy_match:FuzzyMatch", FRANCE, ITALY)
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert outcomes(suite, {"sample-001": "The Paris.", "sample-002": "x"}) == {
        "sample-001": ["pass"],
        "sample-002": ["fail"],
    }


@needs_types("json-diff")
def test_json_match(tmp_path: Path) -> None:
    sample = {**FRANCE, "ideal": '{"a": 1}'}
    suite = planned(imported(tmp_path, "basic.json_match:JsonMatch", sample), tmp_path / "out")
    assert outcomes(suite, {"sample-001": '{ "a": 1 }'}) == {"sample-001": ["pass"]}
    assert outcomes(suite, {"sample-001": '{"a": 2}'}) == {"sample-001": ["fail"]}


@needs_types("factuality", "model-graded-closedqa")
@pytest.mark.parametrize(
    ("args", "written"),
    [
        ("modelgraded_spec: fact", {"type": "factuality", "value": "{{ ideal }}"}),
        (
            "modelgraded_spec: closedqa\n    modelgraded_spec_args: {criteria: 'Is {{short}}'}",
            {"type": "model-graded-closedqa", "value": "Is {{ '{' }}{short}}"},
        ),
    ],
)
def test_model_graded(tmp_path: Path, args: str, written: dict[str, str]) -> None:
    done = imported(tmp_path, "modelgraded.classify:ModelBasedClassify", FRANCE, FRANCE, args=args)
    assert done.suites[0].asserts == (written,)


def test_conversations_of_different_shapes_are_told_in_one_message(tmp_path: Path) -> None:
    other = {"input": "Capital of Spain?", "ideal": "Madrid"}
    suite = planned(imported(tmp_path, "basic.match:Match", FRANCE, other), tmp_path / "out")
    asked = prompts(suite)
    assert asked["sample-001"] == [("user", "system: Answer {{ briefly }}.\n\nuser: Capital of France?")]
    assert asked["sample-002"] == [("user", "Capital of Spain?")]


def test_few_shot_messages_get_the_role_that_they_play(tmp_path: Path) -> None:
    shots = [
        {"role": "system", "name": "example_user", "content": "1+1"},
        {"role": "system", "name": "example_assistant", "content": "2"},
    ]
    sample = {"input": [*shots, {"role": "user", "content": "2+2"}], "ideal": "4"}
    suite = planned(imported(tmp_path, "basic.match:Match", sample), tmp_path / "out")
    assert [role for role, _ in prompts(suite)["sample-001"]] == ["user", "assistant", "user"]


def test_samples_that_cannot_be_carried_over_are_named_with_their_line(tmp_path: Path) -> None:
    done = imported(tmp_path, "basic.match:Match", FRANCE, {"input": [], "ideal": "x"}, {**FRANCE, "ideal": ""}, "text")
    assert [note.partition("samples.jsonl:")[2][:2] for note in lost(done)] == ["2:", "3:", "4:"]
    assert len(done.suites[0].rows) == 1


@pytest.mark.parametrize(
    ("kind", "args", "words"),
    [
        ("my_code:MyEval", "", "code"),
        ("modelgraded.classify:ModelBasedClassify", "modelgraded_spec: humor", "only `fact` and `closedqa`"),
        ("modelgraded.classify:ModelBasedClassify", "modelgraded_spec: closedqa", "without criteria"),
    ],
)
def test_an_eval_of_which_nothing_is_left_is_an_error(tmp_path: Path, kind: str, args: str, words: str) -> None:
    with pytest.raises(SuiteError, match="no eval") as caught:
        imported(tmp_path, kind, FRANCE, args=args)
    assert words in str(caught.value)


def test_missing_samples_are_an_error(tmp_path: Path) -> None:
    text = "a.v0: {class: 'evals.elsuite.basic.match:Match', args: {samples_jsonl: gone.jsonl}}"
    with pytest.raises(SuiteError, match="no samples"):
        import_openai_evals(write_files(tmp_path, {"a.yaml": text}) / "a.yaml", VOCABULARY)


def test_a_sample_of_which_normalising_leaves_nothing_is_named(tmp_path: Path) -> None:
    done = imported(tmp_path, "basic.fuzzy_match:FuzzyMatch", FRANCE, {**FRANCE, "ideal": "The"})
    assert len(done.suites[0].rows) == 1
    assert any("1 of 2 cases, from sample-002 on" in note for note in lost(done))


def test_somebody_elses_class_of_the_same_name_is_code(tmp_path: Path) -> None:
    text = "a.v0: {class: 'mine:Match', args: {samples_jsonl: s.jsonl}}"
    with pytest.raises(SuiteError, match="mine:Match is code"):
        import_openai_evals(write_files(tmp_path, {"a.yaml": text, "s.jsonl": jsonl(FRANCE)}) / "a.yaml", VOCABULARY)


def test_match_samples_greedily_and_fuzzy_match_takes_its_own_limit(tmp_path: Path) -> None:
    args = "max_tokens: 7"
    assert imported(tmp_path / "a", "basic.match:Match", FRANCE, args=args).suites[0].sampling == {"temperature": 0}
    fuzzy = imported(tmp_path / "b", "basic.fuzzy_match:FuzzyMatch", FRANCE, args=args)
    assert fuzzy.suites[0].sampling == {"temperature": 0, "max_tokens": 7}


def test_examples_stand_before_the_last_message(tmp_path: Path) -> None:
    shots = [{"sample": [{"role": "system", "name": "example_user", "content": f"{i}?"}]} for i in range(3)]
    registry = (
        "a.v0: {class: 'evals.elsuite.basic.match:Match', "
        "args: {samples_jsonl: s.jsonl, few_shot_jsonl: f.jsonl, num_few_shot: 2}}"
    )
    files = {"a.yaml": registry, "s.jsonl": jsonl(FRANCE, ITALY), "f.jsonl": jsonl(*shots)}
    done = import_openai_evals(write_files(tmp_path, files) / "a.yaml", VOCABULARY)
    assert done.complete
    asked = prompts(planned(done, tmp_path / "out"))["sample-002"]
    assert [content for _, content in asked] == ["Answer {{ briefly }}.", "0?", "1?", "Capital of Italy?"]


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({"input": "x", "ideal": ['{"a": 1}', '{"a": 2}']}, "several ideals"),
        ({"input": "x", "ideal": '{"a": null}'}, "holds null"),
        ({"input": "x", "ideal": "{"}, "make no json-diff"),
        ({"input": "x"}, "no `ideal`"),
        ({"input": "x", "ideal": {"a": 1}}, "is no text"),
    ],
)
def test_what_json_match_could_not_decide_alike_is_left_out(
    tmp_path: Path, sample: dict[str, object], words: str
) -> None:
    done = imported(tmp_path, "basic.json_match:JsonMatch", {"input": "x", "ideal": '{"a": 7}'}, sample)
    assert len(done.suites[0].rows) == 1
    assert any(words in note for note in lost(done))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("metaeval: true", "metaeval"),
        ("multicomp_n: 3", "multicomp_n"),
        ("modelgraded_spec_args: {criteria: 7}", "criteria"),
    ],
)
def test_graded_evals_that_ask_something_else_are_named(tmp_path: Path, args: str, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        imported(
            tmp_path, "modelgraded.classify:ModelBasedClassify", FRANCE, args=f"modelgraded_spec: closedqa\n    {args}"
        )


def test_one_eval_without_samples_does_not_end_the_import(tmp_path: Path) -> None:
    registry = "\n".join(
        f"{name}: {{class: 'evals.elsuite.basic.match:Match', args: {{samples_jsonl: {name}.jsonl}}}}" for name in "ab"
    )
    done = import_openai_evals(
        write_files(tmp_path, {"r.yaml": registry, "b.jsonl": jsonl(FRANCE)}) / "r.yaml", VOCABULARY
    )
    assert [suite.name for suite in done.suites] == ["b"]
    assert any("there are no samples a.jsonl" in note for note in lost(done))
