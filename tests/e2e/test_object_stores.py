"""`s3://` and `gs://` through their own libraries, each extra installed into one environment, against servers over HTTP."""

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

CLIENTS = "tests/generate/sources/clients"


@pytest.fixture(scope="module")
def python() -> Path:
    return extra_python("s3,gs", "boto3", "moto[s3,server]>=5.1,<6", "gcp-storage-emulator==2026.7.19")


@pytest.mark.parametrize(("checks", "tests"), [("s3_client.py", 15), ("gs_client.py", 6)])
def test_a_store_through_its_own_library(python: Path, checks: str, tests: int) -> None:
    options = ["--noconftest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [python, "-m", "pytest", *options, f"{CLIENTS}/{checks}"],
        cwd=ROOT,
        # Else gcsfs asks Google's control API over gRPC what kind of bucket it is, which no emulator answers.
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"},
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
