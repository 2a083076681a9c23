"""Where MLflow keeps files, and what only says that it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmgate.record.artifact_store import is_artifact_store, lies_below, local_path, local_reach


@pytest.mark.parametrize(
    ("location", "taken"),
    [
        ("/mlruns/1", True),
        ("file:///mlruns/1", True),
        ("mlflow-artifacts:/1/r/artifacts", True),
        ("s3://bucket/x", True),
        ("http://inside/x", False),
        ("https://inside/x", False),
        ("HTTP://inside/x", False),
        ("ftp://inside/x", False),
        ("sftp://user@inside/x", False),
        ("file://inside/x", False),
        ("//inside/x", False),
        ("mlflow-artifacts://inside/x", False),
        ("runs:/abc/x", False),
        ("models:/m/1", False),
        ("data:text/plain,x", False),
        ("s3://[", False),
        ("file://[", False),
        ("//[", False),
    ],
)
def test_no_host_is_asked_that_a_run_names(location: str, taken: bool) -> None:
    assert is_artifact_store(location) is taken


@pytest.mark.parametrize(
    ("location", "below"),
    [
        ("s3://bucket/x/1/rows.jsonl", True),
        ("s3://bucket/x/1", False),
        ("s3://bucket/x/1/../2/rows.jsonl", False),
        ("s3://bucket/x/1/%2e%2e/2/rows.jsonl", False),
        ("s3://bucket/x/1/./rows.jsonl", False),
        ("s3://bucket/x/11/rows.jsonl", False),
        ("s3://other/x/1/rows.jsonl", False),
        ("s3://bucket/x/1/rows.jsonl?versionId=x", False),
        ("gs://bucket/x/1/rows.jsonl", False),
        ("mlflow-artifacts:/1/rows.jsonl", True),
        ("mlflow-artifacts:/2/rows.jsonl", False),
        ("http://inside/rows.jsonl", False),
    ],
)
def test_what_lies_below_the_folder_of_a_run(location: str, below: bool) -> None:
    assert lies_below(location, ["s3://bucket/x/1", "mlflow-artifacts:/1", "http://inside"]) is below


def test_a_folder_here_belongs_to_the_store_that_the_user_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = f"sqlite:///{tmp_path}/kept/mlflow.db"
    inside, outside = f"file://{tmp_path}/kept/artifacts", "/etc"
    assert local_reach(store, [inside, outside, "s3://x"]).folders == (tmp_path / "kept" / "artifacts",)
    assert local_reach(f"{tmp_path}/kept", [inside]).folders == (tmp_path / "kept" / "artifacts",)
    for elsewhere in ("http://server", "postgresql://db/x", f"sqlite:///{tmp_path}/other/mlflow.db"):
        assert local_reach(elsewhere, [inside, outside]).folders == ()
    own = str(tmp_path / "mlruns" / "1")
    assert local_reach("postgresql://db/x", [own]).folders == (tmp_path / "mlruns" / "1",)
    assert local_reach("http://server", [own]).folders == ()


def test_the_home_directory_is_no_folder_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    store = f"sqlite:///{tmp_path}/mlflow.db"
    assert local_reach(store, [str(tmp_path), "/", str(tmp_path / ".ssh")]).folders == ()
    assert local_reach(store, [str(tmp_path / "mlruns" / "0")]).folders == (tmp_path / "mlruns" / "0",)


def test_paths_are_read_as_urls_have_them() -> None:
    assert local_path("file:///a%20b") == Path("/a b")
    assert local_path("s3://x/y") is None
