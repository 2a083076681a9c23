"""Files exchanged under a version. No registry can refuse that; whoever deploys verifies the weights first."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.attest.statement import bind
from llmgate.record.weights import weights_digest
from llmgate.session.commands.verdict.for_serving import VerifyQuestion
from llmgate.session.commands.verify import verify_weights
from llmgate.session.progress import LineProgress
from support.bypass.table import Area
from support.servers import model_folder
from support.verdicts import digest_of, gate_statement

if TYPE_CHECKING:
    from support.bypass.scene import Answer, Scene

__all__ = ["WEIGHTS"]

WEIGHTS: Final = Area(title="Files behind a version")
BINARY: Final = "application/octet-stream"
BYTES: Final = "Bytes behind a version"
OTHER: Final = b"\x02\0\0\0\0\0\0\0{X"
DAY: Final = timedelta(days=1)
FILES: Final = "/api/2.0/mlflow-artifacts/artifacts"


def crowned(scene: Scene) -> str:
    """A champion whose files lie among the artifacts of a run, with a verdict on them; returns the run's id."""
    run = scene.done(scene.client("create_run", "0")).info.run_id
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(Path(scratch))
        for file in folder.iterdir():
            scene.done(scene.raw("PUT", f"{FILES}/0/{run}/artifacts/model/{file.name}", file.read_bytes(), kind=BINARY))
        digest = weights_digest(folder)
    source = f"mlflow-artifacts:/0/{run}/artifacts/model"
    version = scene.create_version(source=source, run_id=run)
    statement = gate_statement()
    statement["subject"][0]["digest"]["sha256"] = digest
    now = scene.next_time()
    bound = bind(
        statement,
        registry=scene.facts(version),
        champion=None,
        records={"candidate": digest_of("c"), "baseline": None, "decision": digest_of("d")},
        attempts=1,
        issued_at=now,
        expires_at=now + DAY,
    )
    scene.done(scene.attest(version, scene.keys.sign(bound, "bootstrap")))
    scene.done(scene.set_alias(version))
    assert verified(scene)
    return str(run)


def verified(scene: Scene) -> bool:
    """What `llmgate verify models:/NAME@champion` says."""
    what, policy = f"models:/{scene.model}@champion", scene.keys.path
    question = VerifyQuestion(what=what, policy=policy, mlflow_uri=scene.live.url)
    return verify_weights(question, LineProgress(lambda _: None)).verified


def swap(scene: Scene, method: str, path: str, data: bytes | None) -> Answer:
    """Change a file of the champion, and notice it."""
    run = crowned(scene)
    answer = scene.attempt(lambda: scene.raw(method, path.format(run=run), data, kind=BINARY))
    assert scene.changed() == []
    assert not verified(scene)
    return answer


for name, tried, method, path, data in (
    ("swap-put", "exchange the champion's weights", "PUT", f"{FILES}/0/{{run}}/artifacts/model/model.safetensors", OTHER),
    ("swap-ajax", "the same as the page does", "PUT", f"/ajax-{FILES[1:]}/0/{{run}}/artifacts/model/model.safetensors", OTHER),
    ("swap-config", "exchange its configuration", "PUT", f"{FILES}/0/{{run}}/artifacts/model/config.json", b"{}"),
    ("swap-add", "add a file of code to it", "PUT", f"{FILES}/0/{{run}}/artifacts/model/modeling.py", b"import os"),
    ("swap-delete", "delete a file of it", "DELETE", f"{FILES}/0/{{run}}/artifacts/model/config.json", None),
    (
        "swap-upload", "upload a file to its run", "POST",
        "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=model/model.safetensors", OTHER,
    ),
):  # fmt: skip
    shown = path.replace("/0/{run}/artifacts/model", "/…").replace("?run_uuid={run}&path=model/model.safetensors", "")
    WEIGHTS.limit(name, tried, f"{method} {shown}", BYTES)(partial(swap, method=method, path=path, data=data))


@WEIGHTS.limit("swap-client", "log another file to its run", "client: log_artifact", BYTES)
def swap_client(scene: Scene) -> Answer:
    run = crowned(scene)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.safetensors"
        file.write_bytes(OTHER)
        answer = scene.attempt(lambda: scene.client("log_artifact", run, str(file), "model"))
    assert scene.changed() == []
    assert not verified(scene)
    return answer
