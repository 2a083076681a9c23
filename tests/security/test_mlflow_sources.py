"""What a run in MLflow names: any path of this machine, any address that it reaches."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import DatasetError, LlmgateError
from llmgate.promote import tags
from llmgate.promote.mlflow_target import MlflowTarget
from llmgate.promote.target import VersionFacts
from llmgate.suite.data.locate import locate
from llmgate.suite.prompt.mlflow import read_registered_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("mlflow.genai")
ROW = b'{"id": "a", "q": "correct-horse"}\n'


@dataclass(frozen=True, kw_only=True)
class Store:
    """A store with one experiment, and a server beside it that counts who asks."""

    folder: Path
    experiment: str
    server: HTTPServer
    asked: list[str]

    @property
    def uri(self) -> str:
        """Of the store."""
        return f"sqlite:///{self.folder}/store/mlflow.db"

    def run(self, source: dict[str, str], kind: str, *, location: str = "") -> str:
        """Log a run that names a source; return its id."""
        from mlflow import MlflowClient
        from mlflow.entities import Dataset, DatasetInput

        client = MlflowClient(self.uri)
        experiment = self.experiment
        if location:
            name = f"at {location}"
            kept = client.get_experiment_by_name(name)
            experiment = kept.experiment_id if kept else client.create_experiment(name, artifact_location=location)
        made = client.create_run(experiment)
        dataset = Dataset(name="rows", digest=made.info.run_id[:8], source_type=kind, source=json.dumps(source))
        client.log_inputs(made.info.run_id, [DatasetInput(dataset, [])])
        return str(made.info.run_id)

    def named(self, text: str) -> str:
        """A location, filled in."""
        return text.format(folder=self.folder, host=f"127.0.0.1:{self.server.server_port}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("machine")
    asked: list[str] = []

    class Inside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ROW)

        def log_message(self, *_: object) -> None:
            pass

    artifacts = folder / "store" / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "rows.jsonl").write_bytes(ROW)
    (folder / "key.jsonl").write_bytes(ROW)
    (folder / "store" / "beside.jsonl").write_bytes(ROW)
    (artifacts / "link.jsonl").symlink_to(folder / "key.jsonl")
    (artifacts / "out").symlink_to(folder)
    os.mkfifo(artifacts / "fifo.jsonl")
    (artifacts / "zero.jsonl").symlink_to("/dev/zero")
    server = HTTPServer(("127.0.0.1", 0), Inside)
    Thread(target=server.serve_forever, daemon=True).start()
    uri = f"sqlite:///{folder}/store/mlflow.db"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.chdir(folder)
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        experiment = mlflow.create_experiment("llmgate", artifact_location=str(artifacts))
        yield Store(folder=folder, experiment=experiment, server=server, asked=asked)
        mlflow.set_tracking_uri(before)
    server.shutdown()
    server.server_close()


def test_a_file_in_the_artifact_store_is_read(store: Store, tmp_path: Path) -> None:
    for uri in ("{folder}/store/artifacts/rows.jsonl", "file://{folder}/store/artifacts/rows.jsonl"):
        run = store.run({"uri": store.named(uri)}, "local")
        assert locate(f"mlflow:runs/{run}/rows", tmp_path).read(missing_fix="").data == ROW


@pytest.mark.parametrize(
    ("key", "named", "kind"),
    [
        ("uri", "{folder}/key.jsonl", "local"),
        ("uri", "file://{folder}/key.jsonl", "local"),
        ("uri", "file://localhost{folder}/key.jsonl", "local"),
        ("uri", "{folder}/store/beside.jsonl", "local"),
        ("uri", "{folder}/store/mlflow.db", "local"),
        ("uri", "{folder}/store/artifacts/../../key.jsonl", "local"),
        ("uri", "{folder}/store/artifacts/link.jsonl", "local"),
        ("uri", "{folder}/store/artifacts/out/key.jsonl", "local"),
        ("uri", "{folder}/store/artifacts/fifo.jsonl", "local"),
        ("uri", "{folder}/store/artifacts/zero.jsonl", "local"),
        ("uri", "key.jsonl", "local"),
        ("uri", "/proc/self/environ", "local"),
        ("uri", "http://{host}/latest/meta-data", "local"),
        ("uri", "http://{host}/latest/meta-data", "s3"),
        ("url", "http://{host}/latest/meta-data", "http"),
        ("url", "HTTP://{host}/latest/meta-data", "http"),
        ("uri", "mlflow-artifacts://{host}/rows.jsonl", "local"),
        ("uri", "s3://bucket/rows.jsonl", "s3"),
        ("uri", "runs:/0123/rows.jsonl", "local"),
        ("path", "owner/name", "hugging_face"),
    ],
)
def test_nothing_else_is_read_or_asked(store: Store, tmp_path: Path, key: str, named: str, kind: str) -> None:
    run = store.run({key: store.named(named)}, kind)
    with pytest.raises(
        DatasetError, match="lies outside MLflow's artifact store|no regular file|no rows lie"
    ) as caught:
        locate(f"mlflow:runs/{run}/rows", tmp_path).read(missing_fix="")
    assert "correct-horse" not in str(caught.value)
    assert store.asked == []


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("/", "{folder}/key.jsonl"),
        ("file:///", "file://{folder}/key.jsonl"),
        ("{folder}", "{folder}/key.jsonl"),
        ("http://{host}/", "http://{host}/rows.jsonl"),
        ("mlflow-artifacts://{host}/", "mlflow-artifacts://{host}/rows.jsonl"),
    ],
)
def test_nor_is_it_where_whoever_made_the_experiment_says_that_the_store_is(
    store: Store, tmp_path: Path, location: str, named: str
) -> None:
    run = store.run({"uri": store.named(named)}, "local", location=store.named(location))
    with pytest.raises(DatasetError, match="lies outside MLflow's artifact store"):
        locate(f"mlflow:runs/{run}/rows", tmp_path).read(missing_fix="")
    assert store.asked == []


def test_evidence_is_not_fetched_from_hosts_that_a_run_names(store: Store, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    run = store.run({"uri": "x"}, "local", location=store.named("http://{host}/evidence"))
    MlflowClient(store.uri).set_terminated(run)
    version = VersionFacts(
        name="bot",
        version="1",
        created_at=datetime.now(UTC),
        source="x",
        tags={tags.EVIDENCE: run},
        aliases=frozenset(),
    )
    with pytest.raises(LlmgateError, match="keeps its files at"):
        MlflowTarget(store.uri, store.uri).evidence(version, tmp_path / "into")
    assert store.asked == []


def test_a_registered_prompt_is_its_text(store: Store) -> None:
    import mlflow

    genai: Any = mlflow.genai
    for text in (
        f"file://{store.folder}/key.jsonl",
        store.named("http://{host}/prompt"),
        "{% include '/etc/passwd' %}",
    ):
        made = genai.register_prompt(name="named", template=text)
        prompt = read_registered_prompt(f"prompts:/named/{made.version}", where="x.yaml:1")
        assert [message.content for message in prompt.messages] == [text]
    assert store.asked == []
