"""The first run of somebody new: no lock, no champion, a wrong path; what is told, what is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from support.endpoint import chat, scripted_endpoint

from llmgate.cli import main
from llmgate.gate.decision.reread import decision_from_json
from llmgate.suite.form.prompt import as_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = """\
llmgate: 1
suite: capitals
dataset: capitals.jsonl
prompt: "What is the capital of {{ country }}?"
assert:
  - {type: contains, value: "{{ capital }}", metric: right}
  - {type: not-empty, metric: answered}
gate: {right: {margin: 0.05}, answered: {min: 0.5}}
"""
ROWS = [("France", "Paris"), ("Japan", "Tokyo"), ("Peru", "Lima"), ("Kenya", "Nairobi")] * 20
BY_COUNTRY = dict(ROWS)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("capitals.yaml").write_text(SUITE.replace("not-empty", "regex, value: '.'"), encoding="utf-8")
    rows = [f'{{"id": "{i}", "country": "{c}", "capital": "{a}"}}\n' for i, (c, a) in enumerate(ROWS)]
    Path("capitals.jsonl").write_text("".join(rows), encoding="utf-8")


@pytest.fixture
def url() -> Iterator[str]:
    def reply(_: str, body: dict[str, object]) -> dict[str, object]:
        asked = str(body["messages"])
        return chat(next(capital for country, capital in BY_COUNTRY.items() if country in asked))

    with scripted_endpoint(reply) as (address, _):
        yield address


def llmgate(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def run(*words: object) -> Result:
    return llmgate("run", "capitals.yaml", "--retries", 0, *words)


def test_a_baseline_and_then_a_verdict(url: str) -> None:
    first = run("--endpoint", url, "--lock", "--as-baseline", "--out", "champion")
    assert first.exit_code == 0, first.output
    assert "80 rows, columns capital, country, id; 0 is the first, 79 the last" in first.output
    assert "no version is given, so it is 0.1.0" in first.output
    assert "recorded as baseline: compare later runs with --baseline champion" in first.output
    decision = decision_from_json(Path("champion/decision.json").read_text(encoding="utf-8"))
    assert (decision.verdict, decision.as_baseline, decision.is_baseline) == ("INCONCLUSIVE", True, True)
    again = run("--endpoint", url, "--baseline", "champion", "--deployment", "v2")
    assert again.exit_code == 0, again.output
    assert "PASS" in again.output


def test_a_forgotten_baseline_is_never_green(url: str) -> None:
    assert llmgate("lock", "capitals.jsonl").exit_code == 0
    done = run("--endpoint", url)
    assert done.exit_code == 3, done.output
    assert "--as-baseline" in done.output
    # Not even where a policy or the caller lets INCONCLUSIVE through: nothing was measured against anything.
    assert run("--endpoint", url, "--allow-inconclusive").exit_code == 3


def test_a_baseline_that_misses_a_minimum_fails(url: str) -> None:
    text = Path("capitals.yaml").read_text(encoding="utf-8").replace("value: '.'", "value: 'London'")
    Path("capitals.yaml").write_text(text, encoding="utf-8")
    done = run("--endpoint", url, "--lock", "--as-baseline", "--out", "champion")
    assert done.exit_code == 1, done.output
    assert "recorded as baseline" not in done.output


def test_a_baseline_with_unanswered_cases_is_none() -> None:
    with scripted_endpoint(lambda *_: {"error": {"message": "no"}}) as (url, _):
        done = run("--endpoint", url, "--lock", "--as-baseline", "--out", "champion")
    assert done.exit_code == 3, done.output
    assert "recorded as baseline" not in done.output


def test_a_baseline_is_not_promoted_by_being_one(url: str) -> None:
    run("--endpoint", url, "--lock", "--as-baseline", "--out", "champion")
    assert llmgate("decide", "champion").exit_code == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--as-baseline", "--baseline", "champion"], "both --baseline and --as-baseline are given"),
        (["--model", "models/new"], "there is no folder models/new"),
        (["--model", "./new"], "there is no folder ./new"),
        (["--model", "new"], "there is no folder new"),
        (["--judge-model", "~/nowhere/new"], "--judge-model: there is no folder"),
    ],
)
def test_contradictions_and_missing_folders_are_told_at_once(words: list[str], says: str) -> None:
    Path("models").mkdir()
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.output
    assert not Path(".llmgate").exists()


def test_pyproject_cannot_make_every_run_a_baseline() -> None:
    Path("pyproject.toml").write_text("[tool.llmgate]\nas-baseline = true\n", encoding="utf-8")
    done = run("--endpoint", "http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "'as-baseline' is given by hand only" in done.output


def test_a_start_that_fails_leaves_no_empty_record() -> None:
    llmgate("lock", "capitals.jsonl")
    done = run("--endpoint", "http://127.0.0.1:9")
    assert done.exit_code == 4
    assert "cannot be reached" in done.output
    assert not list(Path(".llmgate/runs").iterdir())


def test_a_folder_that_was_there_before_is_kept() -> None:
    llmgate("lock", "capitals.jsonl")
    Path("mine").mkdir()
    assert run("--endpoint", "http://127.0.0.1:9", "--out", "mine").exit_code == 4
    assert Path("mine").is_dir()


def test_a_run_into_a_finished_record_leaves_it_as_it_was(url: str) -> None:
    run("--endpoint", url, "--lock", "--as-baseline", "--out", "champion")
    before = {path.name: path.read_bytes() for path in Path("champion").iterdir()}
    done = run("--endpoint", url, "--as-baseline", "--out", "champion")
    assert done.exit_code != 0
    assert {path.name: path.read_bytes() for path in Path("champion").iterdir()} == before


def test_a_lock_that_is_there_is_not_made_again(url: str) -> None:
    llmgate("lock", "capitals.jsonl")
    with Path("capitals.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "new", "country": "France", "capital": "Paris"}\n')
    done = run("--endpoint", url, "--lock")
    assert done.exit_code != 0
    assert "since version 1.0.0 was locked" in done.output


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("{{question}}", "content"),
        ("Say hello", "content"),
        ("Say hello to {{ name }}.md", "content"),
        ("Two\nlines", "content"),
        ("prompts/support.md", "file"),
        ("my prompts/support.md", "file"),
        ("hello", "file"),
        ("prompts:/support/3", "uri"),
    ],
)
def test_a_text_is_told_from_the_name_of_one(written: str, kind: str) -> None:
    (entry,) = as_entries(written)
    assert kind in entry
    assert entry.get("role") == ("user" if kind == "content" else None)
