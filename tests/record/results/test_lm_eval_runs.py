"""lm-eval's averages: nothing can be compared by them, so the samples of the same run are taken."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import RecordError
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import load_results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TIME = "2026-11-28T08-24-31.123456"


def averages(*tasks: str, mean: float = 0.5, documents: int = 4, up: bool = True) -> dict[str, Any]:
    metrics = [{"metric": "acc", "aggregation": "mean", "higher_is_better": up}]
    return {
        "results": {task: {"alias": task, "acc,none": mean, "acc_stderr,none": 0.1} for task in tasks},
        "configs": {task: {"task": task, "metric_list": metrics} for task in tasks},
        "n-samples": {task: {"original": 9, "effective": documents} for task in tasks},
        "higher_is_better": {task: {"acc": up} for task in tasks},
        "n-shot": dict.fromkeys(tasks, 0),
        "lm_eval_version": "0.4.13",
    }


def samples(right: Sequence[int] = (1, 0, 1, 0), filters: Sequence[str] = ("none",)) -> str:
    return "".join(
        json.dumps({"doc_id": i, "doc": {"q": i}, "resps": [["x"]], "filter": one, "metrics": ["acc"], "acc": float(score)}) + "\n"
        for one in filters
        for i, score in enumerate(right)
    )  # fmt: skip


def written(folder: Path, *tasks: str, time: str = TIME, right: Sequence[int] = (1, 0, 1, 0), **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        (folder / f"samples_{task}_{time}.jsonl").write_text(samples(right), encoding="utf-8")
    path = folder / f"results_{time}.json"
    path.write_text(json.dumps(averages(*tasks, **more), indent=2), encoding="utf-8")
    return path


def test_the_samples_beside_it_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "arith")
    written(tmp_path, "arith", time="2026-11-27T01-02-03.000001", right=(0, 0, 0, 0), mean=0.0)
    found = load_results(path)
    assert (found.format, found.main) == ("lm-eval", ("acc",))
    (table,) = found.tables
    assert [row.score for row in table.rows()] == [1.0, 0.0, 1.0, 0.0]
    assert load_results(tmp_path / f"samples_arith_{TIME}.jsonl").main == ("acc",)


def test_packed_samples_and_a_name_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "monday-results-new.json"
    path.write_text(json.dumps(averages("arith")), encoding="utf-8")
    (tmp_path / "monday-samples-new.jsonl.gz").write_bytes(gzip.compress(samples().encode()))
    (tmp_path / "monday-samples-old.jsonl").write_text(samples((0, 0, 0, 0)), encoding="utf-8")
    (table,) = load_results(path).tables
    assert float(table.scores.mean()) == 0.5


def test_several_tasks_are_a_metric_each(tmp_path: Path) -> None:
    path = written(tmp_path, "arith", "history")
    found = load_results(path)
    assert found.main == ("arith/acc", "history/acc")
    assert [len(table.items) for table in found.tables] == [4, 4]
    assert not any(table.errors for table in found.tables)
    (one,) = load_results(path, Layout(only=(("task", "arith"),))).tables
    assert one.metric == "arith/acc"


def test_a_group_has_no_samples_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "arith", "history")
    data = json.loads(path.read_text(encoding="utf-8"))
    data["results"]["both"] = {"acc,none": 0.9}
    path.write_text(json.dumps(data), encoding="utf-8")
    assert load_results(path).main == ("arith/acc", "history/acc")


def test_averages_alone_decide_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "arith")
    (tmp_path / f"samples_arith_{TIME}.jsonl").unlink()
    (tmp_path / "samples_arith_2026-11-27T01-02-03.000001.jsonl").write_text(samples(), encoding="utf-8")
    with pytest.raises(RecordError, match=r"averages only, which cannot be compared.*lm_eval --log_samples"):
        load_results(path)
    written(tmp_path, "arith", "history")
    (tmp_path / f"samples_history_{TIME}.jsonl").unlink()
    with pytest.raises(RecordError, match=r"no samples of the task 'history' lie beside it.*--log_samples"):
        load_results(path)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"documents": 5}, "holds 4 documents of 'arith', and its run had 5"),
        ({"mean": 0.75}, r"acc \(none\) comes to 0.5 there, and its run says 0.75. Give the samples of its run"),
        ({"up": False}, "of 'acc' the lower score is better"),
    ],
)
def test_samples_of_another_run_are_refused(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError, match=says):
        load_results(written(tmp_path, "arith", **more))


def test_two_filters_are_two_metrics(tmp_path: Path) -> None:
    path = written(tmp_path, "arith")
    data = json.loads(path.read_text(encoding="utf-8"))
    data["results"]["arith"] = {"acc,strict-match": 0.5, "acc,flexible-extract": 0.5}
    path.write_text(json.dumps(data), encoding="utf-8")
    text = samples(filters=("strict-match", "flexible-extract"))
    (tmp_path / f"samples_arith_{TIME}.jsonl").write_text(text, encoding="utf-8")
    assert load_results(path).main == ("acc,flexible-extract", "acc,strict-match")


def test_a_task_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text(samples(), encoding="utf-8")
    inside = tmp_path / "out"
    inside.mkdir()
    path = inside / "results.json"
    path.write_text(json.dumps(averages("x/../../secret")), encoding="utf-8")
    with pytest.raises(RecordError, match="averages only"):
        load_results(path)
