"""The formats on disk stay as they were: what llmgate 0.1.0 wrote in November 2026 is read, and decided on alike.

`formats/` was written by that version against the fake server of the tests and is never written again: suites with
their locks, runs, results of other tools, and what `llmgate decide … --json` printed about them. Nothing in a decision
tells the time, the machine or the version, so every byte must come out again; policy.yaml has one waiver that holds
until the year 9999 and one that has ended. Only the sentences were written anew, when they became short (at most 25
words, details on lines of their own); `long-sentences/` keeps two decisions as they were before; and the decision on
clusters, table-jsonl, when their rule changed; and `pass_if_margin_lost`, an advice beside the verdict, when it came to
count what a loss adds to the answers that change. The numbers are such that processors which add up in another order
(with and without AVX2 and AVX-512) agree on every digit.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer

import llmgate
from llmgate.cli import main
from llmgate.gate.decision.reread import decision_from_json
from llmgate.promote.permission import essence

FORMATS: Final = Path(__file__).parent / "formats"
MARGIN: Final = ("--margin", "0.45")
DECISIONS: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "pass": (0, ("runs/good", "runs/champion")),
    "fail": (1, ("runs/bad", "runs/champion")),
    "inconclusive": (3, ("runs/tones-candidate", "runs/tones-champion", "--policy", "strict.yaml")),
    "required": (1, ("runs/rude", "runs/champion")),
    "not-evaluated": (3, ("runs/faulty", "runs/champion")),
    "no-champion": (0, ("runs/good",)),
    "judge": (0, ("runs/tones-candidate", "runs/tones-champion")),
    "stopped": (0, ("runs/words-stopped", "runs/words-champion")),
    "policy": (1, ("runs/bad", "runs/champion", "--policy", "policy.yaml", "--noise", "runs/good")),
    "table-jsonl": (3, ("new-scores.jsonl", "old-scores.jsonl")),
    "table-people": (0, ("new-people.jsonl", "old-people.jsonl")),
    "table-csv": (
        0,
        (
            *("new-scores.csv", "old-scores.csv"),
            *("--id", "question", "--score", "exact", "--score", "f1", "--slice", "topic", "--metric", "exact"),
        ),
    ),
    "promptfoo": (3, ("new-promptfoo.json", "old-promptfoo.json", "--slice", "topic")),
    "inspect": (0, ("new-inspect.json", "old-inspect.json")),
    "lm-eval": (0, ("new-lm-eval.jsonl", "old-lm-eval.jsonl")),
}
"""By the file in `decisions/`: how the command ended, and its arguments; files of results are in `results/`."""

VOLATILE: Final = frozenset({"run_id", "created_at", "llmgate_version", "hardware", "packages", "url", "latency_s"})
"""What differs from run to run. A judge's `source` is its address."""

RAISED: Final = {"towns": "regex has version 2, as an emoji is one character in a pattern"}
"""Suites with a type whose meaning has changed since, on purpose: their digest is another one, and nothing else is."""


