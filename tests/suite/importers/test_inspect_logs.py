"""Inspect's eval logs, from both of their forms."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from support.imports import lost, needs_types, outcomes, planned, prompts, write_files

from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.inspect_logs import import_inspect

if TYPE_CHECKING:
    from pathlib import Path


def log(samples: list[dict[str, Any]], *scorers: dict[str, Any], steps: list[dict[str, Any]] | None = None) -> Any:
    return {
        "version": 2,
        "status": "success",
        "eval": {"task": "team/capitals", "model": "openai/gpt-4o", "model_generate_config": {"max_tokens": 20}},
        "plan": {"steps": steps or [{"solver": "generate", "params": {}}], "config": {"temperature": 0.7}},
        "results": {"scores": [{"name": one["scorer"], **one} for one in scorers]},
        "samples": samples,
    }


FRANCE = {"id": 1, "epoch": 1, "input": "Capital of France?", "target": " Paris", "metadata": {"level": "easy"}}
ITALY = {"id": 2, "epoch": 1, "input": [{"role": "user", "content": "Capital of Italy?"}], "target": ["Rome", "Roma"]}
MATCH = {"scorer": "match", "params": {}}


def write_log(tmp_path: Path, data: Any, *, packed: bool) -> Path:
    if not packed:
        return write_files(tmp_path, {"log.json": json.dumps(data)}) / "log.json"
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", json.dumps({key: value for key, value in data.items() if key != "samples"}))
        for sample in data["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_samples_become_rows_and_match_finds_the_target_at_the_end(tmp_path: Path, packed: bool) -> None:
    steps = [
        {"solver": "system_message", "params": {"template": "Answer in {{one}} word."}},
        {"solver": "generate", "params": {}},
    ]
    again = {**FRANCE, "epoch": 2}
    done = import_inspect(
        write_log(tmp_path, log([FRANCE, again, ITALY], MATCH, steps=steps), packed=packed), VOCABULARY
    )
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert suite.suite.name == "capitals"
    assert suite.suite.repeat == 2
    assert (suite.suite.sampling["temperature"], suite.suite.sampling["max_tokens"]) == (0.7, 20)
    assert prompts(suite) == {
        "1": [("system", "Answer in {one} word."), ("user", "Capital of France?")],
        "2": [("system", "Answer in {one} word."), ("user", "Capital of Italy?")],
    }
    assert outcomes(suite, {"1": "It is PARIS.", "2": "roma!"}) == {"1": ["pass"], "2": ["pass"]}
    assert outcomes(suite, {"1": "Paris, I think", "2": "Milan"}) == {"1": ["fail"], "2": ["fail"]}


def test_includes_and_several_scorers_have_a_metric_each(tmp_path: Path) -> None:
    scorers: list[dict[str, Any]] = [
        {"scorer": "inspect_ai/includes", "params": {"ignore_case": False}},
        MATCH,
        {"scorer": "my_code"},
    ]
    done = import_inspect(write_log(tmp_path, log([FRANCE, ITALY], *scorers), packed=False), VOCABULARY)
    assert any("my_code" in note for note in lost(done))
    suite = planned(done, tmp_path / "out")
    assert [spec.metric for spec in suite.suite.asserts] == ["includes", "match"]
    assert outcomes(suite, {"1": "paris", "2": "Roma it is"}) == {"1": ["fail", "pass"], "2": ["pass", "fail"]}


def test_a_target_is_text_whatever_signs_it_holds(tmp_path: Path) -> None:
    sample = {**FRANCE, "target": "{{a}} (b|c)* $5 \\d"}
    done = import_inspect(write_log(tmp_path, log([sample], MATCH), packed=False), VOCABULARY)
    suite = planned(done, tmp_path / "out")
    assert outcomes(suite, {"1": "so: {{a}} (b|c)* $5 \\d"}) == {"1": ["pass"]}
    assert outcomes(suite, {"1": "so: {{a}} b $5 7"}) == {"1": ["fail"]}


@needs_types("choice")
def test_multiple_choice(tmp_path: Path) -> None:
    sample = {**FRANCE, "choices": ["Rome", "Paris"], "target": "B"}
    data = log([sample], {"scorer": "choice"}, steps=[{"solver": "multiple_choice", "params": {}}])
    suite = planned(import_inspect(write_log(tmp_path, data, packed=False), VOCABULARY), tmp_path / "out")
    assert "A) Rome\nB) Paris" in prompts(suite)["1"][0][1]
    assert outcomes(suite, {"1": "B"}) == {"1": ["pass"]}
    assert outcomes(suite, {"1": "A"}) == {"1": ["fail"]}


@needs_types("exact-match", "choice")  # choice came with the transforms
def test_a_pattern_takes_the_answer_out_of_the_text(tmp_path: Path) -> None:
    scorer = {"scorer": "pattern", "params": {"pattern": r"ANSWER: (\w+)"}}
    suite = planned(
        import_inspect(write_log(tmp_path, log([{**FRANCE, "target": "Paris"}], scorer), packed=False), VOCABULARY),
        tmp_path / "o",
    )
    assert outcomes(suite, {"1": "Not Rome. answer: paris"}) == {"1": ["pass"]}
    assert outcomes(suite, {"1": "ANSWER: Rome, not Paris"}) == {"1": ["fail"]}
    assert outcomes(suite, {"1": "Paris"}) == {"1": ["fail"]}


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    steps = [{"solver": "my_agent", "params": {}}]
    scorers = [{"scorer": "pattern", "params": {"pattern": "x(.)(y"}}, {"scorer": "match", "params": {"numeric": True}}]
    image = {
        "id": 3,
        "epoch": 1,
        "input": [{"role": "user", "content": [{"type": "image", "image": "a"}]}],
        "target": "x",
    }
    sandbox = {**FRANCE, "files": {"a": "b"}}
    done = import_inspect(write_log(tmp_path, log([sandbox, image], *scorers, steps=steps), packed=True), VOCABULARY)
    notes = " ".join(map(str, done.notes))
    for words in ("my_agent", "'pattern'", "'match'", "no text", "sandboxes", "every scorer"):
        assert words in notes


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("log.json", "{}", "no eval log"),
        ("log.json", "nonsense", "not JSON"),
        ("log.eval", "nonsense", "not JSON"),
        ("log.eval", "PK nonsense", "cannot be unpacked"),
        ("log.json", json.dumps(log([])), "no sample"),
    ],
)
def test_a_broken_log_is_an_error(tmp_path: Path, name: str, content: str, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        import_inspect(write_files(tmp_path, {name: content}) / name, VOCABULARY)


def test_a_packed_log_without_header_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(SuiteError, match="was not finished"):
        import_inspect(tmp_path / "log.eval", VOCABULARY)


def test_a_log_without_a_model_names_none(tmp_path: Path) -> None:
    data = log([FRANCE], MATCH)
    del data["eval"]["model"]
    done = import_inspect(write_log(tmp_path, data, packed=False), VOCABULARY)
    assert not any("the model is named" in note.what for note in done.notes)
