"""The main job on a real small model: champion, two candidates, decisions, promotion.

What is on disk already and still fits is used again: the models, and every sealed record that asked the same
questions of the same weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table

import llmgate
from llmgate.demo.models import KEPT_LAYERS, LAYERS, degrade, fetch_champion, resave
from llmgate.errors import CannotRunError, LlmgateError, PromotionRefusedError, RecordError, UsageError
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.generate.identity import weights_digest
from llmgate.record.run.files import cases_digest
from llmgate.record.run.loading import load_record
from llmgate.record.run.watch import RunLock
from llmgate.session.decide.promote import promote_version
from llmgate.session.decide.publish import publish, write_report
from llmgate.session.decide.records import decide_run, note_baseline, noted_baseline, resolve_baseline
from llmgate.session.progress import LineProgress, Progress
from llmgate.session.run.execute import execute
from llmgate.session.run.plan import plan_paths
from llmgate.session.run_folder import new_run_id
from llmgate.session.settings import settings_from

if TYPE_CHECKING:
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings import Settings

__all__ = ["Entry", "run_demo"]

NAME: Final = "smollm2"
CHAMPION: Final = "smollm2-135m"
CHAMPION_URI: Final = f"models:/{NAME}@champion"
SUITES: Final = ("json-extraction", "sentiment", "short-answers", "short-facts")
"""Without the one that runs what the model wrote, which nobody has allowed: a model this small writes no programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model of the demo and what became of it."""

    title: str
    expected: Verdict
    model: Path
    out: Path
    decision: Decision
    version: str
    promotion: str = ""
    promoted: bool = False


def run_demo(folder: Path, suites: Path = Path("suites")) -> int:
    """Run the demo.

    Args:
        folder: Where models, runs and the MLflow store go.
        suites: The suites.

    Returns:
        0 if the gate let the right model through and kept the wrong one out, else 1.

    Raises:
        LlmgateError: If something could not be done.
    """
    if not suites.is_dir():
        raise UsageError("the demo needs the suites of the repository", where=str(suites), fix="Run it in a checkout")
    progress = LineProgress()
    folder.mkdir(parents=True, exist_ok=True)
    champion = fetch_champion(folder / "models", progress.stage)
    progress.stage("making the candidates: one re-saved, one with layers removed")
    resaved = resave(champion, folder / "models" / "resaved")
    pruned = degrade(champion, folder / "models" / "pruned")
    removed = f"{LAYERS - len(KEPT_LAYERS)} of {LAYERS} layers removed"

    runner = Runner(folder=folder, suites=suites, judge=champion, progress=progress)
    first = runner.judge_model("champion", champion, expected=Verdict.PASS, baseline=None)
    first = runner.promote(first)
    candidates = [
        runner.judge_model("re-saved", resaved, expected=Verdict.PASS, baseline=CHAMPION_URI),
        runner.judge_model(removed, pruned, expected=Verdict.FAIL, baseline=CHAMPION_URI),
    ]
    # The one that does not deserve it asks first: a refusal must not depend on who came before.
    refused = runner.promote(candidates[1])
    allowed = runner.promote(candidates[0])
    entries = [first, allowed, refused]
    show(entries, folder)
    return 0 if all(entry.decision.verdict is entry.expected for entry in entries) and allowed.promoted else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Takes models through the gate, one after another."""

    folder: Path
    suites: Path
    judge: Path
    progress: Progress

    @property
    def mlflow_uri(self) -> str:
        """The demo's own MLflow store."""
        return f"sqlite:///{(self.folder / 'mlflow.db').resolve()}"

    def judge_model(self, title: str, model: Path, *, expected: Verdict, baseline: str | None) -> Entry:
        """Measure a model, or use the record of an earlier demo, and decide."""
        out = self.folder / "runs" / model.name
        self.progress.stage(f"== {title}: {model.name}")
        settings = self.settings(model, out, baseline)
        plan = plan_paths([self.suites / f"{name}.yaml" for name in SUITES], settings)
        if not reusable(out, plan, model):
            self.measure(settings, plan, out)
        else:
            self.progress.stage(f"using the record in {out} again")
        self.progress.stage("deciding")
        decision = decide_run(out, noted_baseline(out), settings)
        self.progress.stage(decision.sentence)
        return Entry(
            title=title,
            expected=expected,
            model=model,
            out=out,
            decision=decision,
            version=self.publish(out, decision, settings),
        )

    def settings(self, model: Path, out: Path, baseline: str | None) -> Settings:
        """The options of one run, as the command line would give them."""
        given = {
            "model": str(model),
            "served_name": CHAMPION if model == self.judge else f"{CHAMPION}-{model.name}",
            "judge_model": str(self.judge),
            "judge_name": CHAMPION,
            "baseline": baseline,
            "out": str(out),
            "resume": True,
            "mlflow_uri": self.mlflow_uri,
            "mlflow_experiment": "llmgate-demo",
            "mlflow_model": NAME,
        }
        return settings_from(given, root=self.folder)

    def measure(self, settings: Settings, plan: Plan, out: Path) -> None:
        """Run the suites; what is in the way is kept under another name."""
        if (out / "seal.json").exists() or stale(out, plan):
            out.rename(out.with_name(f"{out.name}-before-{new_run_id()}"))
        baseline = resolve_baseline(settings, out)
        with RunLock(out):
            note_baseline(out, baseline)
            execute(settings, lambda: plan, out=out, progress=self.progress)

    def publish(self, out: Path, decision: Decision, settings: Settings) -> str:
        """Write the report, and log to MLflow once per record.

        Returns:
            The registered version.
        """
        note = out / "published.json"
        if note.exists():
            write_report(out, decision, noted_baseline(out))
            return str(json.loads(note.read_text(encoding="utf-8"))["version"])
        self.progress.stage("logging to MLflow")
        published = publish(out, decision, noted_baseline(out), settings)
        if published.version is None:
            raise CannotRunError("MLflow registered no version", where=self.mlflow_uri)
        return published.version

    def promote(self, entry: Entry) -> Entry:
        """Ask for the alias."""
        self.progress.stage(f"asking to promote {entry.version} ({entry.title})")
        try:
            promotion = promote_version(entry.version, "champion", mlflow_uri=self.mlflow_uri)
        except PromotionRefusedError as refusal:
            self.progress.stage(f"refused: {refusal}")
            return replace(entry, promotion=f"refused: {refusal.what}")
        word = "promoted" if promotion.changed else "is the champion"
        self.progress.stage(word)
        return replace(entry, promotion=word, promoted=True)


