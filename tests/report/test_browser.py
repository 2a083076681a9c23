"""The report in a real browser: that it shows, and that nothing in it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.hostile import HOSTILE, MARKER
from support.reports import hostile_view, look

from llmgate.report.formats.html import render_html

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.browser

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture
def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium is installed")


def dump(browser: str, source: str, folder: Path) -> tuple[str, str]:
    """The document after scripts had their chance, and the browser's log."""
    page = folder / "report.html"
    page.write_text(source, encoding="utf-8")
    command = [
        browser, *QUIET, "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=600, check=True)
    return done.stdout, done.stderr


def title_of(document: str) -> str:
    (title,) = re.findall(r"<title>(.*?)</title>", document)
    return str(title)


def test_the_verdict_shows_and_the_policy_is_content(browser: str, tmp_path: Path) -> None:
    document, log = dump(browser, render_html(look("fail")), tmp_path)
    assert title_of(document) == "FAIL · support-bot v8 · llmgate"
    assert re.search(r'<h1 id="verdict">.*FAIL.*</h1>', document)
    assert "Content Security Policy" not in log


def test_injected_scripts_do_not_run(browser: str, tmp_path: Path) -> None:
    attacks = "".join(HOSTILE[attack] for attack in ("closing tags", "script", "image", "svg", "attribute"))
    document, log = dump(browser, render_html(hostile_view(attacks)), tmp_path)
    assert "INCONCLUSIVE" in document
    assert not title_of(document).startswith(MARKER)
    assert not re.search(r"<script|<img|<iframe", document)
    assert "Content Security Policy" not in log


def test_the_policy_stops_what_escaping_might_miss(browser: str, tmp_path: Path) -> None:
    source = render_html(look("pass"))
    raw = "".join(HOSTILE[attack] for attack in ("script", "image", "svg")) + "<style>h1{display:none}</style>"
    document, log = dump(browser, source.replace("</main>", f"{raw}</main>"), tmp_path)
    assert title_of(document) == "PASS · support-bot v8 · llmgate"
    assert "Content Security Policy" in log


def test_without_the_policy_the_same_attack_runs(browser: str, tmp_path: Path) -> None:
    """Shows that the tests above can fail."""
    source = re.sub(r"<meta http-equiv[^>]*>", "", render_html(look("pass")))
    document, _ = dump(browser, source.replace("</main>", f"{HOSTILE['script']}</main>"), tmp_path)
    assert title_of(document) == MARKER
