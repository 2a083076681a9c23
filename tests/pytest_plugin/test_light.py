"""An environment that has llmgate installed does not pay for it in unrelated test runs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "numpy",
    "scipy",
    "httpx",
    "aiohttp",
    "httptools",
    "pydantic",
    "mlflow",
    "openai",
    "vllm",
    "yaml",
    "jinja2",
    "regex",
    "jsonschema",
    "click",
    "rich",
)
PROGRAM = """
import sys, pytest
code = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]])
print("LOADED", *sorted(name for name in {heavy} if name in sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize("args", [[], ["-n", "2"]])
def test_an_unrelated_run_loads_nothing_heavy(tmp_path: Path, args: list[str]) -> None:
    (tmp_path / "test_unrelated.py").write_text("def test_unrelated(): pass\n", encoding="utf-8")
    (tmp_path / "compose.yaml").write_text("services: {}\n", encoding="utf-8")
    # Other plugins of this environment may load what they like; they are not what is tested.
    disabled = ["-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:randomly", "-p", "no:benchmark"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(heavy=HEAVY), *disabled, *args],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_importing_llmgate_loads_nothing_heavy() -> None:
    program = f"import sys, llmgate, llmgate.pytest_plugin; print(*(n for n in {HEAVY} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_names_resolve_and_others_do_not() -> None:
    import llmgate

    for name in llmgate.__all__:
        assert getattr(llmgate, name) is not None
        assert name in dir(llmgate)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = llmgate.absent
