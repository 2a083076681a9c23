"""`llmgate init` in a folder, and on rows, that somebody hostile prepared: nothing is written outside, nothing is filled in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from support.endpoint import chat, scripted_endpoint

from llmgate.cli import main


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cloned"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("link", ["suites", ".github", ".github/workflows"])
def test_a_linked_folder_is_not_written_through(link: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Path(link).parent.mkdir(exist_ok=True)
    Path(link).symlink_to(elsewhere)
    done = CliRunner().invoke(main, ["init"])
    assert done.exit_code == 2, done.output
    assert "nothing is written through it" in done.output
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_linked_gitignore_changes_no_other_file(kind: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.write_text("mine", encoding="utf-8")
    if kind == "symbolic":
        Path(".gitignore").symlink_to(profile)
    else:
        Path(".gitignore").hardlink_to(profile)
    assert CliRunner().invoke(main, ["init"]).exit_code == 0
    assert profile.read_text("utf-8") == "mine"


@pytest.mark.parametrize("name", ["../../x.csv", "a\nb: c.csv", "--x.csv", "$(id).csv", "'.csv", "{{ id }}.csv"])
def test_a_file_name_names_nothing_else(name: str, tmp_path: Path) -> None:
    rows = tmp_path / "deep" / "deeper"
    rows.mkdir(parents=True)
    path = (rows / name).resolve()
    path.write_text("question,answer\nWho?,Ada L\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["init", "--from", str(path)])
    assert done.exit_code == 0, done.output
    (suite,) = Path("suites").glob("*.yaml")
    assert yaml.safe_load(suite.read_text("utf-8"))["suite"] == suite.stem
    assert not set(suite.stem) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


LABELS = [{"text": f"case {i}", "label": "{{ label }}" if i % 2 else "{% if 1 %}other{% endif %}"} for i in range(12)]
FIELDS = [{"text": f"case {i}", "output": {"{{ output | dump }}": i}} for i in range(3)]


@pytest.mark.parametrize("rows", [LABELS, FIELDS])
def test_what_rows_hold_is_no_template(rows: list[dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert CliRunner().invoke(main, ["init", "--from", str(path)]).exit_code == 0
    with scripted_endpoint(lambda *_: chat("x")) as (url, seen):
        words = ["run", "suites/", "--endpoint", url, "--as-baseline", "--out", "champion"]
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    asked = {json.dumps(body["messages"][:-1]) for _, body in seen}
    assert len(asked) == 1, "what comes before the question is the same for every row"
