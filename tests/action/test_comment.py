"""The comment on a pull request: one per gate, brought up to date, never another's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.github_api import GitHubComments, github_comments
from support.hostile import HOSTILE
from support.reports import hostile_view

from llmgate.report.formats.markdown import render_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parents[2] / "action" / "comment.py"
MARKER = "<!-- llmgate: chat -->"
REPORT = "## ✅ PASS: `new` against `old`\n\nShip.\n"


@pytest.fixture(scope="session")
def comment() -> Any:
    """`action/comment.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("action_comment", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def api() -> Iterator[GitHubComments]:
    with github_comments() as served:
        yield served


@pytest.fixture
def environ(api: GitHubComments, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "summary.md").write_text(REPORT, encoding="utf-8")
    return {
        "LLMGATE_ACTION_COMMENT": "chat",
        "LLMGATE_VERDICT": "PASS",
        "LLMGATE_SENTENCE": "Ship: all 3 gates pass.",
        "LLMGATE_SUMMARY": str(tmp_path / "summary.md"),
        "LLMGATE_ARTIFACT_URL": "https://github.com/acme/bot/actions/runs/5/artifacts/9",
        "LLMGATE_PULL_REQUEST": "7",
        "LLMGATE_COMMIT": "0123456789abcdef0123456789abcdef01234567",
        "GITHUB_TOKEN": "t0ken",
        "GITHUB_API_URL": api.url,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/bot",
        "GITHUB_RUN_ID": "5",
    }


def post(comment: Any, environ: dict[str, str]) -> None:
    comment.main(environ, pause_s=0.0)


def test_the_first_run_writes_a_comment(comment: Any, api: GitHubComments, environ: dict[str, str]) -> None:
    api.add("Looks good to me", login="ann")
    post(comment, environ)
    assert api.bodies()[1:] == [
        f"{MARKER}\n## ✅ PASS: `new` against `old`\n\nShip.\n\n"
        "Gate `chat` · commit 0123456789ab · [report and record](https://github.com/acme/bot/actions/runs/5/artifacts/9)"
        " · [run](https://github.com/acme/bot/actions/runs/5)\n"
    ]
    assert set(api.tokens) == {"Bearer t0ken"}


def test_the_next_run_replaces_it_in_place(comment: Any, api: GitHubComments, environ: dict[str, str]) -> None:
    post(comment, environ)
    Path(environ["LLMGATE_SUMMARY"]).write_text("## ❌ FAIL\n", encoding="utf-8")
    post(comment, environ)
    (body,) = api.bodies()
    assert body.startswith(f"{MARKER}\n## ❌ FAIL\n")


def test_two_gates_keep_a_comment_each(comment: Any, api: GitHubComments, environ: dict[str, str]) -> None:
    keys = ("chat", "chat-2", "cha", "Chat")
    for verdict in ("one", "two"):
        for key in keys:
            Path(environ["LLMGATE_SUMMARY"]).write_text(f"## {key} {verdict}\n", encoding="utf-8")
            post(comment, environ | {"LLMGATE_ACTION_COMMENT": key})
    assert [body.splitlines()[:2] for body in api.bodies()] == [
        [f"<!-- llmgate: {key} -->", f"## {key} two"] for key in keys
    ]


@pytest.mark.parametrize(
    ("body", "login"),
    [
        (f"{MARKER}\nPASS, says somebody else", "mallory"),
        (f"{MARKER}\nPASS", "github-actions"),
        (f"quoting {MARKER}", "github-actions[bot]"),
        ("<!-- llmgate: chat2 -->\nof another gate", "github-actions[bot]"),
    ],
)
def test_a_comment_that_is_not_of_this_gate_is_left_alone(
    comment: Any, api: GitHubComments, environ: dict[str, str], body: str, login: str
) -> None:
    api.add(body, login=login)
    post(comment, environ)
    assert api.bodies()[0] == body
    assert len(api.bodies()) == 2


def test_it_is_found_among_hundreds(comment: Any, api: GitHubComments, environ: dict[str, str]) -> None:
    for i in range(205):
        api.add(f"comment {i}", login="ann")
    mine = api.add(f"{MARKER}\nold")
    api.add("later", login="ann")
    api.add(f"{MARKER}\nof another pull request", number=8)
    post(comment, environ)
    assert api.comments[mine]["body"].startswith(f"{MARKER}\n## ✅ PASS")
    assert len(api.bodies()) == 207
    assert api.bodies(8) == [f"{MARKER}\nof another pull request"]


def test_doubles_of_two_runs_at_once_are_removed(comment: Any, api: GitHubComments, environ: dict[str, str]) -> None:
    for text in ("first", "second"):
        api.add(f"{MARKER}\n{text}")
    post(comment, environ)
    (body,) = api.bodies()
    assert "✅ PASS" in body


@pytest.mark.parametrize(
    "change",
    [
        {"LLMGATE_VERDICT": "ERROR"},
        {"LLMGATE_VERDICT": ""},
        {"LLMGATE_VERDICT": "ERROR", "LLMGATE_SUMMARY": ""},
        {"LLMGATE_VERDICT": "ERROR", "LLMGATE_SUMMARY": "no such file"},
    ],
)
def test_a_gate_that_could_not_run_leaves_no_older_pass_standing(
    comment: Any, api: GitHubComments, environ: dict[str, str], change: dict[str, str]
) -> None:
    post(comment, environ)
    post(comment, environ | {"LLMGATE_SENTENCE": "no ``` endpoint @everyone"} | change)
    (body,) = api.bodies()
    assert body.startswith(
        f"{MARKER}\n## ⚠️ ERROR: the gate could not run\n\n````text\nno ``` endpoint @everyone\n````\n"
    )
    assert "PASS" not in body


