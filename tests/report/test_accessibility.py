"""The report in a real browser: what axe finds, words that a narrow screen breaks, and what runs over the edge."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support.records import make_case, make_check, make_decision, make_flip, make_metric, make_record, make_result
from support.reports import look, make_serving
from support.serving_reports import SERVING_LOOKS, serving_look

from llmgate.gate.decision.types import SliceDecision, Verdict
from llmgate.report.formats.html import render_html
from llmgate.report.view import build_view

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.report.rows import ReportView

pytestmark = pytest.mark.browser

AXE = "axe-core@4.14.1"
AXE_DIGEST = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
CHECK = r"""
addEventListener('load', async () => {
  document.querySelectorAll('details').forEach(it => { it.open = true; });
  const broken = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    if (node.parentElement.closest('script, style, .text, code, .unseen, svg')) continue;
    for (const word of node.data.matchAll(/[\p{L}\p{N}]{2,}/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(it => Math.round(it.top))).size > 1) broken.add(word[0]);
    }
  }
  const found = {
    broken: [...broken],
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    violations: [],
  };
  if (globalThis.axe) {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    found.violations = violations.map(it => it.id + ': ' + it.nodes[0].html.slice(0, 200));
  }
  parent.postMessage(JSON.stringify(found), '*');
});
"""
FRAME = """<!doctype html><body><pre></pre><iframe src="page.html" style="width:{width}px;height:3000px;border:0"></iframe>
<script>addEventListener('message', it => {{ document.querySelector('pre').textContent = it.data; }})</script>"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe, which is fetched: it is licensed otherwise than llmgate and larger than it."""
    if not shutil.which("npm"):
        pytest.skip("no npm is installed")
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "pack", AXE, "--ignore-scripts", "--silent", "--fetch-retries=0"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer")
    if done.returncode:
        pytest.skip(f"npm cannot fetch {AXE}: {done.stderr[-200:]}")
    (archive,) = folder.glob("*.tgz")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == AXE_DIGEST
    with tarfile.open(archive) as members:
        source = members.extractfile("package/axe.min.js")
        assert source
        return source.read().decode()


@pytest.fixture(scope="module")
def crowded() -> ReportView:
    """Long names, failing slices, several metrics, all lists filled."""
    metrics = ("valid-json", "answers-in-the-right-language", "accuracy")
    cases = [make_case(f"extraction-{i:04}", slices={"language": "german"}) for i in range(30)]

    def results(side: float) -> list[Any]:
        return [
            make_result(case.case, checks=[make_check(side, metric=it, reason=f"about {it}") for it in metrics])
            for case in cases
        ]

    champion = make_record(cases=cases, results=results(1.0), run_id="run-champion", version=7)
    candidate = make_record(cases=cases, results=results(0.0))
    slices = tuple(
        SliceDecision(
            suite="support", metric=it, field="language", value="german", cases=30, candidate=0.0, champion=1.0,
            delta=-1.0, lower=-1.0, upper=-0.9, method="Tango", p_worse=1e-9, failed=True,
        )
        for it in metrics
    )  # fmt: skip
    decision = make_decision(
        Verdict.FAIL,
        candidate=candidate,
        champion=champion,
        metrics=[make_metric(Verdict.FAIL, metric=it) for it in metrics],
        slices=slices,
        flips=tuple(make_flip(case.case, metric=it) for case in cases for it in metrics),
    )
    return build_view(candidate, champion, decision, serving=[make_serving()], champion_serving=[make_serving()])


def examine(folder: Path, source: str, *, width: int = 1280, dark: bool = False, axe: str = "") -> dict[str, Any]:
    """What a browser finds on a page, without the policy that forbids scripts, at a width."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if not browser:
        pytest.skip("no Chromium is installed")
    open_source = re.sub(r"<meta http-equiv[^>]*>", "", source, count=1)
    scripts = "".join(f"<script>{script}</script>" for script in (axe, CHECK) if script)
    (folder / "page.html").write_text(open_source.replace("</body>", f"{scripts}</body>"), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=120000", "--window-size=1400,3100", "--dump-dom",
        (folder / "frame.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=600, check=True)
    found = re.search("<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr[-1000:]
    content: dict[str, Any] = json.loads(html.unescape(found[1]))
    assert content["dark"] is dark
    return content


@pytest.mark.parametrize("width", [320, 768, 1061])
def test_no_word_is_broken_and_nothing_runs_over_the_edge(crowded: ReportView, tmp_path: Path, width: int) -> None:
    found = examine(tmp_path, render_html(crowded), width=width)
    assert (found["broken"], found["overflow"]) == ([], 0)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(crowded: ReportView, tmp_path: Path, axe: str, dark: bool) -> None:
    assert examine(tmp_path, render_html(crowded), dark=dark, axe=axe)["violations"] == []


@pytest.mark.parametrize("name", ["inconclusive", "not-evaluated", "no-champion"])
def test_axe_finds_nothing_whatever_the_verdict(tmp_path: Path, axe: str, name: str) -> None:
    assert examine(tmp_path, render_html(look(name)), width=375, axe=axe)["violations"] == []


@pytest.mark.parametrize(("name", "width"), [*((name, 375) for name in SERVING_LOOKS), ("serving", 1280)])
def test_axe_finds_nothing_on_serving(tmp_path: Path, axe: str, name: str, width: int) -> None:
    found = examine(tmp_path, render_html(serving_look(name)), width=width, axe=axe)
    assert (found["broken"], found["overflow"], found["violations"]) == ([], 0, [])


def test_axe_would_find_something(tmp_path: Path, axe: str) -> None:
    """Shows that the tests above can fail."""
    source = render_html(look("pass")).replace("</main>", "<h5>too deep</h5></main>")
    assert [it for it in examine(tmp_path, source, axe=axe)["violations"] if it.startswith("heading-order")]
