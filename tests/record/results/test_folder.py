"""A folder for a file: the one in it, or what there is to choose from."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import RecordError
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import load_results

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = '{"item_id": "a", "score": 1}\n'
CASE = {"name": "a", "input": "x", "metricsData": [{"name": "Has", "score": 1, "success": True}]}
DEEPEVAL = json.dumps({"testCases": [CASE]})
MLFLOW = json.dumps({"columns": ["inputs", "right/score"], "data": [["a", 1]]})
JUNIT = '<testsuites><testsuite name="s"><testcase name="a"/></testsuite></testsuites>'


def filled(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ({"a_DOT_jsonl": PLAIN}, "a.jsonl"),
        ({"a_DOT_csv": "item_id,score\na,1\n", "other_DOT_csv": "x,y\n1,2\n"}, "a.csv"),
        (
            {"run__artifacts__eval_results_table_DOT_json": MLFLOW, "run__meta_DOT_json": "{}"},
            "eval_results_table.json",
        ),
        ({"_DOT_deepeval___DOT_latest_run_full_DOT_json": DEEPEVAL}, ".latest_run_full.json"),
        (
            {
                "_DOT_latest_run_full_DOT_json": DEEPEVAL,
                "_DOT_latest_test_run_DOT_json": json.dumps({"testRunData": json.loads(DEEPEVAL)}),
                "test_run_1_DOT_json": DEEPEVAL,
            },
            "json",
        ),
        ({"_DOT_latest_test_run_DOT_json": json.dumps({"testRunData": json.loads(DEEPEVAL)})}, ".latest_test_run.json"),
        ({"junit_DOT_xml": JUNIT, "coverage_DOT_xml": "<coverage/>"}, "junit.xml"),
        # Tables lie about for many reasons.
        ({"junit_DOT_xml": JUNIT, "data_DOT_jsonl": PLAIN}, "junit.xml"),
        ({"a_DOT_jsonl": PLAIN, "b_DOT_jsonl": PLAIN}, "jsonl"),
    ],
)
def test_the_one_file_is_taken(tmp_path: Path, files: dict[str, str], chosen: str) -> None:
    assert load_results(filled(tmp_path, **files)).source.endswith(chosen)


def test_of_several_none_is_chosen(tmp_path: Path) -> None:
    folder = filled(tmp_path, one__r_DOT_json=DEEPEVAL, two__junit_DOT_xml=JUNIT)
    with pytest.raises(RecordError, match=r"holds 2 files of results: one/r.json, two/junit.xml. Name the file"):
        load_results(folder)


def test_many_files_are_not_all_listed(tmp_path: Path) -> None:
    for i in range(9):
        (tmp_path / f"{i}.jsonl").write_text(PLAIN.replace("a", f"a{i}"), encoding="utf-8")
    with pytest.raises(RecordError, match=r"9 files of results: 0.jsonl.*5.jsonl and 3 more"):
        load_results(tmp_path)
    for i in range(300):
        (tmp_path / f"{i}.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match="more than 200 files"):
        load_results(tmp_path)


def test_nothing_to_choose_from(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"holds no results that llmgate knows. Name the file"):
        load_results(tmp_path)
    (tmp_path / "broken.jsonl").write_bytes(b'{"item_id": "\xff"}')
    (tmp_path / "page.xml").write_text("<html/>", encoding="utf-8")
    with pytest.raises(RecordError, match=r"no results that llmgate knows; .*broken.jsonl: not UTF-8 at byte 13. Name"):
        load_results(tmp_path)


def test_links_loops_and_devices_are_passed_over(tmp_path: Path) -> None:
    folder = filled(tmp_path / "out", a_DOT_jsonl=PLAIN)
    (folder / "loop").symlink_to(folder)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.jsonl").write_text(PLAIN.replace("a", "b"), encoding="utf-8")
    (folder / "away").symlink_to(tmp_path / "elsewhere")
    (folder / "gone.jsonl").symlink_to(tmp_path / "gone.jsonl")
    os.mkfifo(folder / "pipe.jsonl")
    deep = folder.joinpath(*"abcdefgh")
    deep.mkdir(parents=True)
    (deep / "deep.jsonl").write_text(PLAIN.replace("a", "deep"), encoding="utf-8")
    assert load_results(folder).source == str(folder / "a.jsonl")


def test_the_column_of_ids_that_was_named_tells_tables(tmp_path: Path) -> None:
    folder = filled(tmp_path, a_DOT_csv="key,right\nx,1\n", b_DOT_csv="other,right\nx,1\n")
    assert load_results(folder, Layout(item="key", scores=("right",))).source.endswith("a.csv")
