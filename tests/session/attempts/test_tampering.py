"""Property: whatever is taken out of a ledger, moved, doubled or edited, no verdict becomes a PASS."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.attempts import Tried, record_of
from support.records import make_policy

from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.verdict_word import Verdict
from llmgate.session.attempts.counting import AttemptSources, counted_with

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.gate.decision.types import Decision

POLICY = replace(make_policy(margin=0.2), reserve=0.1)
MADE = 3
EDITS = (("FAIL", "PASS"), ("0.1", "0.4"), ('"seq":2', '"seq":1'), ("run-1", "run-9"))
CHANGES = st.one_of(
    st.tuples(st.just("drop"), st.integers(0, MADE - 1)),
    st.tuples(st.just("double"), st.integers(0, MADE - 1)),
    st.tuples(st.just("swap"), st.integers(0, MADE - 2)),
    st.tuples(st.just("cut"), st.integers(1, 200)),
    st.tuples(st.just("edit"), st.integers(0, len(EDITS) - 1)),
    st.tuples(st.just("lose"), st.integers(0, 10)),
    st.tuples(st.just("exchange"), st.integers(0, 9)),
)


def decided(project: Tried, out: Path, shift: int) -> Decision:
    """Decide on a run, and enter it."""
    candidate = record_of(out.name, right=18 if shift == 0 else 4, shift=shift, policy=POLICY)
    sources = AttemptSources(ledger=project.ledger, always=True)
    with counted_with(out, candidate, project.champion, POLICY, sources) as counted:
        decision = decide_records(
            candidate, project.champion, POLICY, earlier=counted.earlier, problems=counted.problems
        )
        counted.enter(decision)
    return decision


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of three attempts that failed, whose runs are gone."""
    root = tmp_path_factory.mktemp("tried")
    project = Tried(root)
    for shift in range(1, MADE + 1):
        out = project.runs / f"run-{shift}"
        out.mkdir(parents=True)
        assert decided(project, out, shift).verdict is Verdict.FAIL
        shutil.rmtree(out)
    return root


def change(root: Path, kind: str, at: int) -> None:
    """One act on the ledger's files."""
    path = next((root / "attempts").glob("*/ledger.jsonl"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = sorted((root / "attempts").glob("*/kept/*"))
    if kind == "drop":
        lines = [line for i, line in enumerate(lines) if i != at]
    elif kind == "double" and lines:
        lines.insert(at, lines[min(at, len(lines) - 1)])
    elif kind == "swap" and at + 1 < len(lines):
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif kind == "edit":
        lines = [line.replace(*EDITS[at]) for line in lines]
    elif kind == "cut":
        path.write_text("".join(lines)[:-at], encoding="utf-8")
        return
    elif kind == "lose":
        kept[at % len(kept)].unlink()
    elif kind == "exchange":
        shutil.copy(kept[at % len(kept)], kept[(at + 1) % len(kept)])
    path.write_text("".join(lines), encoding="utf-8")


def test_the_same_run_would_pass_if_it_were_the_first(tmp_path: Path) -> None:
    project = Tried(tmp_path)
    (project.runs / "first").mkdir(parents=True)
    assert decided(project, project.runs / "first", 0).verdict is Verdict.PASS


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, max_size=3))
def test_no_tampering_makes_a_pass(
    tried: Path, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]
) -> None:
    root = tmp_path_factory.mktemp("tampered") / "project"
    shutil.copytree(tried, root)
    for kind, at in changes:
        change(root, kind, at)
    project = Tried(root)
    out = project.runs / "last"
    out.mkdir(parents=True)
    decision = decided(project, out, 0)
    assert decision.verdict is not Verdict.PASS
    # And again, from what stands beside it.
    assert decided(project, out, 0).verdict is not Verdict.PASS
