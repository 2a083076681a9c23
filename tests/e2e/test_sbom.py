"""The SBOM of the environment, by the command that CI runs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.extra
def test_the_sbom_names_every_package_that_is_installed(tmp_path: Path) -> None:
    sbom = tmp_path / "sbom.json"
    # `-o env`: what is installed is taken as it is.
    command = ["make", "-o", "env", "sbom", f"VENV={sys.prefix}", f"SBOM={sbom}"]
    subprocess.run(command, cwd=ROOT, check=True, stdin=subprocess.DEVNULL, timeout=600)
    document = json.loads(sbom.read_text(encoding="utf-8"))
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "pytest-llmgate"
    named = {component["purl"].rpartition("@")[0].removeprefix("pkg:pypi/") for component in document["components"]}
    installed = {dist.metadata["Name"].lower().replace("_", "-") for dist in metadata.distributions()}
    assert named >= installed - {"pytest-llmgate"}
    assert str(ROOT) not in sbom.read_text(encoding="utf-8")
