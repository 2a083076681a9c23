"""Files that the tools themselves wrote, of evaluations whose every score is known; `genuine/` says how."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llmgate.cli import main
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import load_results

DATA = Path(__file__).parent / "data"
NEW, OLD = (Layout(only=(("provider", side),)) for side in ("new", "old"))
BROKE, DOWN, NOTHING = "Error: the script broke", "API error: 500", "nothing was asserted of it"
ZERO = "its weights add up to 0"
UNKNOWN = "its score 1 is not what its 0 assertions add up to"

TRUTH: dict[tuple[str, Layout | None], dict[str, list[float | str]]] = {
    ("promptfoo-0.123.1.json.gz", NEW): {
        "pass": [1, 0, 0, BROKE, NOTHING],
        "safety": [1, 0.25, 0, BROKE, NOTHING],
        "inner": [1, 0.5, 0, BROKE, NOTHING],
        "both": [1, 0.5, 0, BROKE, NOTHING],
        "long": [1, 0, 0, BROKE, NOTHING],
        "script": [0.5, 0.5, 0.5, BROKE, NOTHING],
        "unweighed": [ZERO, ZERO, ZERO, BROKE, NOTHING],
    },
    ("promptfoo-0.123.1.json.gz", OLD): {
        "pass": [1, 0, DOWN, 1, NOTHING],
        "safety": [1, 1, DOWN, 1, NOTHING],
    },
    # Up to 0.121.3 it knows no `disableDefaultAsserts`: its last test has the same assertions as the others.
    ("promptfoo-0.120.0.json.gz", NEW): {
        "pass": [1, 0, 0, BROKE, 0],
        "safety": [1, 0.25, 0, BROKE, 0.5],
        "inner": [1, 0.5, 0, BROKE, 0.5],
        "both": [UNKNOWN, UNKNOWN.replace("1", "0.5", 1), UNKNOWN.replace("1", "0", 1), BROKE, UNKNOWN.replace("1", "0.5", 1)],
        "long": [1, 0, 0, BROKE, 0],
        "script": [0.5, 0.5, 0.5, BROKE, 0.5],
        "unweighed": [ZERO, ZERO, ZERO, BROKE, ZERO],
    },
    ("promptfoo-0.120.0.json.gz", OLD): {"safety": [1, 1, DOWN, 1, 0.5]},
    ("promptfoo-0.121.3.json.gz", NEW): {"pass": [1, 0, 0, BROKE, 0], "safety": [1, 0.25, 0, BROKE, 0.5]},
    ("promptfoo-0.121.4.json.gz", NEW): {"pass": [1, 0, 0, BROKE, NOTHING], "safety": [1, 0.25, 0, BROKE, NOTHING]},
    ("promptfoo-0.121.4.json.gz", OLD): {"safety": [1, 1, DOWN, 1, NOTHING]},
    ("promptfoo-0.121.3.json.gz", OLD): {"safety": [1, 1, DOWN, 1, 0.5]},
    ("promptfoo-0.123.1-repeats.json.gz", NEW): {"pass": [1, 0], "safety": [1, 0.25]},
    ("inspect-0.3.285-epochs.json.gz", None): {
        "includes": ["RuntimeError('the server broke')", "it ended at the token limit", 0.5, 1, 0],
        "parts/graded": ["RuntimeError('the server broke')", "it ended at the token limit", 0.25, 0.25, 0.25],
        "parts/letter": ["RuntimeError('the server broke')", "it ended at the token limit", 0.5, 1, 0],
    },
    ("lm-eval-0.4.13.jsonl.gz", None): {"exact_match,plain": [1, 0, 1, 0], "exact_match,none": [0, 0, 0, 0]},
    ("deepeval-4.3.1.json.gz", None): {
        "Exact Match": [1, 0, 0, 0, "MissingTestCaseParamsError: 'actual_outp"],
        "Share of x": [1, 0, 0.5, 0.75, "ZeroDivisionError: division by zero"],
    },
    ("mlflow-3.17.2.json.gz", None): {
        "exact/value": [1, 0, 0, 0],
        "share/value": [1, 0, "division by zero", 0.5],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "layout"), TRUTH, ids=[f"{name}-{layout.only[0][1] if layout else ''}" for name, layout in TRUTH]
)
def test_what_a_tool_wrote_reads_as_what_is_true(name: str, layout: Layout | None) -> None:
    found = {
        table.metric: sorted(table.rows(), key=lambda row: row.item_id)
        for table in load_results(DATA / name, layout).tables
    }
    for metric, scores in TRUTH[name, layout].items():
        read = [row.score if row.error is None else row.error for row in found[metric]]
        assert len(read) == len(scores)
        for value, truth in zip(read, scores, strict=True):
            if isinstance(truth, str):
                assert str(value).startswith(truth), (metric, read)
            else:
                assert value == pytest.approx(truth), (metric, read)


def test_a_file_of_an_older_and_one_of_a_newer_promptfoo_say_the_same_of_weights() -> None:
    by_version = [
        [row.score for row in sorted(table.rows(), key=lambda row: row.item_id)][:3]
        for version in ("0.120.0", "0.121.3", "0.121.4", "0.123.1")
        for table in load_results(DATA / f"promptfoo-{version}.json.gz", NEW).tables
        if table.metric == "safety"
    ]
    assert by_version == [[1, 0.25, 0]] * 4


@pytest.mark.parametrize(
    ("name", "options", "figures"),
    [
        # Of five pairs two cannot be evaluated and one asserts nothing; of two, one loses three quarters.
        ("promptfoo-0.123.1.json.gz", ("--metric", "safety"), {"n": 2, "errors": 3, "delta": -0.375, "worse": 1}),
        ("promptfoo-0.120.0.json.gz", ("--metric", "safety"), {"n": 3, "errors": 2, "delta": -0.25, "worse": 1}),
        (
            "promptfoo-0.123.1-repeats.json.gz",
            ("--metric", "safety"),
            {"n": 2, "errors": 0, "delta": -0.375, "worse": 1},
        ),
    ],
)
def test_a_decision_has_the_true_figures(name: str, options: tuple[str, ...], figures: dict[str, Any]) -> None:
    sides = ("--candidate-only", "provider=new", "--baseline-only", "provider=old")
    arguments = ["decide", "--candidate", str(DATA / name), "--baseline", str(DATA / name), *sides, *options]
    done = CliRunner().invoke(main, [*arguments, "--margin", "0.05", "--json"])
    assert done.exit_code != 0
    answer = json.loads(done.output)
    assert {key: answer[key] for key in figures} == pytest.approx(figures)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.gz")), ids=lambda path: path.name)
def test_no_file_names_the_machine_that_it_was_written_on(path: Path) -> None:
    text = gzip.decompress(path.read_bytes()).decode()
    assert not [word for word in ("/tmp", "/root", "/home/", "/usr/", "\\/tmp") if word in text]
