"""Which suites can be looked at before their end, and what is said of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.lines import Lines
from support.project import let_stop, write_suite
from support.records import make_manifest

from llmgate.record.judges.identity import JudgeIdentity
from llmgate.record.run.files import cases_digest
from llmgate.record.run.rundir import RunDir
from llmgate.session.decide.records import note_baseline
from llmgate.session.run.early_stopping import make_monitor
from llmgate.session.run.plan import plan_paths
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

JUDGED = "  - {type: llm-rubric, value: 'Says {{ word }}', metric: tone}\n"


def looked_at(folder: Path, gate: str, *, extra: str = "", **given: Any) -> tuple[bool, list[str]]:
    """Whether the suite is looked at, and what is said."""
    settings = settings_from({"endpoint": "http://127.0.0.1:9", **given}, root=folder)
    plan = plan_paths([let_stop(write_suite(folder, gate=gate, extra=extra))], settings)
    cases = tuple(case.planned for case in plan.cases)
    judge = JudgeIdentity(model="judge", prompt_digest="0", sampling={}) if extra else None
    manifest = make_manifest(
        cases_digest=cases_digest(cases),
        suites=tuple(planned.identity("words.yaml") for planned in plan.suites),
        policy=plan.policy,
        looks=plan.looks,
        judge=judge,
    )
    (folder / "run").mkdir()
    note_baseline(folder / "run", None)
    with RunDir.create(folder / "run", manifest, cases) as run:
        lines = Lines()
        monitor = make_monitor(settings, plan, run, folder / "run", progress=lines)
        return monitor is not None and monitor.of(plan.cases[0].key()) is not None, lines.said


def test_a_threshold_can_be_looked_at(tmp_path: Path) -> None:
    assert looked_at(tmp_path, "min: 0.5") == (True, [])


@pytest.mark.parametrize(
    ("gate", "extra", "given", "why"),
    [
        ("margin: 0.1", "", {}, "there is neither a baseline nor a threshold that could be decided on"),
        ("role: watch", "", {}, "none of its metrics gates"),
        ("min: 0.5", JUDGED, {"judge_model": "judges/one"}, "its judge (llm-rubric) is only started after the model"),
    ],
)
def test_what_cannot_be_looked_at_is_said(
    tmp_path: Path, gate: str, extra: str, given: dict[str, str], why: str
) -> None:
    looks, (said,) = looked_at(tmp_path, gate, extra=extra, **given)
    assert not looks
    assert said.startswith(f"words: all cases are asked, because {why}")


def test_a_judge_that_answers_meanwhile_can_be_waited_for(tmp_path: Path) -> None:
    assert looked_at(tmp_path, "min: 0.5", extra=JUDGED, judge_endpoint="http://127.0.0.1:9") == (True, [])
