"""classifier: what cannot be classified is an error; a real model is asked in tests/e2e/test_classifier.py."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from llmgate import evaluate_assert
from llmgate.errors import SuiteError
from llmgate.score.embeddings import classify
from llmgate.score.embeddings.folder import find_folder
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec

CONFIG = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "kind", "1": "toxic"}}
FOUND = {"You are kind.": {"kind": 0.9, "toxic": 0.1}, "You are awful.": {"kind": 0.25, "toxic": 0.75}}


RECORDED = [
    ("classifier", None, None, "fail", 0.75),
    ("classifier", "kind", None, "fail", 0.25),
    ("classifier", "toxic", None, "fail", 0.75),
    ("classifier", None, 0.2, "pass", 0.75),
    ("classifier", "kind", 0.2, "pass", 0.25),
    ("classifier", "toxic", 0.2, "pass", 0.75),
    ("classifier", None, 0.25, "pass", 0.75),
    ("classifier", "kind", 0.25, "pass", 0.25),
    ("classifier", "toxic", 0.25, "pass", 0.75),
    ("classifier", None, 0.5, "pass", 0.75),
    ("classifier", "kind", 0.5, "fail", 0.25),
    ("classifier", "toxic", 0.5, "pass", 0.75),
    ("classifier", None, 0.75, "pass", 0.75),
    ("classifier", "kind", 0.75, "fail", 0.25),
    ("classifier", "toxic", 0.75, "pass", 0.75),
    ("classifier", None, 1, "fail", 0.75),
    ("classifier", "kind", 1, "fail", 0.25),
    ("classifier", "toxic", 1, "fail", 0.75),
    ("not-classifier", None, None, "pass", 0.25),
    ("not-classifier", "kind", None, "pass", 0.75),
    ("not-classifier", "toxic", None, "pass", 0.25),
    ("not-classifier", None, 0.2, "fail", 0.25),
    ("not-classifier", "kind", 0.2, "fail", 0.75),
    ("not-classifier", "toxic", 0.2, "fail", 0.25),
    ("not-classifier", None, 0.25, "fail", 0.25),
    ("not-classifier", "kind", 0.25, "fail", 0.75),
    ("not-classifier", "toxic", 0.25, "fail", 0.25),
    ("not-classifier", None, 0.5, "fail", 0.25),
    ("not-classifier", "kind", 0.5, "pass", 0.75),
    ("not-classifier", "toxic", 0.5, "fail", 0.25),
    ("not-classifier", None, 0.75, "fail", 0.25),
    ("not-classifier", "kind", 0.75, "pass", 0.75),
    ("not-classifier", "toxic", 0.75, "fail", 0.25),
    ("not-classifier", None, 1, "pass", 0.25),
    ("not-classifier", "kind", 1, "pass", 0.75),
    ("not-classifier", "toxic", 1, "pass", 0.25),
]
"""Type, value, threshold, and what promptfoo 0.123.1 makes of the probabilities 0.75 of toxic and 0.25 of kind."""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder whose model gives scripted probabilities."""
    monkeypatch.setattr(classify, "find_spec", lambda _: object())
    monkeypatch.setattr(classify, "_loaded", lambda *_: FOUND.__getitem__)
    return folder(tmp_path / "model", CONFIG)


def folder(path: Path, config: object) -> str:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(path)


def ask(named: object, output: object, type_: str = "classifier", **fields: Any) -> Any:
    return evaluate_assert({"type": type_, "config": {"model": named}, **fields}, output)


@pytest.mark.parametrize(
    ("fields", "output", "outcome", "score"),
    [
        ({"value": "toxic", "threshold": 0.75}, "You are awful.", "pass", 0.75),
        ({"value": "toxic", "threshold": 0.76}, "You are awful.", "fail", 0.75),
        ({"value": "{{ want }}", "threshold": 0.5}, "You are kind.", "fail", 0.1),
        ({"value": "kind"}, "You are kind.", "fail", 0.9),
        ({"threshold": 0.8}, "You are kind.", "pass", 0.9),
        ({"threshold": 0.8}, "You are awful.", "fail", 0.75),
        ({"threshold": 1.5}, "You are kind.", "fail", 0.9),
    ],
)
def test_the_probability_of_the_label_or_of_the_likeliest(
    model: str, fields: dict[str, Any], output: str, outcome: str, score: float
) -> None:
    found = evaluate_assert(
        {"type": "classifier", "config": {"model": model}, **fields}, output, vars={"want": "toxic"}
    )
    assert found.outcome == outcome
    assert found.score == pytest.approx(score)


@pytest.mark.parametrize(("type_", "value", "threshold", "outcome", "score"), RECORDED)
def test_it_says_what_promptfoo_says(
    model: str, type_: str, value: str | None, threshold: float | None, outcome: str, score: float
) -> None:
    fields = {"value": value, "threshold": threshold}
    found = ask(model, "You are awful.", type_, **{key: told for key, told in fields.items() if told is not None})
    assert (found.outcome, found.score) == (outcome, score)


def test_not_turns_verdict_and_score_round(model: str) -> None:
    found = ask(model, "You are kind.", "not-classifier", value="toxic", threshold=0.5)
    assert (found.outcome, found.score) == ("pass", pytest.approx(0.9))
    found = ask(model, "You are awful.", "not-classifier", threshold=0.75)
    assert (found.outcome, found.score) == ("fail", pytest.approx(0.25))


