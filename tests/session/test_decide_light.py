"""Deciding needs no model, no HTTP client and no registry."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
from llmgate.cli import main
try:
    main.main()  # `main()` ends the process at once
finally:
    print("LOADED", *sorted(n for n in ("vllm", "torch", "httpx", "aiohttp", "httptools", "mlflow", "openai", "jinja2", "yaml", "pydantic", "rich.console", "scipy", "llmgate.record.schema") if n in sys.modules))
"""


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_deciding_loads_neither_a_model_nor_an_http_client(form: tuple[str, ...], tmp_path: Path) -> None:
    for name, better in (("a", 1), ("b", 0)):
        rows = [{"item_id": str(i), "score": 1 if i < better else i % 2, "cluster": str(i % 40)} for i in range(500)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    args = ["decide", "--candidate", "a.jsonl", "--baseline", "b.jsonl", "--margin", "0.03", *form]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *args], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"
