"""The gated store under the oldest and the newest MLflow that it is meant for, each in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import requires
from typing import TYPE_CHECKING

import pytest
from support.extras import ROOT, fresh_python, running, wheel
from support.verdicts import make_keys

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.extra, pytest.mark.mlflow_server]

BLOCKED = re.compile(r"llmgate: promotion blocked: support-bot v\d+ -> \S+: .+; .+")
REFUSED = re.compile(r"llmgate: refused: .+: .+; .+")


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One version of MLflow.

    Attributes:
        version: What has to be imported.
        needs: Arguments of `uv pip install`, besides our wheel.
        without: Packages that are left out although its metadata name them.
    """

    version: str
    needs: tuple[str, ...]
    without: tuple[str, ...] = ()


def skinnys_needs() -> tuple[str, ...]:
    """What `mlflow-skinny` needs."""
    return tuple(need for need in requires("mlflow-skinny") or () if "extra ==" not in need)


OLDEST = Installed(version="3.5.1", needs=("mlflow==3.5.1", "sqlalchemy<2.1"))
NEWEST = Installed(
    version="3.18.0",
    needs=("mlflow==3.18.0", *skinnys_needs()),
    # Some indexes lack these two in this version. The wheel `mlflow` holds all of their files.
    without=("mlflow-skinny", "mlflow-tracing"),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return wheel(tmp_path_factory.mktemp("wheel"))


def python_with(installed: Installed, built: Path, folder: Path) -> Path:
    """The Python of an environment with the wheel and one MLflow, resolved together."""
    left_out = folder / "left-out.txt"
    left_out.write_text("".join(f'{name} ; python_version < "3"\n' for name in installed.without), encoding="utf-8")
    return fresh_python(folder / "venv", "--override", left_out, f"{built}[mlflow]", *installed.needs)


def story(python: Path, folder: Path, uri: str, env: dict[str, str]) -> dict[str, str]:
    """What became of each act; see `support/gate_story.py`."""
    done = subprocess.run(
        [python, ROOT / "tests" / "support" / "gate_story.py", folder, uri],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return told


def told_as_it_should(said: dict[str, str]) -> None:
    """Every act had the end that it has under the version which all other tests use."""
    for act in ("bootstrap", "promotion", "rollback", "holder after the refusals", "an unprotected alias", "reading"):
        assert said[act] == "done", (act, said[act])
    for act in ("no verdict", "a candidate without a verdict", "FAIL", "the stage"):
        assert BLOCKED.search(said[act]), (act, said[act])
    assert "FAIL" in said["FAIL"]
    for act in ("deleting what earned it", "deleting the alias", "deleting the holder", "renaming the model"):
        assert REFUSED.search(said[act]), (act, said[act])
    assert "llmgate: " in said["a look-alike"]
    assert said["ledger"] == "rolled-back 1, promoted 2, bootstrapped 1"


@pytest.mark.parametrize("installed", [OLDEST, NEWEST], ids=lambda installed: installed.version)
def test_promotion_refusal_and_rollback(installed: Installed, built: Path, tmp_path: Path) -> None:
    python = python_with(installed, built, tmp_path)
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}}
    env |= {"PYTHONPATH": str(ROOT / "tests"), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    keys = make_keys(tmp_path / "keys")
    env["LLMGATE_REGISTRY_POLICY"] = str(keys.path)
    ours = [str(python), "-c", "import llmgate; print(llmgate.__file__)"]
    assert str(tmp_path / "venv") in subprocess.check_output(ours, env=env, cwd=tmp_path, text=True)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    url, database = f"http://127.0.0.1:{port}", f"sqlite:///{tmp_path}/server.db"
    command: list[str | Path] = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--workers", "1", "--backend-store-uri", database, "--registry-store-uri", f"llmgate:{database}"]
    with ThreadPoolExecutor(1) as meanwhile:
        inside = meanwhile.submit(story, python, keys.folder, f"llmgate:sqlite:///{tmp_path}/in-process.db", env)
        with running(command, answers=f"{url}/health", log=tmp_path / "log", env=env):
            over_http = story(python, keys.folder, url, env)
    in_process = inside.result()
    assert in_process["mlflow"] == installed.version
    told_as_it_should(in_process)
    told_as_it_should(over_http)
    assert "PERMISSION_DENIED" in over_http["no verdict"]
    if installed is OLDEST:
        assert in_process["sqlalchemy"].startswith("2.0.")
