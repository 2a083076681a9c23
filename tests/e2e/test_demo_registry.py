"""The demo's own MLflow server: gated, and gone when its owner is, by whatever end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support.gated_server import entry_points
from support.servers import MARK, marked, wait_until

from llmgate.demo.registry import REGISTRY_ID, ask_directly
from llmgate.errors import CannotRunError
from llmgate.promote.mlflow_client import calls, open_client

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]

OWNER = """
import sys, time
from pathlib import Path
from llmgate.demo.registry import GatedServer, make_files
with GatedServer() as server:
    server.start(make_files(Path(sys.argv[1]), model="small", suites=("facts",)))
    print(server.ready(), flush=True)
    time.sleep(600)
"""


def test_a_direct_client_is_refused_and_a_killed_owner_leaves_no_server(tmp_path: Path) -> None:
    paths = [str(entry_points(tmp_path / "plugin")), *(path for path in sys.path if path)]
    env = {**os.environ, MARK: str(tmp_path), "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", OWNER, str(tmp_path / "registry")]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            url = owner.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), (tmp_path / "registry" / "mlflow.log").read_text("utf-8")
            client = open_client(url, url)
            with calls(url):
                for name in ("small", "another"):
                    client.create_registered_model(name)
                    client.create_model_version(name, "s3://bucket/weights")
            refusal = ask_directly(url, "small", "1")
            assert refusal is not None
            assert refusal.startswith("PERMISSION_DENIED: llmgate: promotion blocked: small v1 -> champion: ")
            with calls(url):
                assert client.get_registered_model("small").aliases == {}
            # What no rule names is nobody's business.
            assert ask_directly(url, "another", "1") is None
            with pytest.raises(CannotRunError, match="not found"):
                ask_directly(url, "small", "7")
            assert REGISTRY_ID in (tmp_path / "registry" / "policy.yaml").read_text("utf-8")
            # Nothing was made where the demo was called from.
            assert sorted(path.name for path in tmp_path.iterdir()) == ["plugin", "registry"]
            assert len(marked(tmp_path)) > 2
        finally:
            with suppress(ProcessLookupError):
                owner.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not marked(tmp_path))
