"""Every way past the gate, on live servers, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bypass.rows import ROWS
from support.bypass.scene import Scene
from support.bypass.servers import DATABASES
from support.bypass.table import Expected, Row

if TYPE_CHECKING:
    from support.bypass.scene import Live

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_attempt(row: Row, database: str, servers: dict[tuple[str, str], Live]) -> None:
    if (row.setup, database) not in servers:
        pytest.skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
    scene = Scene(live=servers[row.setup, database])
    answer = row.run(scene)
    if row.expected is not Expected.REFUSED:
        assert answer.ok, answer
        return
    assert 400 <= answer.status < 500, answer
    if row.by == "llmgate":
        assert answer.code == "PERMISSION_DENIED", answer
        assert "llmgate: " in answer.message, answer
    missing = [word for word in row.words if word not in answer.message]
    assert not missing, answer
    assert scene.changed() == []
