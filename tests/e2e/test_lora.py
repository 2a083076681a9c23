"""Adapters of a real model on vLLM on the CPU: two of them by one start, right digests, the gate between them; the trap."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.adapters import write_adapter
from support.servers import MARK, marked, wait_until

from llmgate.errors import ServerError
from llmgate.generate.endpoint import ask
from llmgate.generate.vllm.adapter_probe import check_apart
from llmgate.generate.vllm.adapters import adapter_flags, read_adapter
from llmgate.generate.vllm.server import ServerSpec, launch
from llmgate.mlflow_quiet import quiet
from llmgate.record.manifest import adapted_digest
from llmgate.record.run.loading import load_record
from llmgate.record.weights import weights_digest
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

SUITE = """\
llmgate: 1
suite: towns
version: 1.0.0
description: Knows capitals.
dataset: towns.jsonl
prompt:
  - {role: system, content: Answer the question in one short sentence.}
  - {role: user, content: "What is the capital of {{ country }}?"}
sampling: {temperature: 0, max_tokens: 12, seed: 0}
assert:
  - {type: icontains, value: "{{ city }}", metric: accuracy}
gate:
  accuracy: {margin: 0.2}
"""
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Germany": "Berlin", "Russia": "Moscow",
    "Greece": "Athens", "Egypt": "Cairo", "Austria": "Vienna", "Portugal": "Lisbon", "Ireland": "Dublin",
    "China": "Beijing", "Poland": "Warsaw", "Hungary": "Budapest", "Norway": "Oslo", "Sweden": "Stockholm",
    "Denmark": "Copenhagen", "Finland": "Helsinki", "Belgium": "Brussels", "Cuba": "Havana", "Peru": "Lima",
    "Chile": "Santiago", "Argentina": "Buenos Aires", "Iran": "Tehran",
}  # fmt: skip
COMMIT = "a1" * 20
GENTLE, WRECKING = 0.002, 0.1
"""An adapter that leaves what the model knows, and one that nothing is left after."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, smollm2_dir: Path) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    data = folder / "towns.jsonl"
    rows = [{"id": country.lower(), "country": country, "city": city} for country, city in CAPITALS.items()]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(data, licence="Apache-2.0")
    (folder / "towns.yaml").write_text(SUITE, encoding="utf-8")
    write_adapter(folder / "old", base=smollm2_dir, seed=1, strength=GENTLE, rank=4)
    write_adapter(folder / "new", base=smollm2_dir, seed=2, strength=WRECKING, rank=8)
    return folder


def llmgate(project: Path, *args: str) -> tuple[int, str]:
    program = str(Path(sys.executable).with_name("llmgate"))
    env = {**os.environ, MARK: str(project), "XDG_CACHE_HOME": str(project / "cache"), **at_hub(project)}
    done = subprocess.run(
        [program, *args], cwd=project, env=env, capture_output=True, text=True, check=False, timeout=1500
    )
    assert wait_until(lambda: not marked(project), timeout_s=30), "no process is left"
    return done.returncode, done.stdout + done.stderr


def at_hub(project: Path) -> dict[str, str]:
    """A machine that fetched the old adapter from the hub once, and cannot reach it now."""
    return {"HF_HOME": str(project / "hub"), "HF_HUB_CACHE": str(project / "hub" / "hub"), "HF_HUB_OFFLINE": "1"}


def registered(project: Path) -> str:
    """The new adapter as a version in a store of its own; its URI."""
    with quiet():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=store_of(project), registry_uri=store_of(project))
        experiment = client.create_experiment("adapters", artifact_location=str(project / "mlartifacts"))
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, str(project / "new"), "model")
        client.create_registered_model("towns")
        made = client.create_model_version("towns", f"{run.info.artifact_uri}/model", run.info.run_id)
    return f"models:/towns/{made.version}"


def store_of(project: Path) -> str:
    return f"sqlite:///{project}/mlflow.db"


def test_two_adapters_are_recorded_and_decided_on_by_one_start(project: Path, smollm2_dir: Path) -> None:
    new, old = registered(project), f"hf://acme/old@{COMMIT}"
    cached = project / "hub" / "hub" / "models--acme--old" / "snapshots" / COMMIT
    shutil.copytree(project / "old", cached)
    code, told = llmgate(
        project, "run", "towns.yaml", "--model", str(smollm2_dir), "--adapter", f"new={new} old={old}",
        "--mlflow-uri", store_of(project), "--champion-adapter", "old", "--out", "run",
        "--server-args", "--max-model-len 512",
    )  # fmt: skip
    assert told.count("vLLM: ready") == 1, told
    assert "each answers as itself" in told, told
    assert code == 1, told
    base = weights_digest(smollm2_dir)
    for name, folder in (("new", "run"), ("old", "run-champion")):
        record = load_record(project / folder)
        own, model = weights_digest(project / name), record.manifest.model
        assert (model.name, model.registry_uri) == (name, new if name == "new" else None)
        assert (model.base, model.adapter, model.weights_digest) == (base, own, adapted_digest(base, own))
        assert f"{name}=sha256:{own}" in record.manifest.server.flags
        assert record.manifest.server.flags[record.manifest.server.flags.index("--max-loras") + 1] == "3"
        assert len(record.results) == len(CAPITALS)
    # The other way round nothing is lost.
    code, told = llmgate(project, "decide", "run-champion", "run")
    assert code == 0, told


def test_with_every_slot_taken_the_base_is_caught_with_an_adapters_weights(
    project: Path, smollm2_dir: Path, tmp_path: Path
) -> None:
    # The base gets the weights in the last slot; those of the other adapter are too near to its own to be told from noise
    # on every machine.
    adapters = [read_adapter(name, project / name, base=smollm2_dir) for name in ("old", "new")]
    flags = list(adapter_flags(adapters))
    flags[flags.index("--max-loras") + 1] = str(len(adapters))
    spec = ServerSpec(
        model=str(smollm2_dir),
        served_name="base",
        flags=(*flags, "--max-model-len", "512"),
        log_path=tmp_path / "server.log",
    )
    with launch(spec) as server:
        server.wait_ready()

        def ask_it(body: Mapping[str, Any]) -> tuple[int, Any]:
            return ask("POST", f"{server.url}/v1/completions", body=body, api_key=None, timeout_s=300)

        with pytest.raises(ServerError, match="in a batch with requests to other models base answers .* as new does"):
            check_apart(ask_it, ("base", "old", "new"), where=server.url)
