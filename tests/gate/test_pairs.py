"""The published differences, standard errors and counts of 2,223 real pairs of systems come out of the gate."""

from __future__ import annotations

import csv
import functools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.shared_data import shared_file, shared_rows
from support.tables import decide_tables

from llmgate.gate.decision.statement import headline
from llmgate.gate.decision.types import Verdict
from llmgate.gate.evidence.pairing import pair_up
from llmgate.gate.metrics.verdict import standard_errors_of
from llmgate.record.scores import ItemScore, ScoreTable
from llmgate.stats.sums import mean_of

FILES = {
    "livebench": "livebench.jsonl.gz",
    "gsm8k": "gsm8k.jsonl",
    "evouna-nq": "evouna-nq.jsonl.gz",
    "openqa-nq301": "openqa-nq301.jsonl",
}
ROOT = Path(__file__).parents[2]


def published(name: str) -> list[dict[str, str]]:
    with shared_file("paired/pairs.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["set"] == name]


LABELS = {"human": "score"}
DECIDED = 25
"""Every so many pairs of the clustered set are decided in full, as there are 1,953."""
FEWEST_CLUSTERS = 5
"""With fewer, such as the three tasks of one category, nothing is decided, and no difference is told."""


@functools.cache
def scores_of(name: str, label: str) -> dict[str, dict[str, tuple[float, str | None]]]:
    """System → item → score and cluster, for every score that is there."""
    found: dict[str, dict[str, tuple[float, str | None]]] = {}
    label = LABELS.get(label, label)
    for row in shared_rows(f"paired/{FILES[name]}"):
        if row[label] is not None:
            found.setdefault(row["system"], {})[row["item_id"]] = (float(row[label]), row["cluster"])
    return found


@functools.cache
def table(name: str, label: str, system: str) -> ScoreTable:
    scores = sorted(scores_of(name, label)[system].items())
    rows = (ItemScore(item_id=item, score=score, cluster=cluster) for item, (score, cluster) in scores)
    return ScoreTable.of(rows, suite="s", metric="m")


def check(figures: dict[str, Any], row: dict[str, str], where: str) -> None:
    """The figures are fractions; the table has percentage points, rounded to 4 digits."""
    assert figures["n"] == int(row["n"]), where
    assert (figures["better"], figures["worse"]) == (int(row["b_better"]), int(row["a_better"])), where
    assert 100 * figures["delta"] == pytest.approx(float(row["delta_pp"]), abs=5.1e-5), where
    assert 100 * figures["se"] == pytest.approx(float(row["se_pp"]), abs=5.1e-5), where
    assert figures["se"] * math.sqrt(figures["n"]) == pytest.approx(float(row["sd_diff"]), abs=5.1e-7), where
    discordance = (figures["better"] + figures["worse"]) / figures["n"]
    assert discordance == pytest.approx(float(row["discordance"]), abs=5.1e-6), where
    if row["se_cluster_pp"]:
        assert 100 * figures["se_clustered"] == pytest.approx(float(row["se_cluster_pp"]), abs=5.1e-5), where
        assert figures["clusters"] == int(row["n_clusters"]), where
    else:
        assert figures["se_clustered"] is None, where
    assert figures["lower"] <= figures["delta"] <= figures["upper"], where


@pytest.mark.parametrize("name", FILES)
def test_every_pair_is_reproduced(name: str) -> None:
    rows = published(name)
    assert rows
    for i, row in enumerate(rows):
        sides = tuple(table(name, row["label"], row[system]) for system in ("system_b", "system_a"))
        figures = decided(*sides) if name != "livebench" or i % DECIDED == 0 else measured(*sides)
        if name == "livebench" and int(row["n_clusters"]) < FEWEST_CLUSTERS:
            assert figures["delta"] is None or i % DECIDED
            figures = measured(*sides)
        check(figures, row, f"{name}, {row['label']}: {row['system_a']} → {row['system_b']}")


def decided(candidate: ScoreTable, champion: ScoreTable) -> dict[str, Any]:
    return headline(decide_tables(candidate, champion, margin=0.03))


def measured(candidate: ScoreTable, champion: ScoreTable) -> dict[str, Any]:
    """What a decision says of the scores before it comes to an interval."""
    pairs = pair_up(candidate, champion)
    assert pairs.champion is not None
    differences = pairs.candidate - pairs.champion
    delta = mean_of(differences)
    counts = {"better": int((differences > 0).sum()), "worse": int((differences < 0).sum())}
    errors = dict(zip(("se", "se_clustered", "clusters"), standard_errors_of(pairs), strict=True))
    return {"n": len(differences), "delta": delta, "lower": delta, "upper": delta, **counts, **errors}


@pytest.mark.parametrize(
    ("name", "label", "pairs"), [("livebench", "score", 1), ("gsm8k", "score", 1), ("openqa-nq301", "judge_gpt4", 1)]
)
def test_the_command_reproduces_them_from_files(name: str, label: str, pairs: int, tmp_path: Path) -> None:
    for row in [row for row in published(name) if row["label"] == label][:pairs]:
        for side, system in (("champion", row["system_a"]), ("candidate", row["system_b"])):
            lines = [
                json.dumps({"item_id": item, "score": score, "cluster": cluster})
                for item, (score, cluster) in scores_of(name, label)[system].items()
            ]
            (tmp_path / f"{side}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        args = ["--candidate", "candidate.jsonl", "--baseline", "champion.jsonl", "--margin", "0.03", "--json"]
        done = subprocess.run(
            [sys.executable, "-c", "from llmgate.cli import main; main()", "decide", *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1, 3, 4}, done.stderr
        answer = json.loads(done.stdout)
        check(answer, row, f"{name}: {row['system_a']} → {row['system_b']}")
        assert answer["method"]
        assert answer["verdict"] in set(Verdict)
        # An item that only one of the two has is no item to be left out.
        assert answer["errors"] == answer["expected"] - answer["n"]
        assert bool(answer["errors"]) == (done.returncode == 4)
