"""DeepEval: goldens and test cases from JSON or CSV files, and the literal parts of Python test files.

Python files are parsed, never run. Format: https://deepeval.com/docs/evaluation-datasets.

Metrics become types of ours where they ask the same (`ExactMatchMetric` → exact-match, `GEval` with a criterion →
g-eval, `JsonCorrectnessMetric` → is-json, `PatternMatchMetric` → regex); all others keep their name as
`deepeval:<Metric>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.importers.deepeval_python import read_python
from llmgate.suite.importers.files import listing, mapping, read_csv, read_source
from llmgate.suite.importers.result import Imported, Notebook
from llmgate.suite.importers.table import literal, slug, suite_of, texts

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.asserts import Json, Vocabulary

__all__ = ["import_deepeval"]

_COLUMNS: Final = frozenset(
    {"input", "expected_output", "context", "retrieval_context", "expected_tools", "source_file", "name", "comments"}
)
_LISTS: Final = frozenset({"context", "retrieval_context"})
_ARGUMENTS: Final = frozenset(
    {
        *("metric", "name", "params", "threshold", "criteria", "evaluation_steps", "pattern", "ignore_case"),
        *("expected_schema", "strict_mode", "model", "async_mode", "include_reason", "verbose_mode", "flaky"),
        *("evaluation_params",),
    }
)
"""What is read of a metric, and what only says how it is run."""
_SEPARATOR: Final = re.compile(r"[|;]")
_CAPITAL: Final = re.compile("[A-Z]")


def import_deepeval(path: Path, vocabulary: Vocabulary) -> Imported:
    """Read a data set, the results of a test run, or a Python test file.

    Args:
        path: A `.json`, `.csv`, `.jsonl` or `.py` file.
        vocabulary: The assert types that exist.

    Raises:
        SuiteError: If it cannot be read, or holds no case.
    """
    notes = Notebook(vocabulary)
    metrics: list[tuple[Mapping[str, Any], str]] = []
    if path.suffix == ".py":
        goldens, metrics = read_python(path, notes)
    elif path.suffix == ".csv":
        goldens = [(row, f"{path}:{line}") for line, row in read_csv(path)]
    else:
        source = read_source(path)
        goldens = [(golden, source.where(i)) for i, golden in enumerate(cases_in(source.data))]
        metrics = [(metric, str(path)) for metric in metrics_in(source.data)]
    records = [record for golden, where in goldens if (record := columns(golden, where, notes))]
    if not records:
        why = notes.why("A case has an `input`")
        raise SuiteError("there is no case that can be carried over", where=str(path), fix=why)
    unchecked = "there is no metric to carry over, so nothing is checked: DeepEval keeps metrics in code"
    suite = suite_of(
        records,
        ((written, where) for metric, where in metrics if (written := converted(metric, where, notes))),
        notes,
        name=slug(path.stem),
        prompt=({"role": "user", "content": "{{ input }}"},),
        names=[str(record.get("name") or "") or None for record in records],
        also=("expected_output",),
        prefix="golden",
        unchecked=(unchecked, str(path)),
    )
    return Imported(suites=(suite,), notes=notes.notes)


def cases_in(data: Any) -> list[Any]:
    """The goldens or test cases of a JSON file: a list, or what a test run or data set holds."""
    if isinstance(data, Mapping):
        run = data.get("testRunData")
        holder = run if isinstance(run, Mapping) else data
        lists = (holder.get(key) for key in ("goldens", "testCases", "test_cases", "data"))
        data = next((cases for cases in lists if isinstance(cases, list)), None)
    return listing(data)


def metrics_in(data: Any) -> list[Mapping[str, Any]]:
    """The metrics that a test run names, each once, as mappings with `metric` and `threshold`."""
    metrics: dict[str, Mapping[str, Any]] = {}
    for case in map(mapping, cases_in(data)):
        for metric in map(mapping, listing(case.get("metricsData") or case.get("metrics_data"))):
            if metric.get("name"):
                name = str(metric["name"])
                written = {"metric": class_name(name), "threshold": metric.get("threshold"), "name": name}
                metrics.setdefault(name, written)
    return list(metrics.values())


def class_name(name: str) -> str:
    """`Answer Relevancy` → `AnswerRelevancyMetric`; `Tone [GEval]` → `GEval`."""
    for special in ("GEval", "DAG", "Arena GEval"):
        if name.endswith((f"[{special}]", f"({special})")):
            return special.replace(" ", "")
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", name)) + "Metric"


def columns(golden: Any, where: str, notes: Notebook) -> dict[str, Json] | None:
    """The columns of one golden, or None if it has no single input, which is noted."""
    if not isinstance(mapping(golden).get("input"), str):
        what = "a conversation" if mapping(golden).get("scenario") or mapping(golden).get("turns") else "a case"
        notes.lost(f"{what} without a single `input` text", where)
        return None
    record: dict[str, Json] = {}
    for key, value in golden.items():
        # JSON files of DeepEval write `expectedOutput`, its Python and CSV files `expected_output`.
        name = _CAPITAL.sub(lambda letter: f"_{letter[0].lower()}", str(key))
        if value in (None, ""):
            continue
        if name in _COLUMNS:
            record[name] = listed(value) if name in _LISTS else value
        elif name in {"actual_output", "tools_called"}:
            notes.remark("recorded answers are not carried over: every case is asked", None)
        elif name in {"additional_metadata", "metadata"}:
            facts = mapping(decoded(value))
            record |= {column: fact for column, fact in facts.items() if column not in record}
    return record


def listed(value: Any) -> Json:
    """A list of texts; CSV files hold it as JSON, or with separators."""
    if not isinstance(value, str):
        return list(texts(value))
    items = decoded(value)
    if isinstance(items, list):
        return list(texts(items))
    return [part.strip() for part in _SEPARATOR.split(value) if part.strip()]


def decoded(value: Any) -> Any:
    """JSON in a cell, or the value itself."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def converted(metric: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Json] | None:
    """The assert that stands for a metric, None if it has none, which is noted."""
    kind = str(metric["metric"])
    threshold = metric.get("threshold")
    own: dict[str, Json] = {} if not isinstance(threshold, int | float) else {"threshold": threshold}
    own |= {"metric": slug(str(metric.get("name") or kind))}
    for key in sorted(set(map(str, metric)) - _ARGUMENTS):
        notes.lost(f"{kind}: the argument {key}", where)
    if metric.get("strict_mode"):
        own["threshold"] = 1
    if kind in {"ExactMatchMetric", "PatternMatchMetric"}:
        return compared(kind, metric, own["metric"], where, notes)
    if kind == "JsonCorrectnessMetric":
        notes.lost("the schema of JsonCorrectnessMetric is a Python class; is-json checks without one", where)
        return {"type": "is-json", "metric": own["metric"]}
    if kind in {"GEval", "ArenaGEval", "DAG", "DAGMetric"}:
        criterion = metric.get("criteria")
        steps = metric.get("evaluation_steps")
        if kind != "GEval" or not (isinstance(criterion, str) or isinstance(steps, list)):
            notes.lost(f"the metric {metric.get('name') or kind}: its criterion is not in the file", where)
            return None
        value = criterion if isinstance(criterion, str) else "\n".join(texts(steps))
        config: dict[str, Json] = {"config": {"steps": list(texts(steps))}} if isinstance(steps, list) else {}
        # The judge knows the expected answer only if the criterion tells it.
        compares = "EXPECTED_OUTPUT" in texts(metric.get("params"))
        expected = "\n\nExpected output: {{ expected_output }}" if compares else ""
        return {"type": "g-eval", "value": literal(value) + expected, **own, **config}
    return {"type": f"deepeval:{kind}", **own}


def compared(kind: str, metric: Mapping[str, Any], name: Json, where: str, notes: Notebook) -> dict[str, Json] | None:
    """The assert of a metric that compares texts, white space around them aside."""
    shared: dict[str, Json] = {"transform": ["trim"], "metric": name}
    if kind == "ExactMatchMetric":
        value = "{{ expected_output | trim }}"
        return {"type": "exact-match", "value": value, "config": {"normalise": "none"}, **shared}
    pattern = metric.get("pattern")
    if not isinstance(pattern, str):
        notes.lost("the metric PatternMatchMetric: its pattern is not in the file", where)
        return None
    # `(?u)` has the pattern read as Python reads it.
    whole = f"{'(?iu)' if metric.get('ignore_case') else '(?u)'}\\A(?:{pattern.strip()})\\Z"
    return {"type": "regex", "value": literal(whole), **shared}
