"""Every way past the gate, on live servers, on SQLite and on PostgreSQL."""

from __future__ import annotations

import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.bypass.rows import ROWS
from support.bypass.scene import Answer, Scene
from support.bypass.servers import DATABASES
from support.bypass.table import Expected, Row

if TYPE_CHECKING:
    from support.bypass.scene import Live

    Attempts = dict[tuple[str, str], Future[tuple[Scene, Answer]]]

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]
AT_ONCE = 4
"""Attempts at a time; each has a model of its own, and the servers' workers share the machine's cores anyway."""


@pytest.fixture(scope="module")
def attempts(servers: dict[tuple[str, str], Live], request: pytest.FixtureRequest) -> Attempts:
    """All attempts that were asked for, made beside each other; the tests look at what came of them."""
    wanted = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    # MLflow's warnings come at a time of their own, so here and not in the threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(AT_ONCE) as pool:
        warnings.simplefilter("ignore")
        return {
            (params["row"].name, params["database"]): pool.submit(tried, params["row"], live)
            for params in wanted
            if "row" in params and (live := servers.get((params["row"].setup, params["database"]))) is not None
        }


def tried(row: Row, live: Live) -> tuple[Scene, Answer]:
    scene = Scene(live=live)
    return scene, row.run(scene)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_attempt(row: Row, database: str, attempts: Attempts) -> None:
    if (row.name, database) not in attempts:
        pytest.skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
    scene, answer = attempts[row.name, database].result()
    told = f"{answer.status} {answer.code}: {answer.message}"
    if row.expected is not Expected.REFUSED:
        assert answer.ok, told
        return
    # MLflow answers 500 where it refuses what its own state does not allow.
    assert answer.status >= 400, told
    if row.by == "llmgate":
        assert answer.code == "PERMISSION_DENIED", told
        assert "llmgate: " in answer.message, told
    for word in row.words:
        assert word in answer.message, told
    assert scene.changed() == [], told
