"""Results that were damaged anywhere are read or refused in words, whatever stands where something else belongs."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import LlmgateError
from llmgate.record.results.load import load_results

if TYPE_CHECKING:
    import random
    from pathlib import Path

ODD: list[Any] = [None, True, 0, -1, 2, math.nan, math.inf, 10**400, "", "x", "yes", "\ud800", [], {}, [1], {"a": [1]}]
ASSERTION = {"type": "equals", "metric": "f1", "weight": 2}
GRADING = {
    "pass": True,
    "namedScores": {"f1": 1},
    "namedScoreWeights": {"f1": 2},
    "componentResults": [{"score": 1, "assertion": ASSERTION, "metadata": {"renderedMetric": "f1"}}],
}
PROMPTFOO = [
    {
        "testIdx": i,
        "vars": {"q": i},
        "testCase": {"assert": [ASSERTION], "metadata": {"t": "a"}},
        "provider": {"id": "x", "label": "new"},
        "prompt": {"raw": "x"},
        "success": True,
        "score": 1,
        "failureReason": 0,
        "gradingResult": GRADING,
    }
    for i in range(3)
]
MEASURED = [{"name": "Has", "score": 1, "success": True, "threshold": 0.5, "evaluationModel": "m"}]
SAMPLES = [
    {"doc_id": i, "doc": {"q": i}, "resps": [], "filter": "none", "metrics": ["acc"], "acc": 1} for i in range(3)
]
AVERAGES = {
    "results": {"t": {"acc,none": 1}},
    "configs": {"t": {"metric_list": [{"metric": "acc", "aggregation": "mean"}]}},
    "n-samples": {"t": {"effective": 3}},
    "higher_is_better": {"t": {"acc": True}},
    "lm_eval_version": "0.4.13",
}
FEEDBACK = [{"assessment_name": "right", "feedback": {"value": "yes"}, "source": {"source_type": "CODE"}}]
TRACES = {
    "columns": ["trace_id", "request", "state", "right/value", "right/error_message", "assessments", "trace"],
    "data": [[f"tr-{i}", {"q": i}, "OK", "yes", None, FEEDBACK, {"info": {"assessments": FEEDBACK}}] for i in range(3)],
}
FORMS: dict[str, Any] = {
    "promptfoo.json": {"results": {"version": 3, "results": PROMPTFOO}, "runtimeOptions": {"repeat": 1}},
    "promptfoo.jsonl": PROMPTFOO,
    "deepeval.json": {"testCases": [{"name": str(i), "input": "x", "metricsData": MEASURED} for i in range(3)]},
    "samples.jsonl": SAMPLES,
    "results.json": AVERAGES,
    "mlflow.json": TRACES,
}


def damaged(value: Any, chance: random.Random) -> Any:
    if chance.random() < 0.03:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: damaged(part, chance) for key, part in value.items() if chance.random() > 0.02}
    if isinstance(value, list):
        return [damaged(part, chance) for part in value if chance.random() > 0.02]
    return value


def text_of(value: Any, name: str) -> str:
    return "\n".join(map(json.dumps, value)) if name.endswith("l") and isinstance(value, list) else json.dumps(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("name", FORMS)
def test_undamaged_they_are_read(folder: Path, name: str) -> None:
    (folder / "samples.jsonl").write_text(text_of(SAMPLES, "l"), encoding="utf-8")
    (folder / name).write_text(text_of(FORMS[name], name), encoding="utf-8")
    for table in load_results(folder / name).tables:
        assert (len(table.items), list(table.errors), table.scores.tolist()) == (3, [], [1.0] * 3)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40)
@given(chance=st.randoms(use_true_random=False))
def test_what_is_damaged_is_an_error_in_words(folder: Path, name: str, chance: random.Random) -> None:
    (folder / "samples.jsonl").write_text(text_of(SAMPLES, "l"), encoding="utf-8")
    (folder / name).write_text(text_of(damaged(FORMS[name], chance), name), encoding="utf-8")
    try:
        results = load_results(folder / name)
    except LlmgateError:
        return
    for table in results.tables:
        known = [score for score in table.scores.tolist() if not math.isnan(score)]
        assert all(0.0 <= score <= 1.0 for score in known)
        assert len(known) + len(table.errors) == len(table.items)
