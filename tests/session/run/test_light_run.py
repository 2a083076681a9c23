"""A run imports what it uses: start-up is most of what a short run takes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from support.fake_server import FakeServer
from support.light import unused
from support.project import WRONG, answer_right, write_suite

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PROGRAM = """
import sys
from llmgate.cli import main
out, url = sys.argv[1:]
def run(*args):
    code = main.main(["run", "suite.yaml", "--endpoint", url, *args], prog_name="llmgate", standalone_mode=False)
    print(f"\\nLOADED {code}", *sorted(sys.modules))
run("--as-baseline", "--deployment", "before", "--out", f"{out}/before")
run("--baseline", f"{out}/before", "--deployment", "after", "--out", f"{out}/after")
"""


def test_a_run_imports_nothing_that_it_does_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    extra = (
        "  - {type: equals, value: '{{ word }}'}\n  - {type: is-json, weight: 0}\n  - {type: word-count, value: 1}\n"
    )
    write_suite(tmp_path, cases=4, extra=extra).rename(tmp_path / "suite.yaml")
    wrong = {"Say word-1"}

    def answer(body: dict[str, object]) -> str:
        return WRONG if body["messages"][-1]["content"] in wrong else answer_right(body)  # type: ignore[index]

    with FakeServer(answer=answer) as server:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), f"{server.url}/v1"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    baseline, compared = (line for line in done.stdout.splitlines() if line.startswith("LOADED"))
    assert unused(baseline) == []
    assert "regex" not in baseline.split()
    assert unused(compared) == []
