"""DeepEval: goldens and test cases from JSON or CSV files, and the literal parts of Python test files.

Python files are parsed, never run. Format: https://deepeval.com/docs/evaluation-datasets.

Metrics become types of ours where they ask the same (`ExactMatchMetric` → equals, `GEval` with a criterion → g-eval,
`JsonCorrectnessMetric` → is-json, `PatternMatchMetric` → regex); all others keep their name as `deepeval:<Metric>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.importers.deepeval_python import read_python
from llmgate.suite.importers.files import read_csv, read_source
from llmgate.suite.importers.result import Imported, ImportedSuite, Notebook
from llmgate.suite.importers.table import id_column, literal, slug, table, texts

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.asserts import Json, Vocabulary

__all__ = ["import_deepeval"]

_COLUMNS: Final = {
    "input": "input",
    "expectedOutput": "expected_output",
    "expected_output": "expected_output",
    "context": "context",
    "retrievalContext": "retrieval_context",
    "retrieval_context": "retrieval_context",
    "expectedTools": "expected_tools",
    "expected_tools": "expected_tools",
    "sourceFile": "source_file",
    "source_file": "source_file",
    "name": "name",
    "comments": "comments",
}
_LISTS: Final = frozenset({"context", "retrieval_context"})
_SEPARATOR: Final = re.compile(r"[|;]")
_RECORDED: Final = frozenset({"actual_output", "actualOutput", "tools_called", "toolsCalled"})
_METADATA: Final = frozenset({"additional_metadata", "additionalMetadata", "metadata"})


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
        found, metrics = read_python(path, notes)
    elif path.suffix == ".csv":
        found = [(row, f"{path}:{line}") for line, row in read_csv(path)]
    else:
        source = read_source(path)
        found = [(one, source.where(i)) for i, one in enumerate(cases_in(source.data))]
        metrics = [(metric, str(path)) for metric in metrics_in(source.data)]
    records, names = [], []
    for one, where in found:
        record = columns(one, where, notes)
        if record:
            records.append(record)
            names.append(str(record.get("name") or "") or None)
    if not records:
        why = "; ".join(map(str, notes.notes[:3])) or "A case has an `input`"
        raise SuiteError("there is no case that can be carried over", where=str(path), fix=why)
    also = ("expected_output",)
    column = id_column({key for record in records for key in record})
    rows = table(records, names, column=column, also=also, prefix="golden")
    asserts = []
    for metric, where in metrics:
        written = converted(metric, where, notes)
        if written and written not in asserts and notes.accepts(written, rows[0], where):
            asserts.append(written)
    if not asserts:
        notes.lost("there is no metric to carry over, so nothing is checked: DeepEval keeps metrics in code", str(path))
    suite = ImportedSuite(
        name=slug(path.stem),
        prompt=({"role": "user", "content": "{{ input }}"},),
        rows=rows,
        asserts=tuple(asserts),
        case={} if column == "id" else {"id": column},
        notes=notes.notes,
    )
    return Imported(suites=(suite,), notes=notes.notes)


def cases_in(data: Any) -> list[Any]:
    """The goldens or test cases of a JSON file: a list, or what a test run or data set holds."""
    if isinstance(data, Mapping):
        inner = data.get("testRunData")
        holder = inner if isinstance(inner, Mapping) else data
        for key in ("goldens", "testCases", "test_cases", "data"):
            if isinstance(holder.get(key), list):
                return list(holder[key])
        return []
    return data if isinstance(data, list) else []


def metrics_in(data: Any) -> list[Mapping[str, Any]]:
    """The metrics that a test run names, each once, as mappings with `metric` and `threshold`."""
    found: dict[str, Mapping[str, Any]] = {}
    for case in cases_in(data):
        listed = case.get("metricsData") or case.get("metrics_data") if isinstance(case, Mapping) else None
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, Mapping) and one.get("name"):
                name = str(one["name"])
                found.setdefault(name, {"metric": class_name(name), "threshold": one.get("threshold"), "name": name})
    return list(found.values())


def class_name(name: str) -> str:
    """`Answer Relevancy` → `AnswerRelevancyMetric`; `Tone [GEval]` → `GEval`."""
    for special in ("GEval", "DAG", "Arena GEval"):
        if name.endswith((f"[{special}]", f"({special})")):
            return special.replace(" ", "")
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", name)) + "Metric"


def columns(one: Any, where: str, notes: Notebook) -> dict[str, Json] | None:
    """The columns of one golden, or None if it has no single input, which is noted."""
    if not isinstance(one, Mapping) or not isinstance(one.get("input"), str):
        what = "a conversation" if isinstance(one, Mapping) and (one.get("scenario") or one.get("turns")) else "a case"
        notes.lost(f"{what} without a single `input` text", where)
        return None
    record: dict[str, Json] = {}
    for key, value in one.items():
        if value in (None, ""):
            continue
        if key in _COLUMNS:
            name = _COLUMNS[key]
            record[name] = listed(value) if name in _LISTS else value
        elif key in _RECORDED:
            notes.remark("recorded answers are not carried over: every case is asked", None)
        elif key in _METADATA:
            facts = decoded(value)
            record |= {k: v for k, v in facts.items() if k not in record} if isinstance(facts, dict) else {}
    return record


def listed(value: Any) -> Json:
    """A list of texts; CSV files hold it as JSON, or with separators."""
    if not isinstance(value, str):
        return list(texts(value))
    found = decoded(value)
    return list(texts(found)) if isinstance(found, list) else [p.strip() for p in _SEPARATOR.split(value) if p.strip()]


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
    if kind == "ExactMatchMetric":
        notes.remark("ExactMatchMetric became `equals`, which does not trim white space first", where)
        return {"type": "equals", "value": "{{ expected_output }}", "metric": own["metric"]}
    if kind == "PatternMatchMetric" and isinstance(metric.get("pattern"), str):
        fold = "(?i)" if metric.get("ignore_case") else ""
        return {"type": "regex", "value": literal(f"{fold}^(?:{metric['pattern']})$"), "metric": own["metric"]}
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
        told = "\n\nExpected output: {{ expected_output }}" if "EXPECTED_OUTPUT" in texts(metric.get("params")) else ""
        return {"type": "g-eval", "value": literal(value) + told, **own, **config}
    return {"type": f"deepeval:{kind}", **own}
