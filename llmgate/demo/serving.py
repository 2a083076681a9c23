"""Serving in the verdict, shown on real vLLM servers with the same weights: equal, slower by a known share, busy.

All give the same answers. One is slowed by a tenth; the gate has to refuse it, to let an equal server pass, and to
believe nothing that was measured while other processes kept the machine busy. Servers are started anew for each run,
as the gate does it: two starts of one server differ.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table

from llmgate.demo.models import fetch_champion
from llmgate.demo.progress import DemoProgress
from llmgate.demo.slow_engine import slowed
from llmgate.gate.decision.types import Verdict
from llmgate.record.environment import for_programs
from llmgate.report.words import plural
from llmgate.session.run.by_hand import ByHand, Comparison, compare_by_hand, comparison_json
from llmgate.session.serving.load_spec import load_spec
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Scene", "run_serving_demo"]

SLOWED: Final = 0.1
FIGURE: Final = "output_throughput"
WORKLOAD: Final = "random:in=32,out=24"
BURN: Final = """\
import os, sys, time
until = time.monotonic() + 600
while os.path.exists(sys.argv[1]) and time.monotonic() < until:
    sum(range(1_000_000))
"""
BURNERS: Final = 2
PAIRS: Final = 10
MARGIN: Final = 0.08
"""Two starts differ by 6 to 8 % on two quiet cores (benchmarks/serving_aa): ten pairs tell this nearly always."""
STAGES: Final = ("equal servers", "a busy machine", "a slower one")
EXPECTED: Final = {
    "model": 30.0,
    **dict(zip(STAGES, (900.0, 320.0, 900.0), strict=True)),
}
"""Seconds on two quiet cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One comparison, and what has to come of it.

    Attributes:
        title: For the table.
        expected: The verdict.
        slowed: How much of its throughput the candidate loses, as a fraction.
        busy: Whether other processes compute meanwhile.
    """

    title: str
    expected: Verdict
    slowed: float = 0.0
    busy: bool = False


def run_serving_demo(folder: Path) -> int:
    """Run it.

    Args:
        folder: Where the model and what was measured go.

    Returns:
        0 if every verdict was the right one, else 1.

    Raises:
        LlmgateError: If something could not be done.
    """
    scenes = (
        Scene(title=STAGES[0], expected=Verdict.PASS),
        Scene(title=STAGES[1], expected=Verdict.INCONCLUSIVE, busy=True),
        Scene(title=STAGES[2], expected=Verdict.FAIL, slowed=SLOWED),
    )
    done: list[tuple[Scene, Comparison]] = []
    with DemoProgress(EXPECTED) as progress:
        folder.mkdir(parents=True, exist_ok=True)
        progress.begin("model")
        model = fetch_champion(folder / "models", progress.say)
        for scene in scenes:
            progress.begin(scene.title)
            with burners(BURNERS if scene.busy else 0):
                done.append((scene, compare(scene, model, folder, progress)))
    show(done)
    Console().print(progress.table())
    return 0 if all(comparison.decision.verdict is scene.expected for scene, comparison in done) else 1


@contextmanager
def burners(count: int) -> Iterator[None]:
    """Processes that compute for nothing, until the block ends; in no way ours, or they would count as the client's."""
    with tempfile.NamedTemporaryFile(prefix="llmgate-busy-") as flag:
        burn = [sys.executable, "-c", BURN, flag.name]
        for _ in range(count):
            # The shell ends at once, so that nobody is their parent any more.
            orphan = ["/bin/sh", "-c", '"$@" &', "sh", *burn]
            subprocess.run(orphan, env=for_programs(), start_new_session=True, check=True)  # noqa: S603
        yield


def compare(scene: Scene, model: Path, folder: Path, progress: DemoProgress) -> Comparison:
    """As `llmgate bench --compare A B` does it."""
    # What is measured beside others is discarded: no start could make it better.
    hosting = {"serving_hosting": "together"} if scene.busy else {}
    comparison = compare_by_hand(
        FIGURE,
        (),
        settings_from(hosting, root=folder),
        ByHand(
            champion=str(model),
            candidate=str(model),
            candidate_env=slowed(folder / "slow-engine", scene.slowed) if scene.slowed else {},
            pairs=PAIRS,
            margin=MARGIN,
            metrics=(FIGURE,),
            spec=load_spec(requests=24, in_flight=8, max_tokens=24, workload=WORKLOAD),
        ),
        progress=progress,
    )
    progress.say(f"{scene.title}: {comparison.decision.verdict}. {comparison.decision.sentence}")
    kept = folder / f"{scene.title.replace(' ', '-')}.json"
    kept.write_text(json.dumps(comparison_json(comparison), indent=1), encoding="utf-8")
    return comparison


def show(done: list[tuple[Scene, Comparison]]) -> None:
    """The table at the end, 80 columns wide, and the sentence of each."""
    styles = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
    table = Table("", "champion", "candidate", "pairs", "verdict")
    for scene, comparison in done:
        (metric,) = comparison.decision.metrics
        verdict = comparison.decision.verdict
        again = sum(bool(run.discarded) for run in comparison.arms.runs)
        table.add_row(
            scene.title,
            *("–" if value is None else f"{value:.1f} {metric.unit}" for value in (metric.champion, metric.candidate)),
            f"{metric.evaluated} of {metric.expected}" + (f", {plural(again, 'run')} discarded" if again else ""),
            f"[bold {styles[verdict]}]{verdict}[/]",
        )
    Console().print(table)
    for scene, comparison in done:
        click.echo(f"{scene.title}: {comparison.decision.sentence}")
