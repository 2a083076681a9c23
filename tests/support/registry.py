"""The moves that tests make on one registered model of a live MLflow store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.mlflow_quiet import quiet
from llmgate.promote.alias import CHAMPION
from llmgate.promote.mlflow_client import resolve_uris
from llmgate.promote.mlflow_target import MlflowTarget
from llmgate.promote.registries import log_run, promote
from llmgate.promote.target import GateRun, LoggedRun, NewVersion
from llmgate.record.policy import Binding
from support.promotions import POLICY, digest_of, make_manifest, redecide, store_decision, write_record

if TYPE_CHECKING:
    from llmgate.promote.promotion import Promotion
    from llmgate.promote.target import VersionFacts
    from llmgate.record.policy import Policy

__all__ = ["Registry", "find_holder"]


def find_holder(name: str, *, tracking_uri: str) -> VersionFacts | None:
    """The version that holds the champion's alias, as llmgate sees it."""
    return MlflowTarget(*resolve_uris(tracking_uri, None)).holder(name, CHAMPION)


@dataclass(kw_only=True)
class Registry:
    """One registered model of an otherwise shared store, and the moves that tests make on it.

    `contents` says what lies at a source: text that stands for weights. What is absent cannot be reached.
    """

    uri: str
    name: str
    folder: Path
    client: Any
    contents: dict[str, str] = field(default_factory=dict)

    def raw(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call the MLflow client behind llmgate's back."""
        with quiet():
            return getattr(self.client, method)(*args, **kwargs)

    def create(self, weights: str, *, name: str | None = None) -> str:
        """A version whose weights lie at a reachable source; returns its URI."""
        name = name or self.name
        source = f"s3://bucket/{name}/{weights}"
        self.contents[source] = digest_of(weights)
        with quiet():
            if not self.client.search_registered_models(filter_string=f"name = '{name}'"):
                self.client.create_registered_model(name)
            made = self.client.create_model_version(name, source)
        return f"models:/{name}/{made.version}"

    def measure(
        self,
        weights: str,
        uri: str | None,
        *,
        right: int = 100,
        shift: int = 0,
        age: timedelta = timedelta(),
        policy: Policy = POLICY,
        endpoint: str | None = None,
        binding: Binding = Binding.WEIGHTS,
    ) -> Path:
        """A sealed record of a run on these weights, or at an endpoint that is said to have them."""
        run_id = f"run-{len(list(self.folder.iterdir()))}-{weights}"
        manifest = make_manifest(
            run_id,
            registry_uri=uri,
            weights=None if endpoint else weights,
            policy=policy,
            endpoint=endpoint,
            binding=binding,
        )
        return write_record(self.folder / run_id, manifest, right=right, shift=shift, age=age)

    def log(
        self,
        record: Path,
        *,
        baseline: Path | None = None,
        model_version: str | None = None,
        new: NewVersion | None = None,
    ) -> LoggedRun:
        """Decide and log."""
        return log_run(self.gate_run(record, baseline), model_version=model_version, new=new, tracking_uri=self.uri)

    def gate_run(self, record: Path, baseline: Path | None = None) -> GateRun:
        """The decision on a record, with the files that people read."""
        decision = redecide(record, baseline)
        report = record / "report.html"
        report.write_text("<h1>Report</h1>", encoding="utf-8")
        verdict = record / "verdict.json"
        verdict.write_text("{}", encoding="utf-8")
        return GateRun(
            folder=record,
            decision=decision,
            decision_json=store_decision(record, decision),
            report=report,
            verdict_json=verdict,
            baseline=baseline,
            serving={"ttft_p50_s": 0.128},
        )

    def promote(self, uri: str, alias: str = "champion", **kwargs: Any) -> Promotion:
        """The call under test."""
        return promote(uri, alias, redecide=redecide, source_digest=self.contents.get, tracking_uri=self.uri, **kwargs)

    def crown(self, weights: str = "v1", **measured: Any) -> tuple[str, Path]:
        """A first champion by threshold: its URI and its record."""
        uri = self.create(weights)
        record = self.measure(weights, uri, **measured)
        self.log(record)
        self.promote(uri)
        return uri, record

    def challenge(self, baseline: Path, weights: str = "v2", **measured: Any) -> tuple[str, LoggedRun]:
        """A version that was compared with the champion's record: its URI and its run."""
        uri = self.create(weights)
        return uri, self.log(self.measure(weights, uri, **measured), baseline=baseline)

    def forget_what_earned_it(self, uri: str) -> None:
        """Leave the registry as an llmgate from before evidence was kept left it."""
        name, _, number = uri.removeprefix("models:/").rpartition("/")
        told = self.raw("get_model_version", name, number).tags
        for key in told:
            if key.startswith(("llmgate.earned/", "llmgate.verdicts/", "llmgate.binding")):
                self.raw("delete_model_version_tag", name, number, key)

    def holder(self, alias: str = "champion") -> str | None:
        """The version number that holds an alias."""
        number = self.raw("get_registered_model", self.name).aliases.get(alias)
        return None if number is None else str(number)
