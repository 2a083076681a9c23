"""What MLflow shows of a gate run, and the way back from the champion to its record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.promotions import digest_of, redecide
from support.registry import find_holder

from llmgate.errors import CannotRunError, RecordError, UsageError
from llmgate.promote import tags
from llmgate.promote.registries import find_baseline, log_run
from llmgate.promote.target import NewVersion
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from pathlib import Path

    from support.registry import Registry


@pytest.mark.over_http
def test_a_run_holds_everything(registry: Registry) -> None:
    _, record = registry.crown()
    uri, logged = registry.challenge(record, right=98)
    run = registry.raw("get_run", logged.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model"] == "support-bot"
    assert run.data.params["suite/support"] == "1.2.0"
    assert run.data.params["server"] == "vllm 0.25.1"
    assert run.data.params["server.flags"] == "--seed 0"
    assert run.data.params["concurrency"] == "64"
    assert run.data.params["seed"] == "0"
    figures = run.data.metrics
    assert figures["support/accuracy/candidate"] == pytest.approx(0.98)
    assert figures["support/accuracy/delta"] == pytest.approx(-0.02)
    (metric,) = registry.gate_run(registry.folder / "run-1-v2", record).decision.metrics
    assert metric.lower is not None
    assert figures["support/accuracy/lower"] == pytest.approx(metric.lower)
    assert figures["support/accuracy/evaluated"] == 100
    assert figures["support/accuracy/worse"] == 2
    assert figures["support/accuracy/errors"] == 0
    assert figures["serving/ttft_p50_s"] == pytest.approx(0.128)
    assert "support/accuracy/p_worse" not in figures
    told = run.data.tags
    assert told[tags.VERDICT] == "PASS"
    assert told[tags.SUITE] == "support@1.2.0"
    assert told[tags.SUBJECT] == uri
    assert told[tags.WEIGHTS_DIGEST] == digest_of("v2")
    assert told["llmgate.label/git.commit"] == "0123abcd"


def test_datasets_are_inputs_with_their_full_digest(registry: Registry) -> None:
    uri = registry.create("v1")
    logged = registry.log(registry.measure("v1", uri))
    (entry,) = registry.raw("get_run", logged.run_id).inputs.dataset_inputs
    assert digest_of("dataset").startswith(entry.dataset.digest)
    found = {tag.key: tag.value for tag in entry.tags}
    assert found["llmgate.sha256"] == digest_of("dataset")
    assert found["mlflow.data.context"] == "eval"


def test_artifacts_are_the_sealed_files_and_what_people_read(registry: Registry) -> None:
    _, baseline = registry.crown()
    uri = registry.create("v2")
    record = registry.measure("v2", uri)
    (record / "server.log").write_text("a secret that nobody redacted", encoding="utf-8")
    logged = registry.log(record, baseline=baseline)

    def names(path: str | None = None) -> set[str]:
        return {entry.path for entry in registry.raw("list_artifacts", logged.run_id, path)}

    assert names() == {"record", "baseline", "report.html", "decision.json", "verdict.json"}
    files = {"manifest.json", "cases.jsonl", "journal.jsonl", "seal.json"}
    assert names("record") == {f"record/{name}" for name in files}
    assert names("baseline") == {f"baseline/{name}" for name in files}


def test_the_version_points_to_its_run(registry: Registry) -> None:
    uri = registry.create("v1")
    logged = registry.log(registry.measure("v1", uri))
    version = registry.raw("get_model_version", registry.name, "1")
    assert version.tags[tags.VERDICT] == "PASS"
    assert version.tags[tags.EVIDENCE] == logged.run_id
    assert version.tags[tags.WEIGHTS_DIGEST] == digest_of("v1")
    assert version.tags[tags.REPORT] == f"runs:/{logged.run_id}/report.html"
    assert version.description.startswith("**llmgate: PASS**\n\n")
    assert "\n\n| gate |" in version.description
    assert registry.holder() is None


@pytest.mark.over_http
def test_the_logged_model_behind_a_version_is_an_input_of_the_run(registry: Registry) -> None:
    experiment = registry.raw("create_experiment", f"{registry.name}-training")
    model = registry.raw("create_logged_model", experiment, name="support-bot")
    registry.raw("create_registered_model", registry.name)
    source = model.artifact_location
    # Without the run's id, MLflow's SQL store looks the model up in the process's default store instead of its own.
    trained = registry.raw("create_run", experiment).info.run_id
    registry.raw("create_model_version", registry.name, source, trained, model_id=model.model_id)
    logged = registry.log(registry.measure("v1", f"models:/{registry.name}/1"))
    (entry,) = registry.raw("get_run", logged.run_id).inputs.model_inputs
    assert entry.model_id == model.model_id
    told = {metric.key: metric for metric in registry.raw("get_logged_model", model.model_id).metrics}
    assert told["support/accuracy/candidate"].value == 1.0
    assert told["support/accuracy/candidate"].dataset_name == "support"
    assert digest_of("dataset").startswith(told["support/accuracy/candidate"].dataset_digest)
    assert told["serving/ttft_p50_s"].dataset_name is None
    assert told.keys() == registry.raw("get_run", logged.run_id).data.metrics.keys()


def test_a_source_that_names_a_logged_model_of_elsewhere(registry: Registry) -> None:
    registry.raw("create_registered_model", registry.name)
    registry.raw("create_model_version", registry.name, f"s3://bucket/1/models/m-{'0' * 32}/artifacts")
    logged = registry.log(registry.measure("v1", f"models:/{registry.name}/1"))
    assert registry.raw("get_run", logged.run_id).inputs.model_inputs == []


def test_a_later_run_replaces_the_verdict(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    registry.log(registry.measure("v1", uri, right=30))
    version = registry.raw("get_model_version", registry.name, "1")
    assert version.tags[tags.VERDICT] == "FAIL"
    assert version.description.startswith("**llmgate: FAIL**")


def test_a_description_that_somebody_wrote_stays(registry: Registry) -> None:
    uri = registry.create("v1")
    registry.raw("update_model_version", registry.name, "1", "Ours.")
    registry.log(registry.measure("v1", uri))
    assert registry.raw("get_model_version", registry.name, "1").description == "Ours."


def test_an_unfinished_record_is_not_logged(registry: Registry) -> None:
    record = registry.measure("v1", None)
    run = registry.gate_run(record)
    (record / "seal.json").unlink()
    with pytest.raises(RecordError, match="unfinished"):
        log_run(run, tracking_uri=registry.uri)


def test_a_run_that_cannot_be_written_to_its_end_is_failed(registry: Registry, tmp_path: Path) -> None:
    record = registry.measure("v1", None)
    run = replace(registry.gate_run(record), report=tmp_path / "gone" / "report.html")
    with pytest.raises(CannotRunError, match="MLflow says"):
        log_run(run, tracking_uri=registry.uri, experiment=registry.name)
    experiment = registry.raw("get_experiment_by_name", registry.name)
    (left,) = registry.raw("search_runs", [experiment.experiment_id])
    assert left.info.status == "FAILED"


@pytest.mark.over_http
def test_a_deleted_experiment(registry: Registry) -> None:
    registry.raw("delete_experiment", registry.raw("create_experiment", registry.name))
    run = registry.gate_run(registry.measure("v1", None))
    with pytest.raises(UsageError, match="this MLflow experiment was deleted"):
        log_run(run, tracking_uri=registry.uri, experiment=registry.name)


def test_only_a_folder_can_be_uploaded(registry: Registry) -> None:
    new = NewVersion(name=registry.name, source="s3://bucket/v1", upload=True)
    with pytest.raises(UsageError, match="only a folder can be uploaded"):
        registry.log(registry.measure("v1", None), new=new)


def test_a_run_cannot_stand_for_two_versions(registry: Registry) -> None:
    first, second = registry.create("v1"), registry.create("v2")
    record = registry.measure("v1", first)
    with pytest.raises(UsageError, match=f"judged {first} and cannot stand for another"):
        registry.log(record, model_version=second)
    with pytest.raises(UsageError, match="cannot stand for another"):
        registry.log(record, new=NewVersion(name=registry.name, source="s3://bucket/v3"))


def test_a_missing_model_folder_is_said_before_anything_is_written(registry: Registry, tmp_path: Path) -> None:
    record = registry.measure("v1", None)
    with pytest.raises(UsageError, match="no model folder here"):
        registry.log(record, new=NewVersion(name=registry.name, source=str(tmp_path / "gone")))
    assert find_holder(registry.name, tracking_uri=registry.uri) is None


@pytest.mark.over_http
def test_a_local_folder_is_registered_in_place_or_the_server_says_how(registry: Registry, tmp_path: Path) -> None:
    record = registry.measure("v1", None)
    new = NewVersion(name=registry.name, source=str(tmp_path))
    if registry.uri.startswith("http"):
        with pytest.raises(UsageError, match="Upload it with the run, or register the URI"):
            registry.log(record, new=new)
    else:
        logged = registry.log(record, new=new)
        assert logged.version is not None
        assert logged.version.source == tmp_path.as_uri()


@pytest.mark.over_http
def test_a_browser_finds_the_run(registry: Registry) -> None:
    logged = registry.log(registry.measure("v1", None))
    if registry.uri.startswith("http"):
        assert logged.url is not None
        assert logged.url.startswith(f"{registry.uri}/#/experiments/")
        assert logged.url.endswith(logged.run_id)
    else:
        assert logged.url is None


@pytest.mark.over_http
def test_the_baseline_is_the_champions_record(registry: Registry, tmp_path: Path) -> None:
    uri, record = registry.crown()
    found = find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)
    assert found.version.uri == uri
    assert load_record(found.folder) == load_record(record)
    assert redecide(found.folder, None) == redecide(record, None)
    assert [path.name for path in (tmp_path / "baseline").iterdir()] == ["record"]
    # A run that goes on finds its baseline again; what it had found before is not thrown away.
    again = find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)
    assert again == found
    assert load_record(again.folder) == load_record(record)
    assert len(list((tmp_path / "baseline").rglob("seal.json"))) == 2


def test_no_champion_no_baseline(registry: Registry, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(CannotRunError, match="no version holds this alias, so there is no baseline"):
            find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)
        assert find_holder(registry.name, tracking_uri=registry.uri) is None
        registry.create("v1")


def test_champion_without_a_gate_run(registry: Registry, tmp_path: Path) -> None:
    uri = registry.create("v1")
    registry.raw("set_registered_model_alias", registry.name, "champion", "1")
    with pytest.raises(
        CannotRunError, match=f"{uri}: version 1 holds the alias 'champion', but what earned it was not"
    ):
        find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)


def test_champion_whose_gate_run_is_gone_keeps_what_earned_it(registry: Registry, tmp_path: Path) -> None:
    _, record = registry.crown()
    registry.raw("delete_run", registry.raw("get_model_version", registry.name, "1").tags[tags.EVIDENCE])
    found = find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)
    assert load_record(found.folder) == load_record(record)


def test_champion_whose_evidence_is_gone(registry: Registry, tmp_path: Path) -> None:
    uri, _ = registry.crown()
    run, _, _ = registry.raw("get_model_version", registry.name, "1").tags[f"{tags.EARNED}/champion"].partition(" ")
    registry.raw("delete_run", run)
    with pytest.raises(
        CannotRunError, match=f"{uri}: MLflow run {run}, .* was deleted; restore it, or remove the alias"
    ):
        find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)


def test_champion_of_an_older_llmgate(registry: Registry, tmp_path: Path) -> None:
    uri, record = registry.crown()
    registry.forget_what_earned_it(uri)
    with pytest.raises(
        CannotRunError, match=f"what earned it was not kept.*Run `llmgate promote {uri} --alias champio"
    ):
        find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)
    mended = registry.promote(uri)
    assert (mended.changed, mended.kept) == (False, True)
    found = find_baseline(registry.name, into=tmp_path / "baseline", tracking_uri=registry.uri)
    assert load_record(found.folder) == load_record(record)


def test_a_folder_that_holds_a_baseline_already(registry: Registry, tmp_path: Path) -> None:
    registry.crown()
    into = tmp_path / "baseline"
    first = find_baseline(registry.name, into=into, tracking_uri=registry.uri).folder
    (first / "mine.txt").write_text("of an earlier start", encoding="utf-8")
    again = find_baseline(registry.name, into=into, tracking_uri=registry.uri).folder
    assert again.is_dir()
    assert not (again / "mine.txt").exists()
    assert [path.name for path in into.glob("before-*/record/mine.txt")] == ["mine.txt"]
