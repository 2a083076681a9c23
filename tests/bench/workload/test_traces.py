"""Recorded traffic is read in both forms, or refused with its line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.bench.workload.traces import RecordedRequest, read_trace
from llmgate.errors import DatasetError
from llmgate.record.reach import Reach
from llmgate.record.serving.plan import WorkloadSpec

if TYPE_CHECKING:
    from pathlib import Path

MOONCAKE = [
    {"timestamp": 27000, "input_length": 1500, "output_length": 52, "hash_ids": [46, 47, 48]},
    {"timestamp": 27500, "input_length": 600, "output_length": 26, "hash_ids": [46, 99]},
    {"timestamp": 30000, "input_length": 30, "output_length": 1, "hash_ids": [7]},
]
BURSTGPT = """\
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45.5,ChatGPT,1087,0,1087,Conversation log
118,GPT-4,417,276,693,"API log"
"""


def spec_of(path: Path, **changes: Any) -> WorkloadSpec:
    return WorkloadSpec(kind="trace", path=path, **changes)


def written(tmp_path: Path, *rows: object, name: str = "t.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def test_mooncakes_form(tmp_path: Path) -> None:
    path = written(tmp_path, *MOONCAKE)
    assert read_trace(spec_of(path), 2) == (
        RecordedRequest(at_s=0.0, input=1500, output=52, blocks=(46, 47, 48)),
        RecordedRequest(at_s=0.5, input=600, output=26, blocks=(46, 99)),
    )
    assert [request.at_s for request in read_trace(spec_of(path, unit="s"), 0)] == [0.0, 500.0, 3000.0]


def test_burstgpts_form(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeff" + BURSTGPT.replace("\n", "\r\n"), encoding="utf-8")
    wanted = (RecordedRequest(at_s=0.0, input=472, output=18), RecordedRequest(at_s=113.0, input=417, output=276))
    assert read_trace(spec_of(path), 0) == wanted
    rows = [
        {"Timestamp": 5, "Request tokens": 472, "Response tokens": 18},
        {"Timestamp": 118, "Request tokens": 417, "Response tokens": 276},
    ]
    assert read_trace(spec_of(written(tmp_path, *rows)), 0) == wanted


def test_lengths_are_cut(tmp_path: Path) -> None:
    cut = read_trace(spec_of(written(tmp_path, *MOONCAKE), max_input=512, max_output=30), 0)
    assert [(request.input, request.output) for request in cut] == [(512, 30), (512, 26), (30, 1)]


def row(**changes: object) -> dict[str, object]:
    return {**MOONCAKE[1], **changes}


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("{", "t.jsonl:2: the line is not JSON"),
        ("[" * 5000, "t.jsonl:2: the line is not JSON"),
        ("[]", "t.jsonl:2: the line is no JSON object"),
        ({"timestamp": 1}, "t.jsonl:2: 'input_length' is missing"),
        ({"Timestamp": 1}, "t.jsonl:2: 'Request tokens' is missing"),
        (row(timestamp="soon"), "'timestamp' is 'soon', but must be a number"),
        (row(timestamp=True), "'timestamp' is 'True'"),
        (row(timestamp=-1), "'timestamp' is '-1'"),
        (row(timestamp=10**400), "'timestamp' is '1000"),
        (row(timestamp=1), "the time is before that of the request above"),
        (row(input_length=1.5), "'input_length' is '1.5', but must be a whole number"),
        (row(input_length=10**7), "'input_length' is '10000000', but must be a whole number up to 1000000"),
        (row(output_length=None), "'output_length' is 'None'"),
        (row(hash_ids=["a"]), "'hash_ids' must be a list of whole numbers"),
        (row(hash_ids=7), "'hash_ids' must be a list of whole numbers"),
        ('{"timestamp": NaN, "input_length": 1, "output_length": 1}', "'timestamp' is 'nan'"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path: Path, second: object, says: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_trace(spec_of(written(tmp_path, MOONCAKE[0], second)), 0)
    assert says in str(caught.value)
    assert str(caught.value.where).endswith("t.jsonl:2")


@pytest.mark.parametrize("line", ["7,GPT-4,1,2,3", "7,GPT-4,1,2,3,log,more", '7,"GPT-4,1,2,3,log'])
def test_broken_rows_of_csv(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(BURSTGPT + line + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"t\.csv:5: the row"):
        read_trace(spec_of(path), 0)


def test_files_that_are_no_trace(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the trace has 3 requests with an answer, and 4 are to be sent"):
        read_trace(spec_of(written(tmp_path, *MOONCAKE)), 4)
    with pytest.raises(DatasetError, match="the trace has 0 requests"):
        read_trace(spec_of(written(tmp_path)), 0)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_trace(spec_of(tmp_path / "absent.jsonl"), 1)
    with pytest.raises(DatasetError, match="names no trace"):
        read_trace(WorkloadSpec(kind="trace"), 1)
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_trace(spec_of(tmp_path / "binary.jsonl"), 1)
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(DatasetError, match="FIFO"):
        read_trace(spec_of(tmp_path / "pipe.jsonl"), 1)


def test_a_suite_reaches_no_file_outside(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "t.jsonl").symlink_to(written(tmp_path, *MOONCAKE))
    with pytest.raises(DatasetError, match="lies outside"):
        read_trace(spec_of(project / "t.jsonl", within=Reach(folders=(project.resolve(),))), 1)
