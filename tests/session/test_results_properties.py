"""Two files of results: what is deleted never helps, and the order of rows means nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Verdict
from llmgate.session.decide.results import ResultsQuestion, decide_results

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from llmgate.gate.decision.types import Decision

RANK = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
SIDES = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, None]), st.sampled_from([0.0, 1.0]), st.sampled_from("ab")),
    min_size=30,
    max_size=60,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


def decided(folder: Path, candidate: list[dict[str, Any]], champion: list[dict[str, Any]]) -> Decision:
    # Spaced differently: the same lines would be the same file.
    for name, rows, colon in (("a", candidate, ": "), ("b", champion, ":")):
        lines = (json.dumps(row, separators=(",", colon)) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return decide_results(folder / "a.jsonl", folder / "b.jsonl", ResultsQuestion(margin=0.3, alpha=0.2))


def rows(sides: list[tuple[float | None, float, str]], index: int, *, clusters: bool) -> list[dict[str, Any]]:
    """Of one side; a score that is None is an error."""
    found = []
    for i, side in enumerate(sides):
        score = side[index]
        row = {"item_id": f"i{i}", "score": score, "error": "timeout" if score is None else None}
        found.append(row | ({"cluster": f"{side[2]}{i // 4}"} if clusters else {}))
    return found


@settings(max_examples=40)
@given(SIDES, st.booleans(), st.integers(0, 29), st.booleans())
def test_deleting_a_row_never_helps(
    folder: Path, sides: list[tuple[float | None, float, str]], clusters: bool, gone: int, mine: bool
) -> None:
    both = [rows(sides, 0, clusters=clusters), rows(sides, 1, clusters=clusters)]
    before = decided(folder, both[0], both[1])
    del both[0 if mine else 1][gone]
    after = decided(folder, both[0], both[1])
    # A FAIL that hung on the deleted answer becomes an error, which still is no PASS.
    assert after.verdict is not Verdict.PASS
    assert after.exit_code != 0
    assert RANK[after.verdict] <= max(RANK[before.verdict], RANK[Verdict.INCONCLUSIVE])


@settings(max_examples=20)
@given(SIDES, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(
    folder: Path, sides: list[tuple[float | None, float, str]], clusters: bool, shuffle: random.Random
) -> None:
    both = [rows(sides, 0, clusters=clusters), rows(sides, 1, clusters=clusters)]
    before = decision_to_json(decided(folder, both[0], both[1]))
    for side in both:
        shuffle.shuffle(side)
    assert decision_to_json(decided(folder, both[0], both[1])) == before
