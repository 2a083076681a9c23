"""docs/deploy against the schemas of Kubernetes, as PyPI's kubernetes-validate carries them; nothing is fetched for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.extras import pinned_python

pytestmark = [pytest.mark.e2e, pytest.mark.extra]

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
CHECK = """
import json, sys, kubernetes_validate as k
document = json.load(sys.stdin)
try:
    k.validate(document, k.latest_version(), strict=True)
except k.ValidationError as error:
    sys.exit(f"{list(error.path)}: {error.message}")
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return pinned_python("kubernetes-validate", "kubernetes-validate==1.37.0")


def check(python: Path, document: Any) -> str:
    done = subprocess.run(
        [python, "-c", CHECK], input=json.dumps(document), capture_output=True, text=True, timeout=120, check=False
    )
    return "" if done.returncode == 0 else done.stderr or "refused"


def documents() -> dict[str, Any]:
    """The manifests; the template of the runners as the pod that their controller makes of it."""
    job = yaml.safe_load((DEPLOY / "gate-job.yaml").read_text(encoding="utf-8"))
    template = yaml.safe_load((DEPLOY / "arc-runners.yaml").read_text(encoding="utf-8"))["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runner"}, **template}
    return {"gate-job": job, "arc-runners": pod}


@pytest.mark.parametrize("name", documents())
def test_the_schema_accepts_it(python: Path, name: str) -> None:
    assert check(python, documents()[name]) == ""


@pytest.mark.parametrize("name", documents())
def test_the_schema_would_see_a_slip(python: Path, name: str) -> None:
    """Strict: an unknown key is refused, which a cluster would drop without a word."""
    document = documents()[name]
    pod = document["spec"] if name == "arc-runners" else document["spec"]["template"]["spec"]
    pod["containers"][0]["securityContext"]["readonlyRootFilesystem"] = True
    assert "readonlyRootFilesystem" in check(python, document)
    del pod["containers"][0]["securityContext"]
    pod["automountServiceAccountToken"] = "no"
    assert "no" in check(python, document)
