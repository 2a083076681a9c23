"""The main job on a real small model: champion, two candidates, decisions, promotion.

Both candidates are asked before one server judges the answers of both. What is on disk already and still fits is used
again: the models, and every sealed record that asked the same questions of the same weights.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table

import llmgate
from llmgate.demo.models import KEPT_LAYERS, LAYERS, degrade, fetch_champion, resave
from llmgate.demo.progress import DemoProgress
from llmgate.demo.registry import ALIAS, REGISTRY_ID, GatedServer, RegistryFiles, ask_directly, make_anew
from llmgate.errors import CannotRunError, LlmgateError, PromotionRefusedError, RecordError
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.decision.wording import amount
from llmgate.promote.permission import DEFAULT_MAX_AGE
from llmgate.promote.promotion_facts import instant
from llmgate.record.run.files import cases_digest
from llmgate.record.run.loading import load_record
from llmgate.record.run.watch import RunLock
from llmgate.record.weights import weights_digest
from llmgate.session.commands.champion import roll_back_alias, status_lines, status_of
from llmgate.session.decide.promote import promote_version
from llmgate.session.decide.publish import publish
from llmgate.session.decide.records import decide_run, note_baseline, noted_baseline, resolve_baseline
from llmgate.session.run.execute import AskedRun, asking, finish, judge_runs
from llmgate.session.run.plan import Plan, make_plan, plan_file
from llmgate.session.run_folder import new_run_id
from llmgate.session.settings.combined import settings_from
from llmgate.session.settings.typed import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.report.pieces import LedLine

__all__ = ["EXPECTED", "SUITES", "Contender", "Entry", "Runner", "run_demo", "show"]

CHAMPION: Final = "smollm2-135m"
CHAMPION_URI: Final = f"models:/{CHAMPION}@{ALIAS}"
SUITES: Final = Path(__file__).parent / "suites"
"""Samples of the suites in the repository, with margins that so few cases can decide; `llmgate power` says so. None
runs what the model wrote, which nobody has allowed: a model this small writes no programs."""
REGISTRY: Final = "registry"
REMOVED: Final = f"{LAYERS - len(KEPT_LAYERS)} of {LAYERS} layers removed"
COUNTS: Final = DEFAULT_MAX_AGE - timedelta(hours=1)
"""An older record promotes nothing by the end of the demo."""
IN_FLIGHT: Final = 64
WIDTH: Final = 78
"""Columns for what stands two further right."""
EXPECTED: Final = {
    "models": 30.0,
    "MLflow starts": 1.0,
    "champion: vLLM starts": 36.0,
    "champion: answers": 28.0,
    "champion: verdicts": 8.0,
    "champion: serving": 5.0,
    "champion: decision": 5.0,
    "re-saved: vLLM starts": 34.0,
    "re-saved: answers": 16.0,
    "re-saved: serving": 5.0,
    f"{REMOVED}: vLLM starts": 34.0,
    f"{REMOVED}: answers": 16.0,
    f"{REMOVED}: serving": 5.0,
    "judge: vLLM starts": 32.0,
    "judge: verdicts": 30.0,
    "re-saved: decision": 3.0,
    f"{REMOVED}: decision": 3.0,
    "promotion": 6.0,
}
"""Seconds on two quiet cores that compute in bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One model of the demo, and what it will be asked."""

    title: str
    expected: Verdict
    out: Path
    settings: Settings
    plan: Plan

    @property
    def model(self) -> Path:
        """Its folder."""
        return Path(self.settings.model or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of a model."""

    contender: Contender
    decision: Decision
    version: str
    promotion: str = ""
    promoted: bool = False


