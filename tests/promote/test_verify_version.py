"""`llmgate verify models:/…`: a version's files in a live registry against the verdict in its tags."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.adapters import write_adapter
from support.registry import Registry
from support.servers import model_folder
from support.verdicts import REGISTRY, Keys, gate_statement, make_keys

from llmgate.attest.statement import ChampionFacts, RegistryFacts, bind
from llmgate.attest.tags import attestation_key
from llmgate.errors import AttestationError, CannotRunError, UsageError
from llmgate.promote.mlflow_client import resolve_uris
from llmgate.promote.mlflow_target import MlflowTarget
from llmgate.promote.target import VersionFacts
from llmgate.record.manifest import adapted_digest
from llmgate.record.weights import weights_digest, weights_manifest
from llmgate.session.commands.verdict.for_serving import VerifyQuestion
from llmgate.session.commands.verify import WeightsCheck, verify_weights
from llmgate.session.progress import LineProgress

PROTECT = """
  - models: ["bot-*"]
    suites: {support: "*"}
"""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A version whose files lie among the artifacts of a run, and the folder that they were copied from."""

    registry: Registry
    folder: Path
    keys: Keys
    version: VersionFacts
    run_id: str

    def facts(self, **changed: Any) -> RegistryFacts:
        """What the registry says of it."""
        v = self.version
        known = {"model": v.name, "version": v.version, "created_at": v.created_at, "source": v.source}
        return RegistryFacts(**{"id": REGISTRY, "alias": "champion", **known, **changed})

    def tag(self, *, n: int = 1, digest: str | None = None, ago: timedelta = timedelta(), **told: Any) -> str:
        """Put a verdict into the version's tags; returns its text."""
        facts = told.pop("facts", self.facts())
        statement = gate_statement(**told)
        statement["subject"][0]["digest"]["sha256"] = digest or weights_digest(self.folder)
        issued_at = datetime.now(UTC) - ago
        bound = bind(
            statement,
            registry=facts,
            champion=ChampionFacts(version="9", created_at=issued_at),
            records={"candidate": "1" * 64, "baseline": None, "decision": "2" * 64},
            attempts=1,
            issued_at=issued_at,
            expires_at=issued_at + timedelta(days=30),
        )
        text = self.keys.sign(bound)
        key = attestation_key(facts.alias, n)
        self.registry.raw("set_model_version_tag", self.version.name, self.version.version, key, text)
        return text

    def ask(self, what: str | None = None, **changes: Any) -> WeightsCheck:
        """The question."""
        given = {"policy": self.keys.path, "mlflow_uri": self.registry.uri, **changes}
        return verify_weights(VerifyQuestion(what=what or self.version.uri, **given), LineProgress(lambda _: None))


