"""Every way to a champion that a polite client can see through, against a live registry."""

from __future__ import annotations

import importlib
import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.promotions import digest_of

from llmgate.errors import CannotRunError, PromotionRefusedError, UsageError
from llmgate.mlflow_quiet import quiet
from llmgate.promote import tags
from llmgate.promote.mlflow_target import MlflowTarget
from llmgate.promote.target import NewVersion

if TYPE_CHECKING:
    from pathlib import Path

    from support.registry import Registry


def version_of(uri: str) -> str:
    return uri.rsplit("/", 1)[1]


@pytest.mark.over_http
def test_first_champion_and_its_successor(registry: Registry, capfd: pytest.CaptureFixture[str]) -> None:
    first, record = registry.crown()
    assert registry.holder() == version_of(first)
    second, _ = registry.challenge(record)
    done = registry.promote(second)
    assert registry.holder() == version_of(second)
    assert done.changed
    assert done.over is not None
    assert done.over.uri == first
    told = registry.raw("get_model_version", registry.name, version_of(second)).tags
    assert told[tags.PROMOTED_OVER] == version_of(first)
    assert told[tags.PROMOTED_ALIAS] == "champion"
    assert told[tags.PROMOTED_AT].endswith("+00:00")
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")


def test_promoting_the_champion_again_changes_nothing(registry: Registry) -> None:
    uri, _ = registry.crown()
    before = registry.raw("get_model_version", registry.name, version_of(uri)).tags
    assert not registry.promote(uri).changed
    assert registry.raw("get_model_version", registry.name, version_of(uri)).tags == before


def refused(registry: Registry, uri: str, match: str, alias: str = "champion", **kwargs: Any) -> None:
    before = registry.holder(), registry.holder(alias)
    with pytest.raises(PromotionRefusedError, match=match) as caught:
        registry.promote(uri, alias, **kwargs)
    assert (registry.holder(), registry.holder(alias)) == before
    assert str(caught.value).startswith(f"{uri.split('/')[1]} v{version_of(uri)} -> {alias}: ")
    assert "\n" not in str(caught.value)


def test_no_verdict(registry: Registry) -> None:
    refused(registry, registry.create("v1"), "no verdict, run the gate")