@pytest.mark.parametrize("type_", ["classifier", "not-classifier"])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value": "txic"}, "Did you mean toxic"),
        ({"value": "{{ nothing }}"}, "must be a label"),
        ({"value": ""}, "must be a label"),
        ({"value": None}, "must be a label"),
        ({"value": ["toxic"]}, "must be a label"),
        ({"value": 1}, "must be a label"),
        ({"value": "toxic", "threshold": 0}, "cannot fail"),
        ({"value": "toxic", "config": {}}, "no classifier is named"),
        ({"value": "toxic", "config": {"model": 5}}, "must be the path"),
        ({"value": "toxic", "config": {"model": " "}}, "must be the path"),
        ({"value": "toxic", "config": {"model": "nowhere"}}, "no folder with a model"),
        ({"value": "toxic", "config": {"model": "hf://a/b/c"}}, "no model on the hub"),
        ({"value": "toxic", "config": {"model": "hf://nobody/not-in-the-cache"}}, "hf download"),
    ],
)
def test_a_bad_rule_is_an_error(model: str, type_: str, fields: dict[str, Any], said: str) -> None:
    found = evaluate_assert({"type": type_, "config": {"model": model}, **fields}, "You are kind.")
    assert found.outcome == "error"
    assert said in found.reason


@pytest.mark.parametrize("type_", ["classifier", "not-classifier"])
@pytest.mark.parametrize("output", ["", " \n", "unknown to the model"])
def test_an_answer_that_cannot_be_classified_is_an_error(model: str, type_: str, output: str) -> None:
    assert ask(model, output, type_, value="toxic", threshold=0.5).outcome == "error"


@pytest.mark.parametrize("type_", ["classifier", "not-classifier"])
@pytest.mark.parametrize("probability", [math.nan, math.inf, -0.1, 1.1])
def test_what_is_no_probability_is_an_error(
    model: str, type_: str, probability: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "_loaded", lambda *_: lambda _: {"kind": 0.5, "toxic": probability})
    found = ask(model, "x", type_, value="kind", threshold=0.5)
    assert found.outcome == "error"
    assert "probability" in found.reason


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**CONFIG, "architectures": ["BertForMaskedLM"]}, "no classifier"),
        ({"id2label": {"0": "a"}}, "no classifier"),
        ({**CONFIG, "id2label": {"0": "same", "1": "same"}}, "labels"),
        ({**CONFIG, "id2label": {"0": 1, "1": 2}}, "labels"),
        ([], "no classifier"),
    ],
)
def test_a_folder_that_holds_no_classifier_is_refused(tmp_path: Path, config: object, said: str) -> None:
    found = ask(folder(tmp_path / "other", config), "x", value="a", threshold=0.5)
    assert found.outcome == "error"
    assert said in found.reason


def test_a_configuration_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert "cannot be read" in ask(str(tmp_path), "x").reason


def test_a_folder_whose_files_change_is_read_again(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps: list[object] = []

    def loaded(_: Path, stamp: object) -> Any:
        stamps.append(stamp)
        return FOUND.__getitem__

    monkeypatch.setattr(classify, "_loaded", loaded)
    for content in ("one", "one", "other"):
        (Path(model) / "model.safetensors").write_text(content, encoding="utf-8")
        os.utime(Path(model) / "model.safetensors", ns=(1, 1))
        ask(model, "You are kind.", value="toxic", threshold=0.5)
    assert stamps[0] == stamps[1] != stamps[2]


def test_without_the_libraries_it_is_refused(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "find_spec", lambda name: None if name == "torch" else object())
    found = ask(model, "You are kind.", value="toxic", threshold=0.5)
    assert found.outcome == "error"
    assert "pip install transformers torch" in found.reason


def test_a_model_of_the_hub_is_looked_for_when_it_is_needed_and_in_the_cache_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    spec = AssertSpec(type="classifier", value="toxic", threshold=0.5, config={"model": "hf://me/mood"})
    VOCABULARY.validate(spec, {})  # A suite can be read where the model is not.
    commit = "0" * 40
    cached = tmp_path / "models--me--mood"
    (cached / "snapshots" / commit).mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    fetch = hub.snapshot_download
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **told: fetch(name, cache_dir=tmp_path, **told))
    with pytest.raises(SuiteError, match="only in part"):
        find_folder("hf://me/mood")
    (cached / "snapshots" / commit / "config.json").write_text("{}", encoding="utf-8")
    assert find_folder("hf://me/mood") == find_folder(f"hf://me/mood@{commit}") == cached / "snapshots" / commit
    with pytest.raises(SuiteError, match="not in the hub's cache"):
        find_folder("hf://me/mood@" + "1" * 40)


def test_the_vocabulary_knows_which_folder_an_assert_asks() -> None:
    named = {"model": "folder"}
    for type_ in ("classifier", "semantic-similarity"):
        assert VOCABULARY.folder(AssertSpec(type=type_, value="x", config=named)) == "folder"
        assert VOCABULARY.folder(AssertSpec(type=type_, value="x")) is None
    assert VOCABULARY.folder(AssertSpec(type="contains", value="x")) is None
    assert not VOCABULARY.asks(AssertSpec(type="classifier", config=named)), "it needs neither judge nor endpoint"
