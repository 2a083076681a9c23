"""The schemas that editors use: current, agreeing with the readers, and catching what people misspell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from llmgate.cli import main

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "schema"
SUITES = sorted((ROOT / "suites").glob("*.yaml"))
BLOCKS = [
    (f"{page.stem}-{match['title']}", match["content"])
    for page in sorted((ROOT / "docs" / "cookbook").glob("*.md"))
    for match in re.finditer(
        r"^```yaml title=(?P<title>\S+)\n(?P<content>.*?)^```$", page.read_text("utf-8"), re.M | re.S
    )
]
OWN_CHECKS = "custom-checks"
"""A page whose suites use types that only the example knows."""
MISSPELT = {"assertions-typo.yaml", "policies-misspelt.yaml"}
"""Shown for what is said about them."""


def validator(kind: str) -> Draft202012Validator:
    schema = json.loads((PUBLISHED / f"{kind}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def complaints(kind: str, data: Any) -> list[str]:
    # JSON has no dates; YAML 1.2, which editors read, has none either.
    return [error.message for error in validator(kind).iter_errors(json.loads(json.dumps(data, default=str)))]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_our_suites_fit(path: Path) -> None:
    assert complaints("suite", yaml.safe_load(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(("name", "content"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_the_suites_and_policies_of_the_cookbook_fit(name: str, content: str) -> None:
    data = yaml.safe_load(content)
    if name.startswith(OWN_CHECKS) or not isinstance(data, dict):
        pytest.skip("has checks of its own, or is no suite")
    kind = next((kind for key, kind in {"llmgate": "suite", "llmgate-policy": "policy"}.items() if key in data), None)
    if kind is None:
        pytest.skip("is neither a suite nor a policy")
    assert bool(complaints(kind, data)) == (name in MISSPELT)


SUITE: dict[str, Any] = {
    "llmgate": 1,
    "suite": "s",
    "version": "1",
    "dataset": "rows.jsonl",
    "prompt": [{"role": "user", "content": "{{ q }}"}],
    "assert": [{"type": "icontains", "value": "x"}],
}


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"gate": {"accuracy": {"margin": 0.03}}},
        {"gate": {"metrics": {"accuracy": {"min": 0.8}}, "slices": ["topic"], "slice-alpha": 0.02}},
        {"gate": {"metrics": {}, "slices": {"fields": ["topic"], "min-cases": 30}, "inconclusive": "allow"}},
        {"drift": False},
        {"drift": {"refusals": {"margin": 0.05}, "length": "watch", "schema": "off", "embeddings": False}},
        {"serving": {"gate": {"output_throughput": {"margin": 0.05}, "ttft_p95_ms": {"role": "watch"}}}},
        {"serving": {"max": {"p95_ttft_ms": 500}, "goodput": {"ttft_ms": 500}, "pairs": 6}},
        {"serving": {"workload": "prompts", "arrivals": "closed"}},
        {"serving": {"workload": {"random": {"input": "64..256", "output": [8, 16]}}}},
        {"serving": {"workload": {"shared-prefix": {"prefix": 512, "input": 64}}}},
        {
            "serving": {
                "workload": {"trace": {"file": "t.jsonl", "max-input": 99}},
                "arrivals": {"ramp": {"from": 1, "to": 2}},
            }
        },
        {"prompt": "prompts/support.md"},
        {"prompt": {"messages": "conversation"}},
        {"assert": [{"type": "not-rouge-n", "value": "x", "threshold": "0.5"}]},
        {"assert": [{"type": "ragas:Faithfulness"}, {"type": "not-deepeval:BiasMetric"}]},
        {"assert": [{"type": "assert-set", "assert": [{"type": "is-json"}], "threshold": 0.5}]},
    ],
)
def test_every_form_fits(good: dict[str, Any]) -> None:
    assert complaints("suite", {**SUITE, **good}) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"datset": "x"},
        {"llmgate": 2},
        {"assert": [{"type": "icontain", "value": "x"}]},
        {"assert": [{"type": "icontains", "value": "x", "treshold": 1}]},
        {"assert": [{"type": "icontains", "value": "x", "config": {"unit": "words"}}]},
        {"gate": {"accuracy": {"margn": 0.03}}},
        {"gate": {"metrics": {"accuracy": {"role": "main"}}}},
        {"gate": {"metrics": {}, "slices": {"field": ["topic"]}}},
        {"gate": {"metrics": {}, "waivers": [{"metric": "accuracy", "by": "Ada", "reason": "known"}]}},
        {"drift": {"refusal": "watch"}},
        {"drift": {"length": {"magrin": 0.2}}},
        {"drift": {"length": "primary"}},
        {"serving": {"gate": {"median_tfft_ms": {}}}},
        {"serving": {"max": {"output_throughput": "fast"}}},
        {"serving": {"pairs": 5}},
        {"serving": {"workload": "random"}},
        {"serving": {"workload": {"random": {"input": 5}, "trace": {"file": "t.jsonl"}}}},
        {"serving": {"arrivals": {"poisson": {"rate": 0}}}},
        {"sampling": {"temperature": -1}},
        {"prompt": []},
        {"repeat": 0},
    ],
)
def test_what_the_reader_refuses_is_underlined(bad: dict[str, Any]) -> None:
    assert complaints("suite", {**SUITE, **bad}) != []


def test_every_key_is_explained() -> None:
    schema = json.loads((PUBLISHED / "suite.schema.json").read_text("utf-8"))
    mute = [
        f"{name}.{key}"
        for name, part in {"suite": schema, **schema["$defs"]}.items()
        for key, value in part.get("properties", {}).items()
        if "description" not in value and name not in {"SamplingPart", "JudgePart"}
    ]
    assert mute == [], "sampling's keys are those of the request; all others need a docstring"


def test_own_checks_are_completed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conftest.py").write_text(
        "import llmgate\n\n\n@llmgate.check('polite', version='1', settings=['tone'])\n"
        "def polite(output, *, value):\n    return True\n"
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["schema", "suite"])
    assert done.exit_code == 0, done.output
    schema = json.loads(done.output)
    names = schema["$defs"]["AssertPart"]["properties"]["type"]["anyOf"][0]["enum"]
    assert {"polite", "not-polite", "icontains"} <= set(names)
    suite = {**SUITE, "assert": [{"type": "polite", "value": "x", "config": {"tone": "warm"}}]}
    assert list(Draft202012Validator(schema).iter_errors(suite)) == []
