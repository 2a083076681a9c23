"""Serving in the verdict, shown on three real vLLM servers with the same weights: equal, slower by a known share, busy.

All three give the same answers. One is slowed by a tenth; the gate has to refuse it, to let an equal server pass, and
to believe nothing that was measured while other processes kept the machine busy.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table

from llmgate.demo.models import fetch_champion
from llmgate.demo.progress import DemoProgress
from llmgate.demo.slow_engine import slowed
from llmgate.gate.decision.types import Verdict
from llmgate.generate.server import ServerSpec, launch
from llmgate.record.environment import for_programs
from llmgate.session.run.by_hand import ByHand, Comparison, compare_by_hand, comparison_json
from llmgate.session.serving.load_spec import load_spec
from llmgate.session.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.generate.server import Server

__all__ = ["Scene", "run_serving_demo"]

MODEL: Final = "smollm2-135m"
SLOWED: Final = 0.1
FIGURE: Final = "output_throughput"
WORKLOAD: Final = "random:in=64,out=32"
BURN: Final = "while True: pass"
BURNERS: Final = 2
PAIRS, FEWEST_PAIRS = 12, 6
EXPECTED: Final = {
    "model": 30.0,
    "servers": 110.0,
    "equal servers": 150.0,
    "a slower one": 150.0,
    "a busy machine": 60.0,
}
"""Seconds on two quiet cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One comparison, and what has to come of it.

    Attributes:
        title: For the table.
        expected: The verdict.
        champion: The champion's server.
        candidate: The candidate's.
        pairs: Pairs of runs.
        busy: Whether other processes compute meanwhile.
    """

    title: str
    expected: Verdict
    champion: str
    candidate: str
    pairs: int = PAIRS
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
    with DemoProgress(EXPECTED) as progress, ExitStack() as servers:
        folder.mkdir(parents=True, exist_ok=True)
        progress.begin("model")
        model = fetch_champion(folder / "models", progress.say)
        progress.begin("servers")
        slow = slowed(folder / "slow-engine", SLOWED)
        urls = {
            name: servers.enter_context(served(name, model, env, folder, progress)).url
            for name, env in (("champion", {}), ("equal", {}), ("slower", slow))
        }
        done: list[tuple[Scene, Comparison]] = []
        for scene in (
            Scene(title="equal servers", expected=Verdict.PASS, champion="champion", candidate="equal"),
            Scene(title="a slower one", expected=Verdict.FAIL, champion="champion", candidate="slower"),
            Scene(
                title="a busy machine",
                expected=Verdict.INCONCLUSIVE,
                champion="champion",
                candidate="equal",
                pairs=FEWEST_PAIRS,
                busy=True,
            ),
        ):
            progress.begin(scene.title)
            with burners(BURNERS if scene.busy else 0):
                done.append((scene, compare(scene, urls, folder, progress)))
    show(done)
    Console().print(progress.table())
    return 0 if all(comparison.decision.verdict is scene.expected for scene, comparison in done) else 1


@contextmanager
def served(
    name: str, model: Path, env: Mapping[str, str], folder: Path, progress: DemoProgress
) -> Iterator[Server]:
    """One of the servers, up and answering."""
    progress.say(f"starting vLLM: {name}")
    log = folder / f"server-{name}.log"
    with launch(ServerSpec(model=str(model), served_name=MODEL, env=env, log_path=log), on_progress=progress.stage) as server:
        server.wait_ready(progress.check)
        yield server


@contextmanager
def burners(count: int) -> Iterator[None]:
    """Processes that compute for nothing, until the block ends."""
    started = [subprocess.Popen([sys.executable, "-c", BURN], env=for_programs()) for _ in range(count)]  # noqa: S603
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def compare(scene: Scene, urls: Mapping[str, str], folder: Path, progress: DemoProgress) -> Comparison:
    """As `llmgate bench --compare A B` does it."""
    comparison = compare_by_hand(
        "serving",
        (),
        settings_from({}, root=folder),
        ByHand(
            champion=f"{urls[scene.champion]}#{MODEL}",
            candidate=f"{urls[scene.candidate]}#{MODEL}",
            pairs=scene.pairs,
            margin=0.05,
            metrics=(FIGURE,),
            spec=load_spec(requests=32, in_flight=8, max_tokens=32, workload=WORKLOAD),
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
    table = Table("", "champion", "candidate", "pairs", "made again", "verdict")
    for scene, comparison in done:
        (metric,) = comparison.decision.metrics
        verdict = comparison.decision.verdict
        table.add_row(
            scene.title,
            *("–" if value is None else f"{value:.1f} {metric.unit}" for value in (metric.champion, metric.candidate)),
            f"{metric.evaluated} of {metric.expected}",
            str(sum(bool(run.discarded) for run in comparison.arms.runs)),
            f"[bold {styles[verdict]}]{verdict}[/]",
        )
    Console().print(table)
    for scene, comparison in done:
        click.echo(f"{scene.title}: {comparison.decision.sentence}")