def test_a_verdict_without_a_summary_is_said(comment: Any, api: GitHubComments, environ: dict[str, str]) -> None:
    post(comment, environ | {"LLMGATE_SUMMARY": "", "LLMGATE_VERDICT": "FAIL", "LLMGATE_SENTENCE": "Do not ship."})
    (body,) = api.bodies()
    assert body.startswith(f"{MARKER}\n## FAIL\n\n```text\nDo not ship.\n```\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"LLMGATE_ACTION_COMMENT": "a -->"}, "input comment is 'a -->'. Give letters"),
        ({"LLMGATE_ACTION_COMMENT": "x" * 65}, "at most 64"),
        ({"LLMGATE_ACTION_COMMENT": "ä"}, "input comment"),
        ({"LLMGATE_ACTION_COMMENT": "a\n::error::pwned"}, "input comment"),
        ({"LLMGATE_PULL_REQUEST": ""}, "not about a pull request"),
        ({"LLMGATE_PULL_REQUEST": "7/../../8"}, "not about a pull request"),
    ],
)
def test_what_cannot_be_posted_is_one_warning(
    comment: Any,
    api: GitHubComments,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    words: str,
) -> None:
    post(comment, environ | change)
    out = capsys.readouterr().out
    assert out.startswith("::warning title=llmgate: no comment::")
    assert words in out
    assert out.count("\n") == 1
    assert api.requests == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_without_the_right_is_named(
    comment: Any, api: GitHubComments, environ: dict[str, str], capsys: pytest.CaptureFixture[str], status: int
) -> None:
    api.replies = [status]
    post(comment, environ)
    out = capsys.readouterr().out
    assert f"GitHub refused ({status}). Give the job `permissions: pull-requests: write`" in out
    assert "t0ken" not in out
    assert len(api.requests) == 1


def test_a_server_at_fault_is_asked_again(comment: Any, api: GitHubComments, environ: dict[str, str]) -> None:
    api.replies = [502, 0, 503]
    post(comment, environ)
    assert len(api.bodies()) == 1


@pytest.mark.parametrize("trouble", ["faults", "garbage", "no list", "unreachable"])
def test_a_server_that_stays_at_fault_is_a_warning(
    comment: Any, api: GitHubComments, environ: dict[str, str], capsys: pytest.CaptureFixture[str], trouble: str
) -> None:
    api.replies = [500] * 3 if trouble == "faults" else []
    api.garbage = {"garbage": b"<html>", "no list": b'{"a": 1}'}.get(trouble)
    post(comment, environ | ({"GITHUB_API_URL": "http://127.0.0.1:1"} if trouble == "unreachable" else {}))
    assert capsys.readouterr().out.startswith("::warning title=llmgate: no comment::GitHub")
    assert api.bodies() == []


def test_no_redirect_carries_the_token_away(
    comment: Any, api: GitHubComments, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    api.replies = [307]
    post(comment, environ)
    assert "GitHub refused (307)" in capsys.readouterr().out
    assert not [path for path in api.requests if "elsewhere" in path]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_comment_begins_with_its_marker_and_has_at_most_6_kb(
    comment: Any, api: GitHubComments, environ: dict[str, str], text: str
) -> None:
    Path(environ["LLMGATE_SUMMARY"]).write_text(render_markdown(hostile_view(text * 50)), encoding="utf-8")
    post(comment, environ | {"LLMGATE_ACTION_COMMENT": "k" * 64})
    (body,) = api.bodies()
    assert body.splitlines()[0] == f"<!-- llmgate: {'k' * 64} -->"
    assert len(body.encode()) <= 6_144


def test_it_runs_in_any_python_and_ends_with_0(api: GitHubComments, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the checkout ran')", encoding="utf-8")
    command = [sys.executable, "-I", str(SCRIPT)]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "comment created\n"
    done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("::warning ")
    assert "llmgate" not in [
        line.split()[1].split(".")[0]
        for line in SCRIPT.read_text("utf-8").splitlines()
        if line.startswith(("import ", "from "))
    ]
