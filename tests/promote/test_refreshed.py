"""The champion's fresh run in a live registry: found instead of the one that earned the alias, or refused; no verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.promotions import make_manifest, write_record

from llmgate.errors import CannotRunError, PromotionRefusedError
from llmgate.promote import tags
from llmgate.promote.mlflow_target import MlflowTarget
from llmgate.promote.refreshed import log_refresh, refresh_note, refreshed_tag
from llmgate.promote.registries import find_baseline, open_registry
from llmgate.promote.status import read_status
from llmgate.record.manifest import FOR_COMPARISON
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from pathlib import Path

    from support.registry import Registry
    from support.signed_registry import SignedRegistry

TAG = refreshed_tag("champion")


def refresh(
    registry: Registry, weights: str = "v1", *, made_for: str = FOR_COMPARISON, right: int = 92, **changes: Any
) -> Path:
    """Ask whoever holds the alias again, and log it."""
    run_id = f"fresh-{len(list(registry.folder.iterdir()))}"
    manifest = replace(make_manifest(run_id, weights=weights), made_for=made_for, **changes)
    record = write_record(registry.folder / run_id, manifest, right=right)
    opened = open_registry(registry.uri)
    holder = opened.holder(registry.name, "champion")
    assert holder is not None
    log_refresh(opened, holder, "champion", registry.gate_run(record))
    return record


def run_of(folder: Path) -> str:
    return load_record(folder).manifest.run_id


def found(registry: Registry, into: Path) -> tuple[str, bool]:
    champion = find_baseline(registry.name, into=into, tracking_uri=registry.uri)
    return run_of(champion.folder), champion.refreshed


@pytest.mark.over_http
def test_the_fresh_run_is_the_next_baseline(registry: Registry, tmp_path: Path) -> None:
    first, earned = registry.crown()
    assert found(registry, tmp_path / "before") == (run_of(earned), False)
    fresh = refresh(registry)
    assert found(registry, tmp_path / "after") == (run_of(fresh), True)
    # What is compared with it may be promoted: it is of the weights that hold the alias, served in the same way.
    second, _ = registry.challenge(fresh)
    assert registry.promote(second).changed
    # The new champion has no fresh run yet.
    assert found(registry, tmp_path / "next")[1] is False
    third = refresh(registry, "v2")
    assert found(registry, tmp_path / "last") == (run_of(third), True)
    told = registry.raw("get_model_version", registry.name, first.rsplit("/", 1)[1]).tags
    assert TAG in told, "who held the alias before keeps its run"


def test_it_is_no_verdict(registry: Registry) -> None:
    uri, _ = registry.crown()
    before = registry.raw("get_model_version", registry.name, "1").tags
    refresh(registry, right=10)
    version = MlflowTarget(registry.uri, registry.uri).version(registry.name, "1")
    assert {key: value for key, value in version.tags.items() if key != TAG} == before
    assert len(MlflowTarget(registry.uri, registry.uri).verdicts(version)) == 1
    assert not registry.promote(uri).changed, "a fresh run that came out badly takes nothing away"
    note = refresh_note(version, "champion")
    assert note is not None
    run = registry.raw("get_run", note.run)
    assert run.data.tags[tags.REFRESHES] == uri
    assert not {tags.VERDICT, tags.SUBJECT} & run.data.tags.keys()
    assert run.info.status == "FINISHED"


def test_the_status_says_whether_it_was_done(registry: Registry) -> None:
    registry.crown()
    opened = open_registry(registry.uri)
    status = read_status(opened, registry.name).champion
    assert status is not None
    assert status.refreshed == ""
    fresh = refresh(registry)
    status = read_status(opened, registry.name).champion
    seal = load_record(fresh).seal
    assert status is not None
    assert seal is not None
    assert status.refreshed == seal.sealed_at
    registry.raw("set_model_version_tag", registry.name, "1", TAG, "whatever")
    status = read_status(opened, registry.name).champion
    assert status is not None
    assert status.refreshed is None


@pytest.mark.parametrize(
    ("weights", "changes", "words"),
    [
        ("others", {}, "of other weights"),
        ("v1", {"made_for": "candidate"}, "of other weights"),
        ("v1", {"made_for": ""}, "of other weights"),
    ],
)
def test_what_is_not_the_champion_is_refused(
    registry: Registry, tmp_path: Path, weights: str, changes: dict[str, Any], words: str
) -> None:
    registry.crown()
    refresh(registry, weights, **changes)
    with pytest.raises(CannotRunError, match=words) as error:
        found(registry, tmp_path / "baseline")
    assert "champion refresh models:/" in str(error.value)


def test_other_flags_are_another_champion(registry: Registry, tmp_path: Path) -> None:
    registry.crown()
    server = replace(make_manifest("x").server, flags=("--seed", "0", "--quantization", "fp8"))
    refresh(registry, server=server)
    with pytest.raises(CannotRunError, match="or served otherwise"):
        found(registry, tmp_path / "baseline")


def test_what_was_altered_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.crown()
    fresh, other = refresh(registry), refresh(registry, right=50)
    told = registry.raw("get_model_version", registry.name, "1").tags[TAG]
    assert found(registry, tmp_path / "newest") == (run_of(other), True)
    registry.raw("set_model_version_tag", registry.name, "1", TAG, told.replace("sha256:", "sha256:00")[:-2])
    with pytest.raises(CannotRunError, match="was altered"):
        found(registry, tmp_path / "pointer")
    run, _, at = told.split(" ")
    registry.raw("set_model_version_tag", registry.name, "1", TAG, f"{run} sha256:{'0' * 64} {at}")
    with pytest.raises(CannotRunError, match="was altered"):
        found(registry, tmp_path / "digest")
    registry.raw("set_model_version_tag", registry.name, "1", TAG, f"{'f' * 32} sha256:{'0' * 64} {at}")
    with pytest.raises(CannotRunError, match="cannot be had"):
        found(registry, tmp_path / "gone")
    assert fresh.exists()


def test_a_candidate_against_another_run_of_other_weights_stays_refused(registry: Registry) -> None:
    registry.crown()
    refresh(registry)
    uri, _ = registry.challenge(registry.measure("worse", None, right=75))
    with pytest.raises(PromotionRefusedError, match="not the one that earned"):
        registry.promote(uri)


def test_where_a_signed_verdict_names_the_run_it_stays_the_baseline(signed: SignedRegistry, tmp_path: Path) -> None:
    first = signed.crown()
    fresh = refresh(signed.plain)
    assert found(signed.plain, tmp_path / "baseline") == (run_of(first.record), False)
    assert run_of(fresh) != run_of(first.record)
    status = read_status(open_registry(signed.plain.uri), signed.name).champion
    assert status is not None
    assert status.verdict is not None
    assert status.refreshed
