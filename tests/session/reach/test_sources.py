"""What users name as models, in a run's settings: what is fetched, what is told, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.adapters import write_adapter
from support.hub import MODEL, A, B, Hub, hub_server
from support.promotions import make_manifest
from support.servers import model_folder
from support.told import Told

from llmgate.errors import RecordError, UsageError
from llmgate.promote.target import NewVersion
from llmgate.record.manifest import ModelIdentity
from llmgate.record.run.files import MANIFEST
from llmgate.record.run.rundir import changes, held_to
from llmgate.record.weights import weights_digest
from llmgate.score.assertion.models import JudgeSampling
from llmgate.session.decide.publish import new_version
from llmgate.session.reach.adapters import named_adapters
from llmgate.session.reach.owned import identify_folder
from llmgate.session.reach.sources import LocalModel, local_arm, local_model, localised, refuse_moved
from llmgate.session.reach.target import judge_identity, judge_place
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmgate.session.settings.typed import Settings

constants = pytest.importorskip("huggingface_hub.constants")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_server(monkeypatch) as server:
        yield server


def settings(tmp_path: Path, **given: Any) -> Settings:
    return settings_from(given, root=tmp_path)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    plain = settings(tmp_path, model=str(folder), judge_model=str(folder))
    assert localised(plain, Told()) is plain
    assert local_model(plain, str(folder), Told()) == LocalModel(folder=folder, source=str(folder), name="model")


def test_a_model_of_the_hub_keeps_its_name_and_says_what_it_was(hub: Hub, tmp_path: Path) -> None:
    run = localised(settings(tmp_path, model="hf://acme/bot@main"), Told())
    identity = identify_folder(run, run.model or "", run.served_name or "", progress=Told())
    assert identity == ModelIdentity(
        name="bot", source="hf://acme/bot@main", revision=A, weights_digest=weights_digest(run.model or "")
    )
    assert localised(run, Told()) == run
    assert local_model(run, run.model or "", Told()).source == "hf://acme/bot@main"


def test_a_plain_name_of_the_hub_is_the_same_model(hub: Hub, tmp_path: Path) -> None:
    plain = localised(settings(tmp_path, model="acme/bot"), Told())
    written = localised(settings(tmp_path, model="hf://acme/bot"), Told())
    assert plain.model == written.model
    assert plain.fetched[plain.model or ""].source == "acme/bot"


def test_the_name_that_is_given_counts(hub: Hub, tmp_path: Path) -> None:
    run = localised(settings(tmp_path, model=f"hf://acme/bot@{A}", served_name="mine"), Told())
    assert run.served_name == "mine"


def test_a_judge_and_a_champion_come_from_there_too(hub: Hub, tmp_path: Path) -> None:
    given = {"model": f"hf://acme/bot@{A}", "judge_model": f"hf://acme/bot@{A}", "baseline": "champion"}
    run = localised(settings(tmp_path, **given, serving_champion=f"hf://acme/bot@{A}#bot"), Told())
    place = judge_place(run)
    assert place is not None
    assert place.same_server
    judge = judge_identity(run, place, ["llm-rubric"], JudgeSampling())
    assert (judge.model, judge.source) == ("bot", f"hf://acme/bot@{A}")
    assert judge.weights_digest == weights_digest(run.model or "")
    assert run.serving_champion == f"{run.model}#bot"


def test_an_arm_may_be_an_address(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    assert local_arm(plain, "http://127.0.0.1:1/v1#bot", Told()) == (plain, "http://127.0.0.1:1/v1#bot")
    assert local_arm(plain, str(tmp_path), Told()) == (plain, str(tmp_path))


def test_code_is_fetched_where_it_is_trusted(hub: Hub, tmp_path: Path) -> None:
    run = localised(settings(tmp_path, model=f"hf://acme/bot@{A}", server_args="--trust-remote-code"), Told())
    assert (run.fetched[run.model or ""].folder / "modeling_bot.py").exists()


@pytest.mark.parametrize(
    ("option", "text", "what"),
    [
        ("model", "hf://bot", "names no model on the hub"),
        ("model", "models:/bot/latest", "means another version tomorrow"),
        ("judge_model", "s3://key:hunter22secret@bucket/x", "looks like credentials"),
        ("model", "http://host/v1", "a URL is an endpoint"),
        ("model", "file:///no/such/folder", "there is no folder"),
        ("adapter", "new=s3://key:hunter22secret@bucket/x", "looks like credentials"),
        ("adapter", "new=models:/bot/latest", "means another version tomorrow"),
    ],
)
def test_places_that_are_none_are_refused_before_anything_starts(
    tmp_path: Path, option: str, text: str, what: str
) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        settings(tmp_path, **{option: text})
    assert caught.value.where == f"--{option.replace('_', '-')}"
    assert "hunter22secret" not in str(caught.value)


def test_a_run_whose_branch_has_moved_does_not_go_on(hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    begun = make_manifest("r1", registry_uri=None, weights="v1")
    before = replace(
        begun, model=ModelIdentity(name="bot", source="hf://acme/bot@main", weights_digest="1" * 64, revision=A)
    )
    MANIFEST.write(out, before)
    refuse_moved(out, before.model)
    moved = replace(before.model, weights_digest="2" * 64, revision=B)
    with pytest.raises(
        RecordError, match=f"hf://acme/bot@main has moved: it was {A} when the run began, and is {B} now"
    ):
        refuse_moved(out, moved)
    assert "model weights digest was" in next(changes(held_to(before), held_to(replace(before, model=moved))))
    # A commit that changed a note only is the same model.
    noted = replace(before, model=replace(before.model, revision=B))
    refuse_moved(out, noted.model)
    assert list(changes(held_to(before), held_to(noted))) == []


def test_what_is_not_pinned_leaves_no_trace_in_a_record() -> None:
    plain = make_manifest("r1", registry_uri=None, weights="v1")
    assert b"revision" not in MANIFEST.holds.dump_json(plain)
    pinned = replace(plain, model=replace(plain.model, revision=A))
    assert MANIFEST.holds.validate_json(MANIFEST.holds.dump_json(pinned)).model.revision == A


def test_what_is_registered_is_what_was_judged_and_not_what_the_branch_is_now(hub: Hub, tmp_path: Path) -> None:
    asked = settings(tmp_path, model="hf://acme/bot@main", mlflow_model="bot", mlflow_uri="http://127.0.0.1:9")
    run = localised(asked, Told())
    judged = identify_folder(run, run.model or "", "bot", progress=Told())
    hub.commits[B], hub.refs["main"] = {**MODEL, "config.json": b"[]"}, B
    assert new_version(asked, judged) == NewVersion(name="bot", source=run.model or "", upload=True)
    assert new_version(run, judged) == new_version(asked, judged)


def test_adapters_come_from_the_hub_and_stay_what_they_were(hub: Hub, tmp_path: Path) -> None:
    made = write_adapter(tmp_path / "made")
    files = {name: (made / name).read_bytes() for name in ("adapter_config.json", "adapter_model.safetensors")}
    hub.commits = {A: {**files, "README.md": b"# Adapter", "optimizer.pt": b"pickled"}}
    base = model_folder(tmp_path)
    both = f"new=hf://acme/bot@main old={made}"
    run = localised(settings(tmp_path, model=str(base), adapter=both, champion_adapter="old"), Told())
    hub.commits[B], hub.refs["main"] = {}, B
    assert run.adapter == {"new": run.adapter["new"], "old": str(made)}
    whole = identify_folder(run, str(base), "base", progress=Told())
    new, old = named_adapters(run, local_model(run, str(base), Told()), whole, progress=Told())
    assert (new.model.source, new.model.revision, new.model.adapter) == ("hf://acme/bot@main", A, weights_digest(made))
    assert (old.model.source, old.model.revision) == (str(made), "")
    assert new.model.weights_digest == old.model.weights_digest
    # Served by a name and no folder, it would be a hub's name to vLLM.
    assert new.adapter.folder.is_dir()


def test_a_model_in_an_object_store_is_registered_where_it_lies(tmp_path: Path) -> None:
    asked = settings(tmp_path, model="s3://bucket/bot/", mlflow_model="bot", mlflow_uri="http://127.0.0.1:9")
    judged = ModelIdentity(name="bot", source="s3://bucket/bot/", revision="objects sha256:1")
    assert new_version(asked, judged) == NewVersion(name="bot", source="s3://bucket/bot", upload=False)
    folder = tmp_path / "cache" / "bot"
    run = replace(asked, model=str(folder), fetched={str(folder): LocalModel(folder=folder, source="s3://bucket/bot/")})
    assert new_version(run, judged) == new_version(asked, judged)
