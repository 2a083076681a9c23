"""Models out of a live MLflow: versions, aliases, runs, logged models, and what happens when somebody exchanges them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.registry import Registry
from support.servers import model_folder

from llmgate.errors import CannotRunError, UsageError
from llmgate.generate.sources.local import bring_home
from llmgate.generate.sources.place import read_place
from llmgate.promote import tags
from llmgate.record.manifest import ModelIdentity
from llmgate.record.policy import Binding
from llmgate.record.weights import weights_digest
from llmgate.session.decide.promote import source_digest
from llmgate.session.progress import LineProgress
from llmgate.session.reach.owned import identify_folder
from llmgate.session.reach.sources import localised
from llmgate.session.run.registered import look_up
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from llmgate.generate.sources.model import LocalModel


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A version whose files a run logged, and the folder that they were copied from."""

    registry: Registry
    folder: Path
    run: str
    version: str

    def uri(self, version: str = "") -> str:
        return f"models:/{self.registry.name}/{version or self.version}"

    def bring(self, text: str, lines: list[str] | None = None) -> LocalModel:
        told = LineProgress((lines if lines is not None else []).append)
        return bring_home(read_place(text), tracking_uri=self.registry.uri, code=False, cache=None, progress=told)

    @property
    def remote(self) -> bool:
        """Whether the files come over HTTP."""
        return self.registry.uri.startswith("http")


