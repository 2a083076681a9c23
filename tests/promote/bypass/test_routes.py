"""No route of the installed MLflow is missing from what was looked at."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.bypass.routes import HARMLESS, LISTING, TRIED, place_of
from support.bypass.rows import ROWS

from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.e2e
@pytest.mark.mlflow_server
def test_every_route_that_changes_something_was_looked_at(tmp_path: Path) -> None:
    environment = {**for_programs(), "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{tmp_path}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", LISTING], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    paths = json.loads(done.stdout.splitlines()[-1])
    assert len(paths) > 200
    unknown = [path for path in paths if place_of(path) is None]
    assert unknown == [], "try these in support/bypass, or say in support/bypass/routes.py why they change nothing"
    seen = {place_of(path) for path in paths}
    assert seen == {"tried", *HARMLESS.values()}, "some of what is listed there is not in this MLflow"


def test_what_counts_as_tried_is_tried_by_a_row() -> None:
    routes = [row.route.split("?")[0].replace("…", "x") for row in ROWS]
    for pattern in TRIED:
        assert any(re.search(pattern, route) for route in routes), pattern
    parts = {
        f"{kind}/{part}"
        for kind in ("registered-models", "model-versions")
        for pattern in TRIED
        if f"/{kind}/" in pattern
        for part in pattern.partition("(?:")[2].rstrip(")").split("|")
    }
    untried = [part for part in parts if not any(re.search(rf"{part}\b(?!-)", route) for route in routes)]
    assert untried == []
