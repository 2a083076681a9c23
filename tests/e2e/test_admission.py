"""A real model that is no judge, SmolLM2, on a real vLLM: it is refused admission, on our own labels and on real ones.

Judging needs long prompts, and a CPU reads them slowly. So a few of our own labels are judged each time, and the 160
pairs of PandaLM, which took two cores 7 minutes, with LLMGATE_SLOW_TESTS=1.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from support.shared_data import shared_rows

from llmgate.cli import main
from llmgate.record.judges.admission_file import load_admission

if TYPE_CHECKING:
    from support.servers import OwnedServer

    from llmgate.record.judges.admission import AdmissionRecord

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

CAPITALS = Path(__file__).parents[1] / "session" / "labels" / "capitals.jsonl"
PAIRS = 160
MAX_TOKENS = 64
"""Enough for a verdict with a reason of one sentence."""
FEW = 10
"""Labels of each kind that are judged each time."""


def admit(labels: Path, judge: OwnedServer, out: Path, *more: str, repeats: int) -> tuple[Result, AdmissionRecord]:
    done = CliRunner().invoke(
        main,
        [
            "judge", "admit", str(labels), "--judge-endpoint", judge.url, "--max-tokens", str(MAX_TOKENS),
            "--repeats", str(repeats), "--out", str(out), *more,
        ],
    )  # fmt: skip
    print(done.output)  # noqa: T201 - figures for the reader of a run with -s
    return done, load_admission(out)


@pytest.mark.skipif(not os.environ.get("LLMGATE_SLOW_TESTS"), reason="takes 7 minutes: set LLMGATE_SLOW_TESTS=1")
def test_smollm2_is_refused_on_the_pairs_of_pandalm(real_server: OwnedServer, tmp_path: Path) -> None:
    rows = [
        row
        for row in shared_rows("judge/pandalm.jsonl")
        if isinstance(row["response_1"], str) and isinstance(row["response_2"], str)
    ]
    # The shortest, to spare time; ties and both winners are among them.
    rows.sort(key=lambda row: sum(len(row[key]) for key in ("instruction", "input", "response_1", "response_2")))
    lines = [
        {
            "id": row["item_id"], "prompt": f"{row['instruction']}\n{row['input']}".strip(), "output_1": row["response_1"],
            "output_2": row["response_2"], "human": row["human"], "cluster": row["cluster"],
        }
        for row in rows[:PAIRS]
    ]  # fmt: skip
    labels = tmp_path / "pandalm.jsonl"
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done, record = admit(labels, real_server, tmp_path / "judge.json", repeats=10)
    assert done.exit_code == 1, done.output
    assert not record.admitted
    assert record.results.settled >= 150
    # Not for want of labels: it does not agree with people.
    assert not any("items have a label" in reason or "people label" in reason for reason in record.reasons)
    assert any(reason.startswith("κ between judge and people is only known") for reason in record.reasons)


def test_smollm2_is_refused_on_capitals(real_server: OwnedServer, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in CAPITALS.read_text(encoding="utf-8").splitlines()]
    good, bad = ([row for row in rows if all(row["human"]) is said][:FEW] for said in (True, False))
    labels = tmp_path / "capitals.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in (*good, *bad)), encoding="utf-8")
    done, record = admit(
        labels,
        real_server,
        tmp_path / "judge.json",
        "--rubric",
        "The answer names the capital of the country.",
        repeats=0,
    )
    assert done.exit_code == 1, done.output
    assert not record.admitted
    assert record.results.labels == {"pass": FEW, "fail": FEW}
    # Not only for want of labels: it does not agree with people, and lets canaries pass.
    assert any(reason.startswith("κ between judge and people is only known") for reason in record.reasons)
    assert any("canaries" in reason for reason in record.reasons)
