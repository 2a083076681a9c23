"""Every way past the gate, on live servers, on SQLite and on PostgreSQL."""

from __future__ import annotations

import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.browser import find_browser, open_page
from support.bypass.rows import ROWS
from support.bypass.scene import Answer, Scene
from support.bypass.servers import DATABASES, start_all
from support.bypass.table import Expected, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.bypass.scene import Live

    Attempts = dict[tuple[str, str], Future[tuple[Scene, Answer]]]

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server]
BUTTON = "[...document.querySelectorAll('button')].find(b => b.innerText.trim() === '{}' && !b.disabled)"
FIELD = "document.querySelector('[role=dialog] input')"
AT_ONCE = 4
"""Attempts at a time; each has a model of its own, and the servers' workers share the machine's cores anyway."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Live]]:
    """By set-up and database; those of a database that is not installed are missing."""
    with start_all(tmp_path_factory.mktemp("bypass")) as running:
        yield running


@pytest.fixture(scope="module")
def attempts(servers: dict[tuple[str, str], Live], request: pytest.FixtureRequest) -> Attempts:
    """All attempts that were asked for, made beside each other; the tests look at what came of them."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = [(one["row"], one["database"]) for one in params if isinstance(one.get("row"), Row)]
    # MLflow's warnings come at a time of their own, so here and not in the threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(AT_ONCE) as pool:
        warnings.simplefilter("ignore")
        return {
            (row.name, database): pool.submit(tried, row, live)
            for row, database in wanted
            if (live := servers.get((row.setup, database))) is not None
        }


def tried(row: Row, live: Live) -> tuple[Scene, Answer]:
    scene = Scene(live=live)
    return scene, row.run(scene)


# The first test: MLflow's page forgets a model that is not on the first page of all models, which it reads as well.
@pytest.mark.browser
def test_the_dialog_says_why_an_alias_is_refused(servers: dict[tuple[str, str], Live], tmp_path: Path) -> None:
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium is installed")
    live = servers["plain", "sqlite"]
    scene = Scene(live=live)
    version = scene.challenger()
    with open_page(browser, f"{live.url}/#/models/{scene.model}/versions/{version}", tmp_path / "profile") as page:
        page.click(BUTTON.format("Add"))
        page.fill(FIELD, "champion")
        page.press("Enter", 13)
        page.wait_for(r"/@\s*champion/.test(document.querySelector('[role=dialog]').innerText)")
        page.click(BUTTON.format("Save aliases"))
        page.wait_for("document.body.innerText.includes('promotion blocked')")
        page.picture(tmp_path / "refused.png")
        said = str(page.run("document.querySelector('[role=dialog]').innerText"))
    assert f"llmgate: promotion blocked: {scene.model} v{version} -> champion: no verdict" in said
    assert "run the gate on this version" in said
    assert scene.client("get_model_version_by_alias", scene.model, "champion").body.version != version


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
