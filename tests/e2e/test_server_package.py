"""The distribution for server images: a plain `mlflow server` is gated by it, or does not start."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.gated_server import free_port, server_command, wait_until_healthy
from support.verdicts import make_keys
from uv import find_uv_bin

from llmgate.attest.policy import POLICY_VARIABLE

if TYPE_CHECKING:
    from support.verdicts import Keys

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]
ROOT = Path(__file__).parents[2]
GIVES_UP_S = 180


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with both wheels; MLflow, which is large, is taken from this one."""
    folder = tmp_path_factory.mktemp("image")
    uv = find_uv_bin()
    for project in (ROOT, ROOT / "server"):
        subprocess.run([uv, "build", "-q", "--wheel", "--out-dir", folder / "dist", project], check=True, timeout=600)
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    wheels = sorted((folder / "dist").glob("*.whl"))
    assert len(wheels) == 2
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "--python", python, *wheels], check=True, timeout=600)
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (site / "mlflow_of_the_tests.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A policy."""
    return make_keys(tmp_path_factory.mktemp("keys") / "policy")


def environment(**more: str) -> dict[str, str]:
    """Of an image: nothing of the checkout."""
    ours = ("MLFLOW_", "LLMGATE_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **more}


def start(python: Path, folder: Path, *options: str, **more: str) -> tuple[subprocess.Popen[bytes], str, Path]:
    """A plain server, as somebody starts it who knows nothing of llmgate."""
    port, log = free_port(), folder / "log"
    command = server_command(
        port, "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", *options, python=python
    )
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, cwd=folder, env=environment(**more), stdout=stream, stderr=stream, start_new_session=True
        )
    return server, f"http://127.0.0.1:{port}", log


def post(url: str, path: str, body: str) -> tuple[int, str]:
    """The status and text of an answer."""
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}", data=body.encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_plain_server_is_gated(python: Path, keys: Keys, tmp_path: Path) -> None:
    server, url, log = start(python, tmp_path, **{POLICY_VARIABLE: str(keys.path)})
    try:
        wait_until_healthy(url, server, log)
        assert post(url, "registered-models/create", '{"name": "support-bot"}')[0] == 200
        assert post(url, "model-versions/create", '{"name": "support-bot", "source": "s3://b/1"}')[0] == 200
        alias = '{"name": "support-bot", "alias": "%s", "version": "1"}'
        status, text = post(url, "registered-models/alias", alias % "champion")
        assert status == 403
        assert "llmgate: promotion blocked: support-bot v1 -> champion" in text
        assert post(url, "registered-models/alias", alias % "canary")[0] == 200
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def refusal(server: subprocess.Popen[bytes], log: Path) -> str:
    """What a server says that does not start."""
    deadline = time.monotonic() + GIVES_UP_S
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    running = server.poll() is None
    if running:
        os.killpg(server.pid, 9)
        server.wait()
    text = log.read_text(encoding="utf-8")
    assert not running, text
    assert server.returncode not in {0, None}, text
    return text


@pytest.mark.parametrize(
    ("policy", "says"),
    [(None, "does not start without a policy"), ("gone.yaml", "cannot be read"), ("broken.yaml", "version")],
    ids=["none", "missing", "broken"],
)
def test_without_a_policy_it_does_not_start(python: Path, tmp_path: Path, policy: str | None, says: str) -> None:
    (tmp_path / "broken.yaml").write_text("version: 7\n", encoding="utf-8")
    named = {} if policy is None else {POLICY_VARIABLE: str(tmp_path / policy)}
    server, _, log = start(python, tmp_path, **named)
    text = refusal(server, log)
    assert "llmgate: the registry is not opened: " in text
    assert says in text


def test_with_an_import_that_breaks_it_does_not_start(python: Path, keys: Keys, tmp_path: Path) -> None:
    """MLflow would only warn of an entry point that cannot be imported, and open the registry."""
    (tmp_path / "broken" / "llmgate").mkdir(parents=True)
    (tmp_path / "broken" / "llmgate" / "__init__.py").write_text("raise ImportError('half of it')", encoding="utf-8")
    more = {POLICY_VARIABLE: str(keys.path), "PYTHONPATH": str(tmp_path / "broken")}
    server, _, log = start(python, tmp_path, **more)
    assert "llmgate: the registry is not opened: half of it" in refusal(server, log)


def test_files_and_databricks_cannot_be_gated(python: Path, keys: Keys, tmp_path: Path) -> None:
    for uri in ("databricks", "databricks-uc", f"file://{tmp_path}/mlruns"):
        folder = tmp_path / uri.partition(":")[0]
        folder.mkdir()
        server, _, log = start(python, folder, "--registry-store-uri", uri, **{POLICY_VARIABLE: str(keys.path)})
        assert "registry cannot be gated" in refusal(server, log)


def test_an_image_can_ask_whether_it_is_closed(python: Path, tmp_path: Path) -> None:
    command = [str(python), "-m", "llmgate_server"]
    closed = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False)
    assert (closed.returncode, closed.stderr) == (0, "")
    info = tmp_path / "zz_other-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zz-other\nVersion: 0\n", encoding="utf-8")
    points = "[mlflow.model_registry_store]\nsqlite = json:loads\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    (site / "zz_other.pth").write_text(str(tmp_path), encoding="utf-8")
    try:
        taken = subprocess.run(command, capture_output=True, text=True, cwd=site, env=environment(), check=False)
    finally:
        (site / "zz_other.pth").unlink()
    assert taken.returncode == 1
    assert "a sqlite registry would be open" in taken.stderr
