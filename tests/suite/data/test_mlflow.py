"""Datasets and prompts that MLflow keeps, in a store on disk."""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import DatasetError, SuiteError
from llmgate.suite.data.dataset import check_lock, load_dataset, write_lock
from llmgate.suite.data.locate import locate
from llmgate.suite.prompt.mlflow import read_registered_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("mlflow.genai")

RECORDS = [{"inputs": {"question": f"q{i}"}, "expectations": {"answer": "a"}, "tags": {"topic": "t"}} for i in range(3)]


@dataclass(frozen=True, kw_only=True)
class Store:
    folder: Path
    dataset_id: str
    run: str
    lonely: str


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        data: Any = mlflow.data
        pd = pytest.importorskip("pandas")
        from mlflow.genai.datasets import create_dataset

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        experiment = mlflow.create_experiment("llmgate", artifact_location=str(folder / "artifacts"))
        dataset = create_dataset(name="support", experiment_id=[experiment])
        dataset.merge_records(RECORDS)
        create_dataset(name="empty", experiment_id=[experiment])
        rows = folder / "artifacts" / "rows.jsonl"
        rows.parent.mkdir()
        rows.write_text('{"id": "a", "q": "x"}\n', encoding="utf-8")
        frame = pd.DataFrame({"q": ["x"]})
        kept = data.from_pandas(frame, source=str(rows), name="rows")
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_input(kept)
            mlflow.log_input(data.from_pandas(frame, name="memory"))
            mlflow.log_input(dataset)
        with mlflow.start_run(experiment_id=experiment) as lonely:
            mlflow.log_input(kept)
        mlflow.genai.register_prompt(name="support", template="Say {{ word }}")
        mlflow.genai.register_prompt(
            name="support",
            template=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say {{ word }}"}],
        )
        mlflow.genai.set_prompt_alias("support", alias="production", version=1)
        mlflow.genai.register_prompt(name="formatted", template="x", response_format={"type": "object"})
        yield Store(folder=folder, dataset_id=dataset.dataset_id, run=run.info.run_id, lonely=lonely.info.run_id)
        mlflow.set_tracking_uri(before)


def test_an_evaluation_dataset_is_locked_with_both_digests(store: Store, tmp_path: Path) -> None:
    source = locate("mlflow:datasets/support", tmp_path)
    lock = write_lock(source)
    assert source.lock == tmp_path / "mlflow-datasets-support.lock.json"
    assert len(lock.sha256) == 64
    assert lock.upstream.startswith("mlflow digest ")
    dataset = load_dataset(source)
    assert dataset.columns == ("expectations", "id", "inputs", "tags")
    assert sorted(json.dumps(row.values["inputs"]) for row in dataset.rows) == [
        json.dumps(record["inputs"]) for record in RECORDS
    ]
    assert {json.dumps(row.values["tags"]) for row in dataset.rows} == {'{"topic": "t"}'}
    by_id = locate(f"mlflow:datasets/{store.dataset_id}", tmp_path).read(missing_fix="")
    by_run = locate(f"mlflow:runs/{store.run}/support", tmp_path).read(missing_fix="")
    assert by_id.data == by_run.data == source.read(missing_fix="").data


def test_a_logged_dataset_is_read_from_its_source(store: Store, tmp_path: Path) -> None:
    named = locate(f"mlflow:runs/{store.run}/rows", tmp_path)
    assert named.read(missing_fix="").data == b'{"id": "a", "q": "x"}\n'
    only = locate(f"mlflow:runs/{store.lonely}", tmp_path)
    lock = write_lock(only)
    assert lock.source == f"mlflow:runs/{store.lonely}"
    assert len(lock.upstream.removeprefix("mlflow digest ")) == 8
    (store.folder / "artifacts" / "rows.jsonl").write_text('{"id": "a", "q": "y"}\n', encoding="utf-8")
    try:
        with pytest.raises(DatasetError, match="row 'a' changed since version 1.0.0"):
            check_lock(only)
    finally:
        (store.folder / "artifacts" / "rows.jsonl").write_text('{"id": "a", "q": "x"}\n', encoding="utf-8")


def test_what_cannot_be_read_is_refused(store: Store, tmp_path: Path) -> None:
    for uri, what in (
        ("mlflow:datasets/none", "MLflow says: .*not found"),
        ("mlflow:datasets/empty", "has no rows"),
        (f"mlflow:runs/{store.run}", "the run has 3 such datasets"),
        (f"mlflow:runs/{store.run}/row", "0 such datasets. Did you mean rows"),
        (f"mlflow:runs/{store.run}/memory", "only noted this dataset"),
        ("mlflow:runs/0123", "MLflow says"),
    ):
        with pytest.raises(DatasetError, match=what) as caught:
            locate(uri, tmp_path).read(missing_fix="")
        assert str(caught.value.where).startswith("mlflow:")


@pytest.mark.parametrize("uri", ["mlflow:", "mlflow:support", "mlflow:datasets/", "mlflow:models/x", "mlflow:runs/a\n"])
def test_what_names_nothing_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(DatasetError, match="names no dataset in MLflow"):
        locate(uri, tmp_path)


def test_prompts_are_taken_at_their_version(store: Store) -> None:
    one = read_registered_prompt("prompts:/support/1", where="s.yaml:5")
    two = read_registered_prompt("prompts:/support/2", where="s.yaml:5")
    assert [(m.role, m.content) for m in one.messages] == [("user", "Say {{ word }}")]
    assert [m.role for m in two.messages] == ["system", "user"]
    assert (one.version, len(one.digest)) == ("1", 64)
    assert one.digest != two.digest


def test_prompts_that_are_not_pinned_or_say_more_are_refused(store: Store) -> None:
    for uri, what in (
        ("prompts:/support@production", "'production' means version 1 now: write prompts:/support/1"),
        ("prompts:/support@none", "Aliases move"),
        ("prompts:/support/9", "MLflow says"),
        ("prompts:/formatted/1", "carries a response_format"),
    ):
        with pytest.raises(SuiteError, match=what):
            read_registered_prompt(uri, where="s.yaml:5")


def test_without_mlflow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.genai", None)
    with pytest.raises(DatasetError, match=r"needs MLflow\. pip install 'pytest-llmgate\[mlflow\]'"):
        locate("mlflow:datasets/x", tmp_path).read(missing_fix="")
    with pytest.raises(SuiteError, match="needs MLflow"):
        read_registered_prompt("prompts:/x/1", where="s.yaml:5")
    assert dict(os.environ) == before
