"""Two arms with the real client and real processes: what needs the machine to itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from support.servers import FAKE_VLLM, model_folder

from llmgate.gate.decision.types import Verdict
from llmgate.gate.serving.validity import spoilt
from llmgate.record.schema import Message
from llmgate.record.serving.plan import ServingSpec
from llmgate.session.progress import LineProgress
from llmgate.session.run.by_hand import ByHand, compare_by_hand
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

PROMPTS = [[Message(role="user", content=f"Say word-{k}")] for k in range(16)]


@pytest.mark.timing
@pytest.mark.usefixtures("own_lock")
@pytest.mark.parametrize(("itl_ms", "verdict"), [(8.0, Verdict.PASS), (9.6, Verdict.FAIL)])
def test_the_real_client_tells_a_slower_server_from_an_equal_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, itl_ms: float, verdict: Verdict
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    folders = []
    for name, pace in (("old", 8.0), ("new", itl_ms)):
        (tmp_path / name).mkdir()
        folders.append(model_folder(tmp_path / name))
        (folders[-1] / "pace.json").write_text(json.dumps({"ttft_ms": 20, "itl_ms": pace}), encoding="utf-8")
    question = ByHand(
        champion=str(folders[0]),
        candidate=str(folders[1]),
        pairs=6,
        margin=0.06,
        metrics=("output_throughput",),
        spec=ServingSpec(concurrency=2, requests=16, max_tokens=16, warmup=2),
    )
    found = compare_by_hand(
        "words",
        PROMPTS,
        settings_from({"serving_hosting": "together"}, root=tmp_path),
        question,
        progress=LineProgress(),
    )
    busy = [why for run in found.arms.runs if (why := spoilt(run.trace))]
    if found.decision.verdict is Verdict.INCONCLUSIVE and busy:
        pytest.skip(f"the machine is not quiet: {busy[-1]}")
    assert found.decision.verdict is verdict, found.decision.sentence
    assert sum(not run.discarded for run in found.arms.runs) == 12