@pytest.fixture
def kept(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = model_folder(tmp_path)
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text("{}", encoding="utf-8")
    (folder / "README.md").write_text("# Bot", encoding="utf-8")
    return log(registry, folder)


def log(registry: Registry, folder: Path) -> Kept:
    """Log a folder with a run, and register it."""
    experiment = registry.raw("get_experiment_by_name", "llmgate")
    number = experiment.experiment_id if experiment else registry.raw("create_experiment", "llmgate")
    run = registry.raw("create_run", number)
    registry.raw("log_artifacts", run.info.run_id, str(folder), "model")
    if not registry.raw("search_registered_models", filter_string=f"name = '{registry.name}'"):
        registry.raw("create_registered_model", registry.name)
    made = registry.raw("create_model_version", registry.name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return Kept(registry=registry, folder=folder, run=run.info.run_id, version=str(made.version))


@pytest.mark.over_http
def test_a_version_an_alias_and_a_run_are_the_same_files(kept: Kept) -> None:
    kept.registry.raw("set_registered_model_alias", kept.registry.name, "champion", kept.version)
    lines: list[str] = []
    by_version = kept.bring(kept.uri(), lines)
    by_alias = kept.bring(f"models:/{kept.registry.name}@champion", lines)
    by_run = kept.bring(f"runs:/{kept.run}/model", lines)
    digests = {weights_digest(each.folder) for each in (by_version, by_alias, by_run)}
    assert digests == {weights_digest(kept.folder)}
    assert by_version.revision == by_alias.revision == f"{kept.uri()} run {kept.run}"
    assert by_run.revision == f"run {kept.run}"
    assert (by_version.registry_uri, by_alias.registry_uri, by_run.registry_uri) == (kept.uri(), kept.uri(), None)
    assert by_alias.source == f"models:/{kept.registry.name}@champion"
    assert by_version.name == kept.registry.name
    assert any(f"@champion is {kept.uri()} now" in line for line in lines)
    fetched = sum("fetching" in line for line in lines)
    assert fetched == (2 if kept.remote else 0)  # the alias is the version's own files
    if kept.remote:
        assert not (by_version.folder / "README.md").exists()
        again: list[str] = []
        assert kept.bring(kept.uri(), again) == by_version
        assert not any("fetching" in line for line in again)


@pytest.mark.over_http
def test_a_copy_that_was_changed_here_is_mended(kept: Kept) -> None:
    if not kept.remote:
        return  # the files are taken where MLflow keeps them
    found = kept.bring(kept.uri())
    weights = found.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"X")
    lines: list[str] = []
    kept.bring(kept.uri(), lines)
    assert any("is not what was fetched" in line for line in lines)
    assert weights_digest(found.folder) == weights_digest(kept.folder)


@pytest.mark.over_http
def test_what_is_not_there_is_said(kept: Kept) -> None:
    for text, what in (
        (kept.uri("99"), "not found"),
        (f"models:/{kept.registry.name}@nobody", "not found"),
        ("models:/no-such-model/1", "not found"),
        (f"runs:/{'0' * 32}/model", "not found"),
    ):
        with pytest.raises(CannotRunError, match=f"(?i)MLflow says: .*{what}") as caught:
            kept.bring(text)
        assert caught.value.where == text
    with pytest.raises(CannotRunError, match="there are no files of a model|this machine does not have"):
        kept.bring(f"runs:/{kept.run}/nothing")


@pytest.mark.over_http
def test_a_pipeline_of_the_transformers_flavour_is_put_together(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    logged = tmp_path / "logged"
    logged.mkdir()
    model_folder(logged)
    (logged / "components" / "tokenizer").mkdir(parents=True)
    (logged / "components" / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    flavors = {"python_function": {}, "transformers": {"model_binary": "model", "components": ["tokenizer"]}}
    (logged / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}), encoding="utf-8")
    kept = log(registry, logged)
    found = kept.bring(kept.uri())
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert found.folder.name == registry.name
    # What a promotion holds against the verdict is the same folder.
    version = registry.raw("get_model_version", registry.name, kept.version)
    if not kept.remote:
        assert source_digest(version.source) == weights_digest(found.folder)


@pytest.mark.over_http
def test_a_run_of_a_version_judges_that_version(kept: Kept, tmp_path: Path) -> None:
    given: dict[str, Any] = {"model": kept.uri(), "mlflow_uri": kept.registry.uri}
    progress = LineProgress(lambda _: None)
    settings = localised(settings_from(given, root=tmp_path), progress)
    assert settings.registry_uri == kept.uri()
    assert settings.served_name == kept.registry.name
    identity = identify_folder(settings, settings.model or "", settings.served_name or "", progress=progress)
    assert identity == ModelIdentity(
        name=kept.registry.name,
        source=kept.uri(),
        weights_digest=weights_digest(kept.folder),
        registry_uri=kept.uri(),
        revision=f"{kept.uri()} run {kept.run}",
    )
    assert look_up(settings).bind(settings, identity).binding is Binding.WEIGHTS
    kept.registry.raw("set_model_version_tag", kept.registry.name, kept.version, tags.WEIGHTS_DIGEST, "0" * 64)
    with pytest.raises(UsageError, match="are not those of"):
        look_up(settings).bind(settings, identity)


def test_an_alias_judges_the_version_that_holds_it_now(kept: Kept, tmp_path: Path) -> None:
    kept.registry.raw("set_registered_model_alias", kept.registry.name, "next", kept.version)
    text = f"models:/{kept.registry.name}@next"
    given = {"model": text, "mlflow_uri": kept.registry.uri}
    settings = localised(settings_from(given, root=tmp_path), LineProgress(lambda _: None))
    assert settings.registry_uri == kept.uri()
    other = settings_from({**given, "registry_uri": kept.uri("7")}, root=tmp_path)
    with pytest.raises(UsageError, match=f"the model is {kept.uri()}, and the run is to judge {kept.uri('7')}"):
        localised(other, LineProgress(lambda _: None))


def test_a_server_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match="no MLflow server is named that has this model"):
        bring_home(read_place("models:/bot/1"), tracking_uri=None, code=False, cache=None, progress=LineProgress(print))


def test_a_server_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(CannotRunError, match="MLflow says"):
        bring_home(
            read_place("models:/bot/1"),
            tracking_uri="http://user:hunter22secret@127.0.0.1:9",
            code=False,
            cache=None,
            progress=LineProgress(lambda _: None),
        )


@pytest.mark.parametrize(
    "source", ["http://127.0.0.1:9/steal", "ftp://host/x", "mlflow-artifacts://evil:80/x", "file:///no/such/folder"]
)
def test_a_source_that_leads_elsewhere_is_not_followed(kept: Kept, source: str) -> None:
    made = kept.registry.raw("create_model_version", kept.registry.name, source)
    with pytest.raises(CannotRunError, match="from where llmgate takes none|this machine does not have"):
        kept.bring(kept.uri(str(made.version)))


def test_the_folder_that_was_fetched_is_the_users_alone(kept: Kept) -> None:
    found = kept.bring(kept.uri())
    if kept.remote:
        assert found.folder.stat().st_mode & 0o077 == 0
