"""Versions that hold a LoRA adapter alone: fetched, named as what is judged, bound by adapter and base, registered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.adapters import write_adapter
from support.promotions import digest_of, make_manifest
from support.servers import model_folder

from llmgate.attest.statement import RegistryFacts
from llmgate.errors import AttestationError, CannotRunError, PromotionRefusedError, UsageError
from llmgate.generate.sources.local import bring_home
from llmgate.generate.sources.place import read_place
from llmgate.promote import rollback, tags
from llmgate.promote.target import RecordIdentity, VersionFacts
from llmgate.promote.version_binding import binding_problem
from llmgate.record.manifest import ModelIdentity, adapted_digest
from llmgate.record.policy import Binding
from llmgate.record.schema import Seal
from llmgate.record.weights import weights_digest
from llmgate.session.decide.promote import source_digest
from llmgate.session.decide.publish import new_version
from llmgate.session.decide.sign import refuse_other_version
from llmgate.session.progress import LineProgress
from llmgate.session.reach.adapters import named_adapters
from llmgate.session.reach.owned import identify_folder
from llmgate.session.reach.sources import local_model, localised
from llmgate.session.run.registered import look_up
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from support.registry import Registry

    from llmgate.generate.sources.model import LocalModel
    from llmgate.session.settings.typed import Settings

QUIET = LineProgress(lambda _: None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def log(registry: Registry, folder: Path) -> tuple[str, str]:
    """Log a folder with a run, and register it: the version, and its source."""
    experiment = registry.raw("get_experiment_by_name", "llmgate")
    number = experiment.experiment_id if experiment else registry.raw("create_experiment", "llmgate")
    run = registry.raw("create_run", number)
    registry.raw("log_artifacts", run.info.run_id, str(folder), "model")
    if not registry.raw("search_registered_models", filter_string=f"name = '{registry.name}'"):
        registry.raw("create_registered_model", registry.name)
    made = registry.raw("create_model_version", registry.name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return f"models:/{registry.name}/{made.version}", str(made.source)


def brought(registry: Registry, text: str) -> LocalModel:
    return bring_home(read_place(text), tracking_uri=registry.uri, code=False, cache=None, progress=QUIET)


def judged(registry: Registry, tmp_path: Path, **given: Any) -> tuple[Settings, ModelIdentity]:
    """The settings of a run of the adapter `new` once everything is here, and who it is."""
    base = given.pop("model", None) or str(model_folder(tmp_path))
    wanted = {"model": base, "mlflow_uri": registry.uri, **given}
    settings = localised(settings_from(wanted, root=tmp_path), QUIET)
    whole = identify_folder(settings, settings.model or "", "base", progress=QUIET)
    found = {each.adapter.name: each.model for each in _adapters(settings, whole)}
    return settings, found["new"]


def _adapters(settings: Settings, whole: ModelIdentity) -> Any:
    base = local_model(settings, settings.model or "", QUIET)
    return named_adapters(settings, base, whole, tested="new", progress=QUIET)


@pytest.mark.over_http
def test_an_adapter_comes_out_of_a_registry(registry: Registry, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new")
    uri, source = log(registry, folder)
    found = brought(registry, uri)
    assert weights_digest(found.folder) == weights_digest(folder)
    assert found.registry_uri == uri
    if not registry.uri.startswith("http"):
        assert source_digest(source) == weights_digest(folder)


@pytest.mark.over_http
def test_an_adapter_that_was_logged_with_its_pipeline_is_the_one_that_peft_wrote(
    registry: Registry, tmp_path: Path
) -> None:
    logged = tmp_path / "logged"
    write_adapter(logged / "peft")
    (logged / "components" / "tokenizer").mkdir(parents=True)
    (logged / "components" / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    flavor = {"peft_adaptor": "peft", "source_model_name": "acme/bot", "components": ["tokenizer"]}
    (logged / "MLmodel").write_text(yaml.safe_dump({"flavors": {"transformers": flavor}}), encoding="utf-8")
    uri, source = log(registry, logged)
    found = brought(registry, uri)
    assert weights_digest(found.folder) == weights_digest(logged / "peft")
    if not registry.uri.startswith("http"):
        assert source_digest(source) == weights_digest(logged / "peft")
    (logged / "peft" / "adapter_config.json").unlink()
    bare, _ = log(registry, logged)
    with pytest.raises(CannotRunError, match=r"a LoRA adapter without its adapter_config\.json"):
        brought(registry, bare)


@pytest.mark.over_http
def test_a_version_of_an_adapter_is_what_its_run_judges(registry: Registry, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new")
    uri, _ = log(registry, folder)
    settings, model = judged(registry, tmp_path, adapter=f"new={uri}")
    assert settings.registry_uri == uri
    base, own = weights_digest(tmp_path / "model"), weights_digest(folder)
    assert (model.registry_uri, model.source, model.name) == (uri, uri, "new")
    assert (model.base, model.adapter, model.weights_digest) == (base, own, adapted_digest(base, own))
    assert look_up(settings).bind(settings, model).binding is Binding.WEIGHTS
    # A gate run on another base left its digest on the version.
    number = uri.rpartition("/")[2]
    registry.raw("set_model_version_tag", registry.name, number, tags.WEIGHTS_DIGEST, adapted_digest("0" * 64, own))
    with pytest.raises(UsageError, match=f"are not those of {uri}"):
        look_up(settings).bind(settings, model)


def test_a_version_is_claimed_by_the_adapter_under_test_and_by_nothing_beside_it(
    registry: Registry, tmp_path: Path
) -> None:
    new, _ = log(registry, write_adapter(tmp_path / "new", seed=1))
    old, _ = log(registry, write_adapter(tmp_path / "old", seed=2))
    plain = write_adapter(tmp_path / "plain", seed=3)
    given = {"adapter": f"new={new} old={old} plain={plain}", "served_name": "new"}
    settings, model = judged(registry, tmp_path, **given)
    whole = replace(model, name="base")
    beside = {each.adapter.name: each.model.registry_uri for each in _adapters(settings, whole)}
    assert beside == {"new": new, "old": old, "plain": None}


def test_a_version_that_is_named_beside_the_adapter_binds_by_its_files(registry: Registry, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new")
    registry.raw("create_registered_model", registry.name)
    registry.raw("create_model_version", registry.name, folder.as_uri())
    uri = f"models:/{registry.name}/1"
    settings, model = judged(registry, tmp_path, adapter=f"new={folder}", registry_uri=uri)
    assert look_up(settings).bind(settings, model).binding is Binding.WEIGHTS
    write_adapter(folder, seed=7)
    with pytest.raises(UsageError, match="are not those of"):
        look_up(settings).bind(settings, model)


def test_a_version_of_the_base_is_not_what_an_adapter_on_it_is_judged_for(registry: Registry, tmp_path: Path) -> None:
    uri, _ = log(registry, model_folder(tmp_path))
    folder = write_adapter(tmp_path / "new")
    settings, model = judged(registry, tmp_path, model=uri, adapter=f"new={folder}")
    assert (settings.registry_uri, model.registry_uri) == (None, None)
    whole, _ = judged(registry, tmp_path, model=uri, adapter=f"new={folder}", served_name=registry.name)
    assert whole.registry_uri == uri


def test_of_two_adapters_the_candidate_is_judged(registry: Registry, tmp_path: Path) -> None:
    new, _ = log(registry, write_adapter(tmp_path / "new", seed=1))
    old, _ = log(registry, write_adapter(tmp_path / "old", seed=2))
    both = f"new={new} old={old}"
    settings, _ = judged(registry, tmp_path, adapter=both, champion_adapter="old")
    assert settings.registry_uri == new
    chosen, _ = judged(registry, tmp_path, adapter=both, served_name="old")
    assert chosen.registry_uri == old
    open_, _ = judged(registry, tmp_path, adapter=both)
    assert open_.registry_uri is None
    with pytest.raises(UsageError, match="and the run is to judge"):
        judged(registry, tmp_path, adapter=both, champion_adapter="old", registry_uri=old)


def test_an_adapter_is_registered_and_not_its_base(registry: Registry, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new")
    settings, model = judged(registry, tmp_path, adapter=f"new={folder}", mlflow_model=registry.name)
    assert new_version(settings, model).source == str(folder)


# Promotion and signatures: the files of a version are the adapter alone.

BASE, OWN = digest_of("base"), digest_of("adapter")


def record(**changes: Any) -> RecordIdentity:
    manifest = make_manifest("r1", registry_uri="models:/bot/1", weights="x")
    model = replace(manifest.model, base=BASE, adapter=OWN, weights_digest=adapted_digest(BASE, OWN))
    seal = Seal(sealed_at=manifest.created_at, journal_digest="1" * 64, results=10)
    return RecordIdentity(manifest=replace(manifest, model=replace(model, **changes)), seal=seal)


def version(**told: str) -> VersionFacts:
    return VersionFacts(name="bot", version="1", source="/x", created_at=datetime(2026, 1, 1, tzinfo=UTC), tags=told)


@pytest.mark.parametrize(
    ("found", "changes", "problem"),
    [
        (OWN, {}, None),
        (adapted_digest(BASE, OWN), {}, None),
        (BASE, {}, "are not the weights"),
        (digest_of("another adapter"), {}, "are not the weights"),
        # A record that names the adapter, and whose digest is of something else.
        (OWN, {"weights_digest": digest_of("other")}, "are not the weights"),
        (OWN, {"base": digest_of("other base")}, "are not the weights"),
        ("", {"adapter": "", "base": ""}, "are not the weights"),
    ],
)
def test_the_files_of_a_version_are_the_adapter_that_was_measured_on_its_base(
    found: str, changes: dict[str, Any], problem: str | None
) -> None:
    told = binding_problem(version(), "models:/bot/1", record(**changes), found)
    assert told is None if problem is None else problem in (told or "")


def test_a_tag_is_about_adapter_and_base() -> None:
    whole = version(**{tags.WEIGHTS_DIGEST: adapted_digest(BASE, OWN)})
    assert binding_problem(whole, "models:/bot/1", record(), OWN) is None
    alone = version(**{tags.WEIGHTS_DIGEST: OWN})
    assert "the weights digest on the version" in (binding_problem(alone, "models:/bot/1", record(), OWN) or "")


def test_a_verdict_is_signed_for_a_version_that_holds_the_adapter(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "new")
    own = weights_digest(folder)
    manifest = record(adapter=own, weights_digest=adapted_digest(BASE, own)).manifest
    at = RegistryFacts(
        id="r", model="bot", version="1", created_at=datetime(2026, 1, 1, tzinfo=UTC), source=str(folder), alias="x"
    )
    refuse_other_version(manifest, at, tagged=manifest.model.weights_digest)
    with pytest.raises(AttestationError, match="is not that of the weights"):
        refuse_other_version(manifest, at, tagged=own)
    write_adapter(folder, seed=3)
    with pytest.raises(AttestationError, match="are not the weights that were measured"):
        refuse_other_version(manifest, at, tagged=None)


@pytest.mark.parametrize(
    ("found", "earned", "held"),
    [
        (adapted_digest(BASE, OWN), None, True),
        (OWN, record(), True),
        (OWN, None, False),
        (OWN, PromotionRefusedError("it was altered"), False),
        (BASE, record(), False),
        (digest_of("another adapter"), record(), False),
        # What earned the alias was another base with the same adapter.
        (OWN, record(base=digest_of("b"), weights_digest=adapted_digest(digest_of("b"), OWN)), False),
    ],
)
def test_a_rollback_knows_the_adapter_by_the_record_that_earned_the_alias(
    monkeypatch: pytest.MonkeyPatch, found: str, earned: RecordIdentity | Exception | None, held: bool
) -> None:
    def read(*_: object) -> Any:
        if isinstance(earned, Exception):
            raise earned
        return None if earned is None else SimpleNamespace(record=earned)

    monkeypatch.setattr(rollback, "read_earned", read)
    nobody: Any = None
    assert rollback.holds(nobody, version(), "champion", adapted_digest(BASE, OWN), found) is held
