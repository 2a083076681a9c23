"""A suite file is taken as it is meant, or refused with line and advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.errors import SuiteError
from llmgate.record.policy import Aggregate, Role
from llmgate.suite.form.document import read_document
from llmgate.suite.prompt.entries import PromptMessage
from llmgate.suite.spec import Suite, load_suite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmgate.suite.asserts import AssertSpec

GOOD = """\
llmgate: 1
suite: facts
version: 1.0.0
description: Short facts.
dataset: data/facts.jsonl
case: {id: id, cluster: page, slices: [topic]}
prompt:
  - {role: system, content: "Answer briefly."}
  - {role: user, content: "{{ question }}"}
sampling: {temperature: 0, max_tokens: 24, seed: 7}
repeat: 2
assert:
  - {type: icontains, value: "{{ answer }}"}
  - {type: not-regex, value: "as an AI", metric: manners, required: true, weight: 2}
  - {type: llm-rubric, value: "Is polite", metric: tone}
gate:
  accuracy: {role: primary, margin: 0.05, min: 0.3}
serving: {concurrency: 4, requests: 16}
"""


class Vocabulary:
    names = frozenset({"equals", "icontains", "regex", "llm-rubric"})

    def is_judge(self, name: str) -> bool:
        return name == "llm-rubric"

    def version(self, name: str) -> str:
        return "1" if name in self.names else "?"

    def validate(self, spec: AssertSpec, columns: Mapping[str, object]) -> None:
        pass


def load(tmp_path: Path, text: str) -> Suite:
    path = tmp_path / "facts.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path, Vocabulary())


@pytest.mark.parametrize(
    ("name", "fix"),
    [("icontain", "Did you mean icontains"), ("not-regex", "Write regex"), ("Regex", "Did you mean regex")],
)
def test_default_thresholds_for_no_type_are_refused(tmp_path: Path, name: str, fix: str) -> None:
    text = GOOD.replace("repeat: 2", f"defaults:\n  threshold:\n    equals: 0.5\n    {name}: 0.5")
    with pytest.raises(SuiteError, match=rf"facts.yaml:14: a default threshold for '{name}'.*{fix}"):
        load(tmp_path, text)


def test_everything_that_is_written_arrives(tmp_path: Path) -> None:
    suite = load(tmp_path, GOOD)
    assert (suite.name, suite.version, suite.repeat) == ("facts", "1.0.0", 2)
    assert suite.source.path == (tmp_path / "data/facts.jsonl").resolve()
    assert (suite.id_column, suite.cluster_column, suite.slice_columns) == ("id", "page", ("topic",))
    assert [message.role for message in suite.prompt if isinstance(message, PromptMessage)] == ["system", "user"]
    assert suite.sampling == {"temperature": 0, "max_tokens": 24, "seed": 7}
    regex = suite.asserts[1]
    assert (regex.type, regex.negated, regex.name, regex.required, regex.weight) == (
        "regex",
        True,
        "not-regex",
        True,
        2,
    )
    assert regex.where == f"{tmp_path}/facts.yaml:14"
    assert suite.serving is not None
    assert suite.serving.concurrency == 4
    policies = {metric.metric: metric for metric in suite.metrics}
    assert (policies["accuracy"].margin, policies["accuracy"].min) == (0.05, 0.3)
    assert policies["accuracy"].aggregate is Aggregate.ALL
    assert policies["manners"].role is Role.WATCH
    assert policies["tone"].role is Role.WATCH


def test_without_a_gate_all_that_no_judge_scores_is_primary(tmp_path: Path) -> None:
    suite = load(tmp_path, GOOD.replace("gate:\n  accuracy: {role: primary, margin: 0.05, min: 0.3}\n", ""))
    assert {metric.metric: metric.role for metric in suite.metrics} == {
        "accuracy": Role.PRIMARY,
        "manners": Role.PRIMARY,
        "tone": Role.WATCH,
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("llmgate: 1", "llmgate: 2", 1, "suite format is 2, and this llmgate reads format 1"),
        ("llmgate: 1", "llmgate: true", 1, "suite format is True"),
        ("llmgate: 1\n", "", 1, "does not say which suite format.*Write `llmgate: 1`"),
        ("suite: facts", "siute: facts", 2, "unknown key 'siute'. Did you mean suite?"),
        ("suite: facts", "suite: 'a b'", 2, "suite: string should match pattern"),
        ("version: 1.0.0", "version: 1.0", 3, "version: input should be a valid string"),
        ("dataset: data/facts.jsonl\n", "", 1, "the key 'dataset' is missing. Add `dataset:`"),
        ("temperature: 0,", "temprature: 0,", 10, "unknown key 'temprature'. Did you mean temperature?"),
        ("max_tokens: 24", "max_tokens: 0", 10, "sampling.max_tokens: input should be greater than or equal to 1"),
        ("temperature: 0,", "temperature: .nan,", 10, "is not a finite number"),
        ("repeat: 2", "repeat: 0", 11, "repeat: input should be greater than or equal to 1"),
        ("type: icontains", "type: icontain", 13, "unknown assert type 'icontain'. Did you mean icontains?"),
        ("type: not-regex", "type: not-regexp", 14, "unknown assert type 'not-regexp'. Did you mean not-regex?"),
        ("weight: 2", "wieght: 2", 14, "unknown key 'wieght'. Did you mean weight?"),
        ("weight: 2", "weight: -1", 14, "weight: input should be greater than or equal to 0"),
        ("  accuracy: {role", "  acuracy: {role", 17, "no assert feeds the metric 'acuracy'. Did you mean accuracy?"),
        ("margin: 0.05", "margin: 5", 17, "margin is 5.0, but must lie between 0 and 1"),
        ("margin: 0.05", "magrin: 0.05", 17, "unknown key 'magrin'. Did you mean margin?"),
        ("role: primary", "role: primry", 17, "gate.accuracy.role: input should be 'primary', 'guardrail' or 'watch'"),
        (
            "  accuracy: {role: primary",
            "  tone: {unadmited: allow, role: primary",
            17,
            "unknown key 'unadmited'. Did you mean unadmitted",
        ),
        ("role: user", "role: usr", 9, "prompt.1.role: input should be 'system', 'user' or 'assistant'"),
        ("repeat: 2", "repeat: 2\nrepeat: 3", 12, "the key 'repeat' is written twice"),
        ("description: Short facts.", "description: !!python/object:os.system x", 4, "tag .* is not allowed"),
        ("description: Short facts.", "description: [", 6, "not valid YAML"),
        ("concurrency: 4", "concurency: 4", 18, "unknown key 'concurency'. Did you mean concurrency?"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(SuiteError, match=says) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert caught.value.where == f"{tmp_path}/facts.yaml:{line}"


def test_the_digest_covers_the_questions_and_not_the_gate(tmp_path: Path) -> None:
    digest = load(tmp_path, GOOD).digest
    assert load(tmp_path, GOOD.replace("margin: 0.05", "margin: 0.02")).digest == digest
    for old, new in (
        ("briefly", "shortly"),
        ("seed: 7", "seed: 8"),
        ("icontains", "equals"),
        ("repeat: 2", "repeat: 3"),
    ):
        assert load(tmp_path, GOOD.replace(old, new)).digest != digest


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"absent\.yaml: cannot be read"):
        load_suite(tmp_path / "absent.yaml", Vocabulary())
    (tmp_path / "latin.yaml").write_bytes(b"llmgate: 1\nsuite: caf\xe9\n")
    with pytest.raises(SuiteError, match="not UTF-8"):
        load_suite(tmp_path / "latin.yaml", Vocabulary())
    (tmp_path / "list.yaml").write_text("- 1\n", encoding="utf-8")
    with pytest.raises(SuiteError, match="holds no settings"):
        load_suite(tmp_path / "list.yaml", Vocabulary())


def test_a_yaml_bomb_is_refused_at_once(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(["llmgate: 1", *rows]), encoding="utf-8")
    with pytest.raises(SuiteError, match="too large or too deep"):
        read_document(path)
    path.write_text("llmgate: " + "[" * 5000, encoding="utf-8")
    with pytest.raises(SuiteError):
        read_document(path)