def run_demo(folder: Path) -> int:
    """Run the demo.

    Args:
        folder: Where models, runs and the MLflow store go.

    Returns:
        0 if the gate let the right model through and kept the wrong one out, else 1.

    Raises:
        LlmgateError: If something could not be done.
    """
    with DemoProgress(EXPECTED) as progress, GatedServer() as server:
        folder.mkdir(parents=True, exist_ok=True)
        # It takes a while, and so do the models.
        server.start(new_registry(folder))
        progress.begin("models")
        champion = fetch_champion(folder / "models", progress.say)
        progress.say("making the candidates: one re-saved, one with layers removed")
        resaved = resave(champion, folder / "models" / "resaved")
        pruned = degrade(champion, folder / "models" / "pruned")

        progress.begin("MLflow starts")
        server.ready()
        runner = Runner(folder=folder, judge=champion, progress=progress, mlflow_uri=server.url)
        best = runner.contender("champion", champion, expected=Verdict.PASS, baseline=None)
        runner.make_room(best)
        runner.measure(best)
        first = runner.promote(runner.decide(best))
        candidates = [
            runner.contender("re-saved", resaved, expected=Verdict.PASS, baseline=CHAMPION_URI),
            runner.contender(REMOVED, pruned, expected=Verdict.FAIL, baseline=CHAMPION_URI),
        ]
        runner.measure(*candidates)
        harmless, worse = (runner.decide(candidate) for candidate in candidates)
        progress.begin("promotion")
        # The one that does not deserve it asks first: a refusal must not depend on who came before.
        refused = runner.ask_directly(runner.promote(worse))
        allowed = runner.promote(harmless)
        runner.roll_back()
        status = runner.status()
    entries = [first, allowed, refused]
    show(entries)
    show_registry(status, folder)
    Console().print(progress.table())
    told = all(entry.decision.verdict is entry.contender.expected for entry in entries)
    return 0 if told and first.promoted and allowed.promoted else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Takes models through the gate."""

    folder: Path
    judge: Path
    progress: DemoProgress
    mlflow_uri: str

    def contender(self, title: str, model: Path, *, expected: Verdict, baseline: str | None) -> Contender:
        """A model and its questions."""
        out = self.folder / "runs" / model.name
        settings = self.settings(model, out, baseline)
        plan = make_plan([plan_file(path) for path in sorted(SUITES.glob("*.yaml"))], settings)
        return Contender(title=title, expected=expected, out=out, settings=settings, plan=plan)

    def settings(self, model: Path, out: Path, baseline: str | None) -> Settings:
        """The options of one run, as the command line would give them."""
        files = RegistryFiles(folder=self.folder / REGISTRY)
        given = {
            "model": str(model),
            "served_name": CHAMPION if model == self.judge else f"{CHAMPION}-{model.name}",
            "concurrency": IN_FLIGHT,
            "judge_model": str(self.judge),
            "judge_name": CHAMPION,
            "baseline": baseline,
            "out": str(out),
            "resume": True,
            "attempts": str(self.folder / "attempts"),
            "mlflow_uri": self.mlflow_uri,
            "mlflow_experiment": "llmgate-demo",
            "mlflow_model": CHAMPION,
            "registry_id": REGISTRY_ID,
            "alias": ALIAS,
            # With the first champion nothing is compared, so a key of its own has to answer for it.
            "signing_key": str(files.key("bootstrap" if baseline is None else "gate")),
        }
        return settings_from(given, root=self.folder)

    def make_room(self, champion: Contender) -> None:
        """A champion that has to be measured again begins another demo; records of the one before stay.

        None of them could be compared with it.
        """
        if reusable(champion) or not in_the_way(champion):
            return
        before = self.folder / f"runs-before-{new_run_id()}"
        (self.folder / "runs").rename(before)
        self.progress.say(f"the demo before asked otherwise: its records are in {before} now")

    def measure(self, *contenders: Contender) -> None:
        """Ask each model of which no record of an earlier demo tells, then let one server judge the answers of all."""
        with ExitStack() as records:
            runs: list[AskedRun] = []
            for contender in contenders:
                self.progress.say(f"== {contender.title}: {contender.model.name}")
                if reusable(contender):
                    self.progress.say(f"using the record in {contender.out} again")
                    continue
                self.progress.begin(f"{contender.title}: vLLM starts")
                runs.append(records.enter_context(self.asked(contender)))
            if contenders[0].model != self.judge and runs:
                self.progress.say("== the judge, for all of them")
                self.progress.begin("judge: vLLM starts")
                judge_runs(runs, progress=self.progress)
            for run in runs:
                finish(run, progress=self.progress)

    @contextmanager
    def asked(self, contender: Contender) -> Iterator[AskedRun]:
        """Ask one model; what is in the way is kept under another name."""
        out, settings = contender.out, contender.settings
        if in_the_way(contender):
            out.rename(out.with_name(f"{out.name}-before-{new_run_id()}"))
        baseline = resolve_baseline(settings, out)
        with RunLock(out):
            note_baseline(out, baseline)
            with asking(settings, lambda: contender.plan, out=out, progress=self.progress) as asked:
                yield asked

    def decide(self, contender: Contender) -> Entry:
        """Take the decision and publish it."""
        self.progress.begin(f"{contender.title}: decision")
        decision = decide_run(contender.out, noted_baseline(contender.out), contender.settings)
        self.progress.say(f"{contender.title}: {decision.sentence}")
        return Entry(contender=contender, decision=decision, version=self.publish(contender, decision))

    def publish(self, contender: Contender, decision: Decision) -> str:
        """Write the report, and log to MLflow.

        Returns:
            The registered version.
        """
        out = contender.out
        self.progress.stage("logging to MLflow")
        published = publish(out, decision, noted_baseline(out), contender.settings)
        if published.version is None:
            raise CannotRunError("MLflow registered no version", where=self.mlflow_uri)
        self.progress.say(f"signed: {published.signed}")
        return published.version

    def promote(self, entry: Entry) -> Entry:
        """Ask for the alias."""
        self.progress.say(f"asking to promote {entry.version} ({entry.contender.title})")
        try:
            promotion = promote_version(entry.version, ALIAS, mlflow_uri=self.mlflow_uri)
        except PromotionRefusedError as refusal:
            self.progress.say(f"refused: {refusal}")
            return replace(entry, promotion=f"refused: {refusal.what}")
        word = "promoted" if promotion.changed else "is the champion"
        self.progress.say(word)
        return replace(entry, promotion=word, promoted=True)

    def ask_directly(self, entry: Entry) -> Entry:
        """Ask as any client could that does not care what llmgate says."""
        number = entry.version.rpartition("/")[2]
        self.progress.say(f"MlflowClient().set_registered_model_alias({CHAMPION!r}, {ALIAS!r}, {number!r})")
        refusal = ask_directly(self.mlflow_uri, CHAMPION, number)
        if refusal is None:
            raise CannotRunError(
                "the demo's MLflow server gave the alias to a version that the gate refuses", where=self.mlflow_uri
            )
        self.progress.say(f"the server: {refusal}")
        return replace(entry, promotion=f"refused by the server: {refusal}")

    def roll_back(self) -> None:
        """Give the alias back to who held it before."""
        self.progress.say(f"llmgate rollback models:/{CHAMPION} --reason demo")
        done = roll_back_alias(f"models:/{CHAMPION}", alias=ALIAS, to=None, reason="demo", mlflow_uri=self.mlflow_uri)
        self.progress.say(f"{done.version.uri} is {ALIAS} again (was {done.over.uri})")

    def status(self) -> list[LedLine]:
        """What the registry's ledger shows in the end."""
        return status_lines(status_of(f"models:/{CHAMPION}", alias=ALIAS, mlflow_uri=self.mlflow_uri), width=WIDTH)


