"""A suite in code on a real model: the official client, vLLM on the CPU, and the same decision as the suite file's."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.demo.models import degrade
from llmgate.record.run.loading import load_record
from llmgate.record.schema import Generation
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import OwnedServer

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "China": "Beijing",
    "Russia": "Moscow", "Egypt": "Cairo", "Greece": "Athens", "Austria": "Vienna", "Ireland": "Dublin", "Cuba": "Havana",
    "Portugal": "Lisbon", "England": "London", "India": "Delhi", "Norway": "Oslo", "Poland": "Warsaw", "Peru": "Lima",
    "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki", "Hungary": "Budapest", "Turkey": "Ankara",
    "Thailand": "Bangkok",
}  # fmt: skip
GATE = {"accuracy": {"margin": 0.15}, "brevity": {"role": "guardrail", "margin": 0.4}}
PROMPT = [
    {"role": "system", "content": "Answer the question in one short sentence."},
    {"role": "user", "content": "What is the capital of {{ country }}?"},
]
SAMPLING = {"temperature": 0, "max_tokens": 16, "seed": 0}
FILE: dict[str, Any] = {
    "llmgate": 1, "suite": "file", "version": "1.0.0", "dataset": "capitals.jsonl", "prompt": PROMPT, "sampling": SAMPLING,
    "assert": [
        {"type": "icontains", "value": "{{ capital }}"},
        {"type": "word-count", "value": {"max": 14}, "metric": "brevity"},
    ],
    "gate": GATE,
}  # fmt: skip
TEST = f"""
import llmgate

suite = llmgate.suite(
    "code", version="1.0.0", dataset="capitals.jsonl", prompt={PROMPT!r}, sampling={SAMPLING!r}, gate={GATE!r},
)


@suite.cases
async def test_capitals(case, llm):
    reply = await llm.chat.completions.create(**case.request)
    case.check("accuracy", case["capital"].lower() in reply.choices[0].message.content.lower())
    case.check("brevity", {{"type": "word-count", "value": {{"max": 14}}}})
"""
STUMP = tuple(range(0, 30, 3))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    rows = [{"id": name.lower(), "country": name, "capital": city} for name, city in CAPITALS.items()]
    data = folder / "capitals.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(data, licence="Apache-2.0")
    (folder / "capitals.json").write_text(json.dumps(FILE), encoding="utf-8")
    (folder / "test_capitals.py").write_text(TEST, encoding="utf-8")
    return folder


def gate(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Both suites in one session, so that both ask the same server."""
    command = [sys.executable, "-m", "pytest", "capitals.json", "test_capitals.py", "-p", "no:cacheprovider", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=1800)


def test_the_decision_is_that_of_the_same_suite_in_a_file(
    project: Path, real_server: OwnedServer, smollm2_dir: Path
) -> None:
    champion = gate(
        project, f"--llmgate-endpoint={real_server.url}/v1", "--llmgate-out=champion", "--llmgate-as-baseline"
    )
    assert champion.returncode == 0, champion.stdout + champion.stderr
    stump = degrade(smollm2_dir, project / "stump", keep_layers=STUMP)
    candidate = gate(
        project, f"--llmgate-model={stump}", "--llmgate-out=candidate", "--llmgate-baseline=champion",
        "--llmgate-served-name=stump",
    )  # fmt: skip
    assert candidate.returncode == 1, candidate.stdout + candidate.stderr
    assert "FAIL Do not ship: " in candidate.stdout
    decided = json.loads((project / "candidate" / "decision.json").read_text(encoding="utf-8"))
    metrics = {(metric["suite"], metric["metric"]): metric for metric in decided["metrics"]}
    for name in GATE:
        code, file = metrics["code", name], metrics["file", name]
        assert (code["verdict"], code["evaluated"]) == (file["verdict"], file["evaluated"]), name
        # Two batches of one model differ in a word here and there, even at temperature 0.
        assert code["delta"] == pytest.approx(file["delta"], abs=0.1), name
    assert metrics["code", "accuracy"]["verdict"] == "FAIL"
    record = load_record(project / "candidate")
    answers = {(key.suite, key.case): result.answer for key, result in record.results.items()}
    for country in CAPITALS:
        code, file = answers["code", country.lower()], answers["file", country.lower()]
        assert isinstance(code, Generation)
        assert isinstance(file, Generation)
        assert (code.completion_tokens or 0) > 0
    (exchange,) = next(result.exchanges for key, result in record.results.items() if key.suite == "code")
    assert exchange.request["model"] == record.manifest.server.model_names[0]