def test_a_forged_tag_is_no_verdict(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.raw("set_model_version_tag", registry.name, "1", tags.VERDICT, "PASS")
    refused(registry, uri, "no verdict")
    registry.raw("set_model_version_tag", registry.name, "1", tags.EVIDENCE, "0123456789abcdef0123456789abcdef")
    refused(registry, uri, "names MLflow run 0123456789abcdef0123456789abcdef, which does not exist")


def test_fail(registry: Registry) -> None:
    _, record = registry.crown()
    uri, _ = registry.challenge(record, right=60)
    refused(registry, uri, "verdict is FAIL")
    registry.raw("set_model_version_tag", registry.name, "2", tags.VERDICT, "PASS")
    refused(registry, uri, "verdict is FAIL")


def test_inconclusive(registry: Registry) -> None:
    _, record = registry.crown(right=80)
    uri, _ = registry.challenge(record, right=80, shift=20)
    refused(registry, uri, "verdict is INCONCLUSIVE, which never allows a promotion")


def test_expired(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    refused(registry, uri, "has expired", max_age=timedelta(microseconds=1))


def test_verdict_of_one_version_on_another(registry: Registry) -> None:
    first = registry.create("v1")
    registry.log(registry.measure("v1", first))
    second = registry.create("v2")
    steal_tags(registry, "1", "2")
    refused(registry, second, f"about {first} and not about {second}")


def steal_tags(registry: Registry, from_version: str, to_version: str) -> None:
    for key, value in registry.raw("get_model_version", registry.name, from_version).tags.items():
        registry.raw("set_model_version_tag", registry.name, to_version, key, value)


def test_verdict_of_another_model(registry: Registry) -> None:
    other = registry.create("v1", name=f"{registry.name}-other")
    registry.log(registry.measure("v1", other))
    uri = registry.create("v1")
    for key, value in registry.raw("get_model_version", f"{registry.name}-other", "1").tags.items():
        registry.raw("set_model_version_tag", registry.name, "1", key, value)
    refused(registry, uri, f"about {other} and not about {uri}")


def test_a_copied_version_does_not_inherit_the_verdict(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    copy = f"{registry.name}-copy"
    made = registry.raw("copy_model_version", uri, copy)
    assert made.tags[tags.VERDICT] == "PASS"
    with pytest.raises(PromotionRefusedError, match=f"about {uri} and not about models:/{copy}/1"):
        registry.promote(f"models:/{copy}/1")


def test_a_recreated_model_does_not_inherit_the_verdict(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    old = registry.raw("get_model_version", registry.name, "1").tags
    registry.raw("delete_registered_model", registry.name)
    assert registry.create("v1") == uri
    for key, value in old.items():
        registry.raw("set_model_version_tag", registry.name, "1", key, value)
    refused(registry, uri, "about a version that was deleted")


def test_swapped_weights(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    registry.contents[f"s3://bucket/{registry.name}/v1"] = digest_of("swapped")
    refused(registry, uri, "are not the weights that were measured")


def test_forged_weights_digest(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    registry.contents.clear()
    registry.raw("set_model_version_tag", registry.name, "1", tags.WEIGHTS_DIGEST, "0" * 64)
    refused(registry, uri, "weights digest on the version")


def test_tampered_decision(registry: Registry, tmp_path: Path) -> None:
    _, record = registry.crown()
    uri, logged = registry.challenge(record, right=60)
    stored = tmp_path / "decision.json"
    honest = json.loads((registry.folder / "run-1-v2" / "decision.json").read_text(encoding="utf-8"))
    stored.write_text(json.dumps(honest | {"verdict": "PASS"}), encoding="utf-8")
    registry.raw("log_artifact", logged.run_id, str(stored))
    refused(registry, uri, "says PASS but its records give FAIL")


@pytest.mark.over_http
def test_tampered_record(registry: Registry, tmp_path: Path) -> None:
    _, record = registry.crown()
    uri, logged = registry.challenge(record, right=60)
    journal = tmp_path / "journal.jsonl"
    shutil.copy(registry.folder / "run-1-v2" / "journal.jsonl", journal)
    journal.write_bytes(journal.read_bytes().replace(b'"outcome":"fail","score":0.0', b'"outcome":"pass","score":1.0'))
    registry.raw("log_artifact", logged.run_id, str(journal), "record")
    refused(registry, uri, "record/journal.jsonl: the file changed after the run was sealed")


def test_unsealed_record(registry: Registry, tmp_path: Path) -> None:
    uri = registry.create("v1")
    record = registry.measure("v1", uri)
    experiment = registry.raw("get_experiment_by_name", "llmgate").experiment_id
    run = registry.raw("create_run", experiment, tags={tags.SUBJECT: uri}).info.run_id
    registry.gate_run(record)
    (record / "seal.json").unlink()
    registry.raw("log_artifacts", run, str(record), "record")
    registry.raw("log_artifact", run, str(record / "decision.json"))
    registry.raw("set_model_version_tag", registry.name, "1", tags.EVIDENCE, run)
    refused(registry, uri, f"MLflow run {run} is RUNNING and not FINISHED")
    registry.raw("set_terminated", run)
    refused(registry, uri, "this run is unfinished, so there is nothing to decide on")


@pytest.mark.parametrize("missing", ["record", "decision.json"])
def test_missing_artifacts(registry: Registry, missing: str) -> None:
    uri = registry.create("v1")
    record = registry.measure("v1", uri)
    registry.gate_run(record)
    experiment = registry.raw("get_experiment_by_name", "llmgate").experiment_id
    run = registry.raw("create_run", experiment, tags={tags.SUBJECT: uri}).info.run_id
    if missing == "record":
        registry.raw("log_artifact", run, str(record / "decision.json"))
    else:
        registry.raw("log_artifact", run, str(record / "seal.json"), "record")
    registry.raw("set_terminated", run)
    registry.raw("set_model_version_tag", registry.name, "1", tags.EVIDENCE, run)
    refused(registry, uri, f"lacks the artifact {missing}, run the gate again")


@pytest.mark.over_http
def test_deleted_run(registry: Registry) -> None:
    uri = registry.create("v1")
    logged = registry.log(registry.measure("v1", uri))
    registry.raw("delete_run", logged.run_id)
    refused(registry, uri, "was deleted; restore it or run the gate again")


def test_champion_moved_since_the_comparison(registry: Registry) -> None:
    _, record = registry.crown()
    second, _ = registry.challenge(record, "v2")
    third, _ = registry.challenge(record, "v3")
    registry.promote(second)
    refused(registry, third, f"so the verdict is stale; run the gate with models:/{registry.name}@champion as baseline")


def test_champion_that_nobody_compared_with(registry: Registry) -> None:
    registry.crown()
    uri = registry.create("v2")
    registry.log(registry.measure("v2", uri))
    refused(registry, uri, "version 1 holds the alias but the candidate was not compared with it")


def test_champion_gone_since_the_comparison(registry: Registry) -> None:
    _, record = registry.crown()
    uri, _ = registry.challenge(record)
    registry.raw("delete_registered_model_alias", registry.name, "champion")
    refused(registry, uri, "nobody holds the alias any more")


@pytest.mark.parametrize("alias", ["Champion", "CHAMPION", " champion", "сhampion"])
def test_look_alikes(registry: Registry, alias: str) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    refused(registry, uri, "did you mean 'champion'", alias)


def test_a_look_alike_that_the_registry_already_holds(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    registry.raw("set_registered_model_alias", registry.name, "Champion", "1")
    refused(registry, uri, "did you mean 'champion'", "Champion")
    assert registry.promote(uri).changed
    assert registry.holder("champion") == "1"


@pytest.mark.parametrize("uri", ["models:/bot@champion", "models:/bot/latest", "models:/bot/Production", "bot/1"])
def test_a_uri_that_names_no_single_version(registry: Registry, uri: str) -> None:
    with pytest.raises(UsageError, match="exactly one version"):
        registry.promote(uri)


@pytest.mark.over_http
def test_a_version_that_does_not_exist(registry: Registry) -> None:
    registry.create("v1")
    with pytest.raises(CannotRunError, match=r"models:/bot-.*/9: there is no such model version"):
        registry.promote(f"models:/{registry.name}/9")


def test_another_promotion_between_check_and_set(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    _, record = registry.crown()
    registry.challenge(record, "v2")
    third, _ = registry.challenge(record, "v3")
    honest = MlflowTarget.evidence

    def meanwhile(self: MlflowTarget, *args: Any, **kwargs: Any) -> Any:
        found = honest(self, *args, **kwargs)
        registry.raw("set_registered_model_alias", registry.name, "champion", "2")
        return found

    monkeypatch.setattr(MlflowTarget, "evidence", meanwhile)
    with pytest.raises(PromotionRefusedError, match="the alias moved while the verdict was checked"):
        registry.promote(third)
    assert registry.holder() == "2"


def test_another_promotion_right_after_set(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    _, record = registry.crown()
    registry.challenge(record, "v2")
    third, _ = registry.challenge(record, "v3")
    honest = MlflowTarget.set_alias

    def overtaken(self: MlflowTarget, *args: str) -> None:
        honest(self, *args)
        registry.raw("set_registered_model_alias", registry.name, "champion", "2")

    monkeypatch.setattr(MlflowTarget, "set_alias", overtaken)
    with pytest.raises(PromotionRefusedError, match="another promotion won, version 2 holds the alias now"):
        registry.promote(third)
    told = registry.raw("get_model_version", registry.name, "3").tags
    assert not {tags.PROMOTED_AT, f"{tags.EARNED}/champion"} & told.keys()


def test_a_registry_that_refuses_is_quoted(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with quiet():
        from mlflow import MlflowClient

        exceptions: Any = importlib.import_module("mlflow.exceptions")

    def denied(*args: object) -> None:
        raise exceptions.RestException(
            {"error_code": "PERMISSION_DENIED", "message": "promotion blocked: no signature"}
        )

    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", denied)
    refused(registry, uri, "-> champion: PERMISSION_DENIED: promotion blocked: no signature$")


def test_a_note_that_cannot_be_written_does_not_hide_the_promotion(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = MlflowTarget.annotate

    def unreachable(self: MlflowTarget, name: str, version: str, values: Any) -> None:
        if tags.PROMOTED_AT in values:
            raise CannotRunError("the server went away")
        honest(self, name, version, values)

    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    monkeypatch.setattr(MlflowTarget, "annotate", unreachable)
    with pytest.raises(CannotRunError) as caught:
        registry.promote(uri)
    assert caught.value.__notes__ == ["The alias 'champion' is set to version 1; only the note about it is missing."]
    assert registry.holder() == "1"


@pytest.mark.over_http
def test_a_version_registered_with_its_run(registry: Registry, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}", encoding="utf-8")
    record = registry.measure("v1", None)
    logged = registry.log(record, new=NewVersion(name=registry.name, source=str(model), upload=True))
    assert logged.version is not None
    registry.contents[logged.version.source] = digest_of("v1")
    assert registry.promote(logged.version.uri).changed
    successor = registry.measure("v2", None)
    again = registry.log(successor, baseline=record, new=NewVersion(name=registry.name, source="s3://bucket/v2"))
    assert again.version is not None
    assert registry.promote(again.version.uri).over is not None