def new_registry(folder: Path) -> RegistryFiles:
    """A registry of this demo's own, which shows from the beginning how its models fare."""
    suites = tuple(sorted(path.stem for path in SUITES.glob("*.yaml")))
    return make_anew(folder / REGISTRY, model=CHAMPION, suites=suites)


def reusable(contender: Contender) -> bool:
    """Whether a sealed record asked the same questions of the same weights with the same llmgate, not too long ago."""
    plan = contender.plan
    try:
        record = load_record(contender.out)
        noted_baseline(contender.out)
    except RecordError:
        return False
    manifest, sealed = record.manifest, instant(record.seal.sealed_at) if record.seal else None
    return (
        sealed is not None
        and datetime.now(UTC) - sealed < COUNTS
        and manifest.cases_digest == cases_digest(case.planned for case in plan.cases)
        and {suite.digest for suite in manifest.suites} == {planned.suite.digest for planned in plan.suites}
        and manifest.policy == plan.policy
        and manifest.model.weights_digest == weights_digest(contender.model)
        and manifest.llmgate_version == llmgate.__version__
    )


def in_the_way(contender: Contender) -> bool:
    """Whether there is a run that is not reusable and cannot be gone on with either."""
    out = contender.out
    try:
        manifest = load_record(out, unfinished=True).manifest
    except LlmgateError:
        return (out / "manifest.json").exists()
    same = manifest.cases_digest == cases_digest(case.planned for case in contender.plan.cases)
    return (out / "seal.json").exists() or not same


def score_of(entry: Entry, suite: str, name: str) -> str:
    """A model's score on a metric, marked where the gate failed it."""
    for metric in entry.decision.metrics:
        if (metric.suite, metric.metric) == (suite, name) and metric.candidate is not None:
            mark = "" if metric.verdict is Verdict.PASS else f" {metric.verdict}"
            return f"{amount(metric.candidate, metric.unit) if metric.unit else f'{metric.candidate:.1%}'}{mark}"
    return "-"


def show(entries: list[Entry]) -> None:
    """The table at the end, 80 columns wide, and a word on each model."""
    styles = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
    table = Table("", *(entry.contender.title for entry in entries))
    table.add_row("version", *(f"v{entry.version.rpartition('/')[2]}" for entry in entries))
    for metric in entries[0].decision.metrics:
        if metric.gates:
            cells = [score_of(entry, metric.suite, metric.metric) for entry in entries]
            table.add_row(f"{metric.suite}::{metric.metric}", *cells)
    words = [f"[bold {styles[entry.decision.verdict]}]{entry.decision.verdict}[/]" for entry in entries]
    table.add_row("verdict", *words, style="bold")
    table.add_row("alias champion", *("allowed" if entry.promoted else "refused" for entry in entries))
    Console().print(table)
    for entry in entries:
        click.echo(f"{entry.contender.title}: {entry.decision.sentence}")
        if entry.promotion.startswith("refused"):
            click.echo(f"  promotion {entry.promotion}")
        click.echo(f"  report: {entry.contender.out / 'report.html'}")


def show_registry(status: list[LedLine], folder: Path) -> None:
    """What the ledger shows, and how to look at MLflow when the demo's server has ended."""
    click.echo(f"llmgate status models:/{CHAMPION}")
    for lead, text, _ in status:
        click.echo(f"  {lead}{text}".rstrip())
    database = RegistryFiles(folder=folder / REGISTRY).database
    click.echo("MLflow (this opens the database itself, past the gate):")
    click.echo(f"  mlflow ui --backend-store-uri sqlite:///{database}")
