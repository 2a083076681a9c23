"""What a person reads who sets a protected alias in MLflow's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.browser import find_browser, open_page
from support.bypass.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

    from support.bypass.scene import Live

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow_server, pytest.mark.browser]
BUTTON = "[...document.querySelectorAll('button')].find(b => b.innerText.trim() === '{}' && !b.disabled)"
FIELD = "document.querySelector('[role=dialog] input')"


def test_the_dialog_says_why_an_alias_is_refused(servers: dict[tuple[str, str], Live], tmp_path: Path) -> None:
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium is installed")
    live = servers["plain", "sqlite"]
    scene = Scene(live=live)
    version = scene.challenger()
    with open_page(browser, f"{live.url}/#/models/{scene.model}/versions/{version}", tmp_path / "profile") as page:
        page.click(BUTTON.format("Add"))
        page.focus(FIELD)
        page.type("champion")
        page.press("Enter", 13)
        page.click(BUTTON.format("Save aliases"))
        page.wait_for("document.body.innerText.includes('promotion blocked')")
        page.picture(tmp_path / "refused.png")
        said = str(page.run("document.querySelector('[role=dialog]').innerText"))
    assert f"llmgate: promotion blocked: {scene.model} v{version} -> champion: no verdict" in said
    assert "run the gate on this version" in said
    assert scene.client("get_model_version_by_alias", scene.model, "champion").body.version != version