@pytest.fixture
def registered(registry: Registry, tmp_path: Path) -> Registered:
    folder = model_folder(tmp_path)
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text("{}", encoding="utf-8")
    experiment = registry.raw("get_experiment_by_name", "llmgate")
    number = experiment.experiment_id if experiment else registry.raw("create_experiment", "llmgate")
    run = registry.raw("create_run", number)
    registry.raw("log_artifacts", run.info.run_id, str(folder), "model")
    registry.raw("create_registered_model", registry.name)
    made = registry.raw("create_model_version", registry.name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return Registered(
        registry=registry,
        folder=folder,
        keys=make_keys(tmp_path / "keys", protect=PROTECT),
        version=MlflowTarget(*resolve_uris(registry.uri, None)).version(registry.name, str(made.version)),
        run_id=run.info.run_id,
    )


@pytest.mark.over_http
def test_the_files_in_the_store_are_held_against_the_verdict_in_the_tags(
    registered: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    registered.tag()
    check = registered.ask()
    assert check.verified, check
    name = registered.version.name
    registered.registry.raw("set_registered_model_alias", name, "champion", registered.version.version)
    assert registered.ask(f"models:/{name}@champion").verified
    # Whoever may log to the run exchanges the weights afterwards.
    (registered.folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{X")
    registered.registry.raw("log_artifacts", registered.run_id, str(registered.folder), "model")
    assert registered.ask(f"models:/{name}@champion").exit_code == 1
    assert list(scratch.iterdir()) == []


@pytest.mark.over_http
def test_a_version_that_holds_an_adapter_is_verified_with_its_base(registered: Registered, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    registry, name = registered.registry, registered.version.name
    registry.raw("log_artifacts", registered.run_id, str(adapter), "adapter")
    source = registered.version.source.removesuffix("/model") + "/adapter"
    made = registry.raw("create_model_version", name, source, registered.run_id)
    version = MlflowTarget(*resolve_uris(registry.uri, None)).version(name, str(made.version))
    held = replace(registered, folder=adapter, version=version)
    held.tag(digest=adapted_digest(weights_digest(registered.folder), weights_digest(adapter)))
    check = held.ask(str(registered.folder), adapter=version.uri)
    assert check.verified, check
    assert f"{registered.folder} with {version.uri} holds" in check.sentence
    alone = held.ask()
    assert alone.exit_code == 1
    assert f"This is an adapter alone: name its base, and this as `--adapter {version.uri}`." in alone.lines
    assert held.ask(str(adapter), adapter=version.uri).exit_code == 1
    with pytest.raises(CannotRunError, match="no server shows the weights of its adapters"):
        held.ask("http://127.0.0.1:9", adapter=version.uri)
    with pytest.raises(UsageError, match="names no version"):
        held.ask(str(registered.folder), adapter="models:/bot")


def test_which_files_differ_is_told_by_a_manifest(registered: Registered, tmp_path: Path) -> None:
    registered.tag()
    manifest = tmp_path / "weights.json"
    manifest.write_text(weights_manifest(registered.folder).to_json(), encoding="utf-8")
    (registered.folder / "code.py").write_text("x", encoding="utf-8")
    registered.registry.raw("log_artifacts", registered.run_id, str(registered.folder), "model")
    assert registered.ask(manifest=manifest).lines == ("code.py: added",)


def test_a_version_without_a_verdict_cannot_be_verified(registered: Registered) -> None:
    with pytest.raises(CannotRunError, match="carries no verdict for the alias 'champion'"):
        registered.ask()
    registered.tag(facts=registered.facts(alias="shadow"))
    with pytest.raises(CannotRunError, match="carries no verdict for the alias 'champion'"):
        registered.ask()
    assert registered.ask(alias="shadow").verified
    with pytest.raises(CannotRunError, match="no version holds this alias"):
        registered.ask(f"models:/{registered.version.name}@shadow")


def test_the_last_verdict_counts(registered: Registered) -> None:
    registered.tag(ago=timedelta(days=2))
    assert registered.ask().verified
    registered.tag(n=2, outcome="FAIL", ago=timedelta(days=1))
    with pytest.raises(AttestationError, match="the verdict is FAIL"):
        registered.ask()
    registered.tag(n=3)
    assert registered.ask().verified


def test_a_forged_verdict_beside_a_true_one_changes_nothing(registered: Registered) -> None:
    text = json.loads(registered.tag())
    name, number = registered.version.name, registered.version.version
    text["signatures"][0]["sig"] = text["signatures"][0]["sig"][::-1]
    registered.registry.raw("set_model_version_tag", name, number, attestation_key("champion", 2), "{}")
    assert registered.ask().verified
    registered.registry.raw("set_model_version_tag", name, number, attestation_key("champion"), json.dumps(text))
    with pytest.raises(AttestationError):
        registered.ask()


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"version": "8"}, "for the version '8'"),
        ({"source": "s3://elsewhere"}, "weights at 's3://elsewhere'"),
        ({"created_at": datetime(2026, 1, 1, tzinfo=UTC)}, "a version of this number that was deleted"),
        ({"id": "other"}, "for the registry 'other'"),
        ({"model": "bot-other"}, "for the model 'bot-other'"),
        ({"workspace": "team"}, "for the workspace 'team'"),
    ],
)
def test_a_verdict_about_anything_else_is_refused(registered: Registered, changed: dict[str, Any], match: str) -> None:
    registered.tag(facts=registered.facts(**changed))
    with pytest.raises(AttestationError, match=match):
        registered.ask()


def test_a_verdict_may_be_given_as_a_file(registered: Registered, tmp_path: Path) -> None:
    path = tmp_path / "verdict.dsse.json"
    path.write_text(registered.tag(), encoding="utf-8")
    registered.tag(outcome="FAIL")
    assert registered.ask(verdict=path).verified


@pytest.mark.parametrize("source", ["https://example.org/model", "file:///absent/folder"])
def test_files_that_lie_elsewhere_are_not_fetched(registered: Registered, source: str) -> None:
    made = registered.registry.raw("create_model_version", registered.version.name, source)
    version = MlflowTarget(*resolve_uris(registered.registry.uri, None)).version(
        registered.version.name, str(made.version)
    )
    other = Registered(
        **{**{n: getattr(registered, n) for n in ("registry", "folder", "keys", "run_id")}, "version": version}
    )
    other.tag()
    with pytest.raises(CannotRunError, match="takes none|this machine does not have"):
        other.ask()
