"""Attacks on the machine that runs the gate: by code that a model wrote, by files that somebody sent, by endpoints.

Each is tried as root and as a user without rights, where the rights decide what comes of it: ask for `identity`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["root", "unprivileged"])
def identity(request: pytest.FixtureRequest) -> Iterator[Identity]:
    """Who carries out commands, with a folder that belongs to them."""
    is_root = os.geteuid() == 0
    if request.param == "root" and not is_root:
        pytest.skip("the tests do not run as root")
    # Not `tmp_path`, whose parents other users may not enter.
    folder = Path(tempfile.mkdtemp(prefix="llmgate-test-"))
    other = is_root and request.param == "unprivileged"
    try:
        if other:
            os.chown(folder, Identity.NOBODY, Identity.NOBODY)
        yield Identity(uid=Identity.NOBODY if other else None, folder=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