def reusable(out: Path, plan: Plan, model: Path) -> bool:
    """Whether a sealed record asked the same questions of the same weights with the same llmgate."""
    try:
        manifest = load_record(out).manifest
        noted_baseline(out)
    except RecordError:
        return False
    return (
        manifest.cases_digest == cases_digest(case.planned for case in plan.cases)
        and {suite.digest for suite in manifest.suites} == {planned.suite.digest for planned in plan.suites}
        and manifest.policy == plan.policy
        and manifest.model.weights_digest == weights_digest(model)
        and manifest.llmgate_version == llmgate.__version__
    )


def stale(out: Path, plan: Plan) -> bool:
    """Whether an unfinished run is in the way that cannot be gone on with."""
    try:
        manifest = load_record(out, unfinished=True).manifest
    except LlmgateError:
        return (out / "manifest.json").exists()
    return manifest.cases_digest != cases_digest(case.planned for case in plan.cases)


def score_of(entry: Entry, suite: str, name: str) -> str:
    """A model's score on a metric, marked where the gate failed it."""
    for metric in entry.decision.metrics:
        if (metric.suite, metric.metric) == (suite, name) and metric.candidate is not None:
            mark = "" if metric.verdict is Verdict.PASS else f" {metric.verdict}"
            return f"{metric.candidate:.1%}{mark}"
    return "-"


def show(entries: list[Entry], folder: Path) -> None:
    """The table at the end, and where to look."""
    styles = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
    table = Table("", *(entry.title for entry in entries))
    table.add_row("version", *(entry.version.removeprefix("models:/") for entry in entries))
    for metric in entries[0].decision.metrics:
        if metric.gates:
            cells = [score_of(entry, metric.suite, metric.metric) for entry in entries]
            table.add_row(f"{metric.suite}::{metric.metric}", *cells)
    words = [f"[bold {styles[entry.decision.verdict]}]{entry.decision.verdict}[/]" for entry in entries]
    table.add_row("verdict", *words, style="bold")
    table.add_row("alias champion", *("allowed" if entry.promoted else "refused" for entry in entries))
    Console().print(table)
    for entry in entries:
        click.echo(f"{entry.title}: {entry.decision.sentence}")
        if entry.promotion.startswith("refused"):
            click.echo(f"  promotion {entry.promotion}")
        click.echo(f"  report: {entry.out / 'report.html'}")
    click.echo(f"MLflow: mlflow ui --backend-store-uri sqlite:///{folder / 'mlflow.db'}")