REASONED: Final = {"tones": ("margin: 0.9", "margin: 0.9, reason: nobody asked for one then")}
"""Suites with a gate that needs a reason since, on purpose: with one, nothing else about their runs is different."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in which tests may write."""
    shutil.copytree(FORMATS, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_command(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def steady(value: Any) -> Any:
    """JSON without what differs from run to run."""
    if isinstance(value, dict):
        return {key: steady(part) for key, part in value.items() if key not in VOLATILE}
    return [steady(part) for part in value] if isinstance(value, list) else value


def test_every_decision_on_paper_is_taken_again() -> None:
    assert {path.stem for path in (FORMATS / "decisions").iterdir()} == DECISIONS.keys()


@pytest.mark.parametrize("name", DECISIONS)
def test_deciding_again_gives_the_same_bytes(name: str) -> None:
    exit_code, (first, *rest) = DECISIONS[name]
    if not first.startswith("runs/"):
        second, *options = rest
        files = ("--candidate", f"results/{first}", "--baseline", f"results/{second}")
        first, *rest = (*files, *MARGIN, *options)
    done = run_command("decide", first, *rest, "--json")
    assert done.exit_code == exit_code, done.output
    assert done.output.encode() == (FORMATS / "decisions" / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", ["pass", "fail"])
def test_a_decision_with_a_sentence_of_before_is_read_and_counts_as_the_same(name: str) -> None:
    older, now = (
        decision_from_json((FORMATS / folder / f"{name}.json").read_text(encoding="utf-8"))
        for folder in ("long-sentences", "decisions")
    )
    assert older.sentence.startswith(f"{older.verdict}: ")
    lost = [metric.pass_if_margin_lost for metric in now.metrics]
    metrics = tuple(replace(m, pass_if_margin_lost=p) for m, p in zip(older.metrics, lost, strict=True))
    assert replace(older, sentence=now.sentence, metrics=metrics) == now
    assert essence(older) == essence(now)


def test_report_writes_the_same_decision_and_the_same_verdict(project: Path) -> None:
    before = read_json(project / "runs/good/verdict.json")
    assert run_command("report", "runs/good", "runs/champion").exit_code == 0
    decision = (project / "runs/good/decision.json").read_bytes()
    assert decision == (FORMATS / "decisions/pass.json").read_bytes()
    after = read_json(project / "runs/good/verdict.json")
    assert after["predicate"].pop("issuedAt") != before["predicate"].pop("issuedAt")
    # Added later; all that was there before is the same.
    assert after["predicate"].pop("serving") == []
    assert after["predicate"].pop("tools")["llmgate"] == before["predicate"]["llmgate"]
    assert after["predicate"].pop("decision") == hashlib.sha256(decision).hexdigest()
    del before["predicate"]["decision"]
    for verdict in (after, before):
        for metric in verdict["predicate"]["metrics"]:
            metric.pop("pass_if_margin_lost", None)
    assert after == before


@pytest.mark.parametrize("folder", sorted((FORMATS / "runs").iterdir()), ids=lambda path: path.name)
def test_records_are_read(folder: Path) -> None:
    record = llmgate.load_record(folder)
    assert record.manifest.run_id == read_json(folder / "manifest.json")["run_id"]
    assert len(record.results) == read_json(folder / "seal.json")["results"]
    assert len(record.serving) == len(list(folder.glob("serving-*.json")))


@pytest.mark.parametrize("data", ["towns.jsonl", "tones.csv", "words.jsonl"])
def test_data_locked_again_gives_the_same_lock(data: str, project: Path) -> None:
    lock = (project / "suites" / data).with_suffix(".lock.json")
    assert run_command("lock", "--check", f"suites/{data}").exit_code == 0
    before = lock.read_bytes()
    lock.unlink()
    types = ("--type", "n=number") if data.endswith(".csv") else ()
    done = run_command("lock", f"suites/{data}", "--licence", "Apache-2.0", *types)
    assert done.exit_code == 0, done.output
    assert lock.read_bytes() == before


def replay(run: Path) -> FakeServer:
    """A server that answers as model and judge did in a run; the answers to a case that is repeated in their order."""
    answers: dict[str, list[str]] = {}
    questions = {row["case"]: row["messages"][-1]["content"] for row in read_lines(run / "cases.jsonl")}
    results = {}
    for line in read_lines(run / "journal.jsonl"):
        key = line["entry"]["key"]
        results[key["case"], key["repeat"]] = line["entry"]
    for (case, _), entry in sorted(results.items()):
        answers.setdefault(questions[case], []).append(entry["answer"]["text"])
    trials = read_json(run / "canaries.json") if (run / "canaries.json").exists() else []
    for asked in [*trials, *(check for entry in results.values() for check in entry["checks"])]:
        for judgement in asked["judgements"]:
            answers[judgement["messages"][-1]["content"]] = [judgement["reply"]]

    def answer(body: dict[str, Any]) -> str:
        left = answers[body["messages"][-1]["content"]]
        return left.pop(0) if len(left) > 1 else left[0]

    return FakeServer(answer=answer)


@pytest.mark.parametrize(
    ("suite", "run", "args"),
    [
        ("towns", "good", ()),
        ("tones", "tones-candidate", ("--no-bench", "--judge-endpoint")),
        ("words", "words-champion", ()),
        ("words", "words-stopped", ("--baseline", "runs/words-champion")),
    ],
)
def test_the_same_run_writes_the_same_record(suite: str, run: str, args: tuple[str, ...], project: Path) -> None:
    """Digests of suites, prompts and asserts among it: without them no run could be compared with an older one."""
    path = project / "suites" / f"{suite}.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(*REASONED.get(suite, ("", ""))), encoding="utf-8")
    with replay(project / "runs" / run) as server:
        more = (*args, server.url) if args[-1:] == ("--judge-endpoint",) else args
        command = ("run", f"suites/{suite}.yaml", "--endpoint", server.url, "--out", "again", "--concurrency", 1)
        done = run_command(*command, *more)
    again, before = project / "again", project / "runs" / run
    assert (again / "seal.json").exists(), done.output
    assert (again / "cases.jsonl").read_bytes() == (before / "cases.jsonl").read_bytes()
    manifests = [steady(read_json(folder / "manifest.json")) for folder in (again, before)]
    for manifest in manifests:
        (manifest["judge"] or {}).pop("source", None)
        manifest.pop("made_for", None)  # older records do not say what their run was for
        manifest["policy"].pop("reserve", None)  # older records keep nothing for further attempts
        manifest["server"].pop("model_names", None)  # older records do not say by which names replies may call it
    for metric in manifests[0]["policy"]["metrics"]:
        assert (metric.pop("reason", None) is not None) == (suite in REASONED and metric["metric"] == "tone")
    if suite in RAISED:
        now, then = ([part.pop("digest") for part in manifest["suites"]] for manifest in manifests)
        assert now != then
    assert manifests[0] == manifests[1]
    # The judge is asked while the model still answers, so the order of lines is not the same each time.
    journals = [
        sorted(
            (steady(line["entry"]) for line in read_lines(folder / "journal.jsonl")),
            key=lambda entry: (entry["key"]["case"], entry["key"]["repeat"], entry["judged"]),
        )
        for folder in (again, before)
    ]
    assert journals[0] == journals[1]
    if (before / "canaries.json").exists():
        assert (again / "canaries.json").read_bytes() == (before / "canaries.json").read_bytes()
