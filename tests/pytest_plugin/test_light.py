"""An environment that has llmgate installed does not pay for it in unrelated test runs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer
from support.light import unused
from support.project import answer_right, write_suite

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


RUN = """
import sys, pytest
code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "llmgate.pytest_plugin", *sys.argv[1:]])
ours = {name: module for name, module in sys.modules.items() if name.startswith("llmgate.")}
rewritten = [name for name, one in ours.items() if type(one.__loader__).__name__ == "AssertionRewritingHook"]
left = [finder for finder in sys.meta_path if type(finder).__module__.startswith("llmgate")]
print("REWRITTEN", len(ours), left, *rewritten)
print("LOADED", *sorted(sys.modules))
sys.exit(code)
"""


def test_a_gate_imports_nothing_that_it_does_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("CI", raising=False)
    write_suite(tmp_path, cases=40)
    with FakeServer(answer=answer_right) as server:
        options = ["--llmgate-endpoint", f"{server.url}/v1", "--llmgate-as-baseline", "--llmgate-out", "out"]
        done = subprocess.run(
            [sys.executable, "-c", RUN, ".", *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert unused(done.stdout.splitlines()[-1]) == []
    # Pytest rewrites the asserts of plugins; ours has hundreds of modules, of which a few come before it can say no.
    _, modules, left, *rewritten = done.stdout.splitlines()[-2].split()
    assert left == "[]"
    assert int(modules) > 300
    assert "llmgate.session.run.execute" not in rewritten
    assert len(rewritten) < 30


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
