"""Other registries through their own client libraries, each extra installed into one environment: they get along.

SageMaker and S3 are moto; the others are servers on this machine that do what the services do to the routes that are used.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.extras import ROOT, extra_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.extra]

EXTRAS = "sagemaker,vertex,wandb,hf"
CHECKS = "tests/promote/elsewhere"


@pytest.fixture(scope="module")
def python() -> Path:
    return extra_python(EXTRAS, "moto[s3,sagemaker]>=5.1,<6")


@pytest.mark.parametrize(
    ("checks", "tests"),
    [
        ("clients/sagemaker_client.py", 30),
        ("clients/vertex_client.py", 32),
        ("clients/wandb_client.py", 30),
        ("test_hugging_face.py", 37),
    ],
)
def test_a_registry_through_its_own_client(python: Path, checks: str, tests: int) -> None:
    options = ["--noconftest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [python, "-m", "pytest", *options, f"{CHECKS}/{checks}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= tests
    assert "skipped" not in done.stdout
