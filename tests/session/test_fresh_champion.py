"""The champion asked again beside the candidate: when it is, where, in which order, and what the records say of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, let_stop, write_suite
from support.records import make_record
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until

from llmgate.cli import main
from llmgate.errors import LlmgateError, UsageError
from llmgate.record.manifest import ALONE, FOR_COMPARISON, FOR_PROMOTION, Manifest, ModelIdentity
from llmgate.record.run.files import MANIFEST
from llmgate.record.run.loading import load_record
from llmgate.record.weights import weights_digest
from llmgate.session.decide.records import Baseline
from llmgate.session.run.execute import execute
from llmgate.session.run.fresh_champion import choose_champion
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.session.run.plan import Plan

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Silent:
    """Progress that nobody sees."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def count(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing."""


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


# What is refused.


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"champion": ""}, "it is empty"),
        ({"champion": "fresh"}, "nothing says who the champion is"),
        ({"baseline": "fresh"}, "add --champion fresh"),
        ({"champion": "fresh", "as_baseline": True, "champion_adapter": None}, "nothing says"),
        ({"champion": "http://127.0.0.1:9", "as_baseline": True}, "with --as-baseline"),
        ({"champion": "fresh", "baseline": "x", "shard": "1/2"}, "shard its run as well"),
        ({"champion": "fresh", "baseline": "x", "on": "ray"}, "with --on"),
        ({"champion": "fresh", "baseline": "x", "cache": "c"}, "newer than what the cache holds"),
        ({"champion": "stored", "adapter": "a=/x b=/y", "champion_adapter": "a"}, "keeps what it said"),
        ({"champion": "/x", "adapter": "a=/x b=/y", "champion_adapter": "a"}, "both --champion-adapter and a place"),
    ],
)
def test_contradictions_are_refused_before_anything_starts(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        settings_from(given, root=tmp_path)
    assert words in str(error.value)


def test_no_file_names_the_champion(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.llmgate]\nchampion = "http://worse"\n', encoding="utf-8")
    with pytest.raises(UsageError, match="given by hand only"):
        settings_from({}, root=tmp_path)


def test_one_run_asks_one_model(tmp_path: Path) -> None:
    options = settings_from({"champion": "http://127.0.0.1:9", "endpoint": "http://127.0.0.1:9"}, root=tmp_path)

    def plan() -> Plan:
        raise AssertionError("nothing was to be planned")

    with pytest.raises(UsageError, match="which `llmgate run` does"):
        execute(options, plan, out=tmp_path / "run", progress=Silent())
    assert not (tmp_path / "run").exists()


# When it is asked.


def stored(tmp_path: Path, **changes: Any) -> tuple[Path, Manifest]:
    """A champion's run of a folder that is here, as its manifest."""
    folder = model_folder(tmp_path)
    record = make_record()
    model = ModelIdentity(name=folder.name, source=str(folder), weights_digest=weights_digest(folder))
    manifest = replace(record.manifest, model=model, created_at="2026-10-20T10:00:00+00:00", **changes)
    manifest = replace(manifest, server=replace(manifest.server, flags=("--seed", "0")))
    out = tmp_path / "stored"
    out.mkdir()
    MANIFEST.write(out, manifest)
    return out, manifest


def choose(tmp_path: Path, baseline: Path, **given: Any) -> Any:
    given = {"model": str(tmp_path), "baseline": str(baseline), **given}
    options = settings_from(given, root=tmp_path)
    where = Baseline(folder=str(baseline))
    return choose_champion(options, where, out=tmp_path / "run", progress=Silent(), now=NOW)


def test_it_is_asked_again_where_its_weights_are_at_hand(tmp_path: Path) -> None:
    baseline, manifest = stored(tmp_path, made_for=FOR_PROMOTION)
    choice = choose(tmp_path, baseline)
    assert choice.fresh
    assert choice.place.model.weights_digest == manifest.model.weights_digest
    assert "asked again beside the candidate" in choice.why
    assert "--champion stored keeps its answers" in choice.why
    kept = choose(tmp_path, baseline, champion="stored")
    assert not kept.fresh
    assert kept.why == "the champion's answers of 2026-10-20 count, as asked"


@pytest.mark.parametrize("made_for", [FOR_COMPARISON, ALONE, FOR_PROMOTION, ""])
@pytest.mark.parametrize("hours", [1, 30])
def test_a_young_run_that_nobody_chose_is_as_good(tmp_path: Path, made_for: str, hours: int) -> None:
    baseline, manifest = stored(tmp_path, made_for=made_for)
    then = (NOW - timedelta(hours=hours)).isoformat()
    (baseline / "manifest.json").unlink()
    MANIFEST.write(baseline, replace(manifest, created_at=then))
    kept = made_for in {FOR_COMPARISON, ALONE} and hours < 24
    choice = choose(tmp_path, baseline)
    assert choice.fresh is not kept
    assert ("less than a day old" in choice.why) is kept


def test_other_weights_are_not_the_champion(tmp_path: Path) -> None:
    baseline, manifest = stored(tmp_path)
    (Path(manifest.model.source) / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{ ")
    choice = choose(tmp_path, baseline)
    assert not choice.fresh
    assert "not asked again, as the weights in" in choice.why
    with pytest.raises(LlmgateError, match="are not those of the champion's run"):
        choose(tmp_path, baseline, champion="fresh")


def test_a_folder_that_is_gone_leaves_the_stored_answers(tmp_path: Path) -> None:
    baseline, manifest = stored(tmp_path)
    folder = Path(manifest.model.source)
    folder.rename(tmp_path / "moved")
    assert "is not there" in choose(tmp_path, baseline).why
    with pytest.raises(LlmgateError, match="is not there"):
        choose(tmp_path, baseline, champion="fresh")
    moved = choose(tmp_path, baseline, champion=str(tmp_path / "moved"))
    assert moved.fresh, "a place that is named holds the weights of the run"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": None, "endpoint": "http://127.0.0.1:9"}, "the candidate is at an endpoint"),
        ({"cache": "answers"}, "--cache asks the candidate alone"),
        ({"on": "ray"}, "--on asks the candidate alone"),
    ],
)
def test_it_says_why_nobody_asks_again(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    baseline, _ = stored(tmp_path)
    choice = choose(tmp_path, baseline, **given)
    assert not choice.fresh
    assert words in choice.why


def test_an_adapter_is_asked_where_this_run_serves_it(tmp_path: Path) -> None:
    adapter = tmp_path / "old"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
    (adapter / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    baseline, manifest = stored(tmp_path)
    (baseline / "manifest.json").unlink()
    MANIFEST.write(
        baseline,
        replace(manifest, model=replace(manifest.model, name="then", adapter=weights_digest(adapter), base="b")),
    )
    assert choose(tmp_path, baseline, adapter=f"old={adapter}").adapter == "old"
    other = tmp_path / "other"
    other.mkdir()
    (other / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{ ")
    assert "none of this run's holds its weights" in choose(tmp_path, baseline, adapter=f"old={other}").why


# What is done.


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wrong_for(count: int) -> Callable[[dict[str, Any]], str]:
    wrong = {f"word-{i}" for i in range(count)}
    return lambda body: WRONG if answer_right(body) in wrong else answer_right(body)


@pytest.mark.usefixtures("in_tmp_path")
def test_two_endpoints_are_asked_at_the_same_time(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=60)
    with FakeServer(answer=wrong_for(2), model="old") as old, FakeServer(answer=wrong_for(1), model="new") as new:
        done = llmgate(
            "run", tmp_path, "--endpoint", new.url, "--champion", old.url, "--out", "run", "--concurrency", 4
        )
        times = [[seen.time_s for seen in server.seen if "completions" in seen.path] for server in (old, new)]
    assert done.exit_code == 0, done.output
    champion, candidate = load_record(tmp_path / "run-champion"), load_record(tmp_path / "run")
    assert candidate.manifest.beside == champion.manifest.run_id
    assert (champion.manifest.made_for, candidate.manifest.made_for) == (FOR_COMPARISON, FOR_PROMOTION)
    assert (champion.manifest.model.name, candidate.manifest.model.name) == ("old", "new")
    assert len(champion.results) == len(candidate.results) == 60
    assert max(times[0][0], times[1][0]) < min(times[0][-1], times[1][-1]), "neither waited for the other's end"
    decision = json.loads((tmp_path / "run" / "decision.json").read_text(encoding="utf-8"))
    assert decision["champion_run"] == champion.manifest.run_id
    assert decision["baseline"]["how"] == "fresh"
    assert "the champion was asked again beside this run" in done.output
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "the champion was asked again beside this run" in page
    # Against the same record on another day it is a stored one, and the candidate's own is one that was chosen.
    later = llmgate("run", tmp_path, "--endpoint", new.url, "--baseline", "run")
    assert later.exit_code != 0, "nobody is there any more"
    again = json.loads(llmgate("decide", "run", "run-champion", "--json").output)
    assert again["baseline"]["how"] == "fresh"


@pytest.mark.usefixtures("in_tmp_path")
def test_two_names_at_one_address_take_turns(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=60)
    with FakeServer(answer=answer_right, model="bot") as server:
        place = f"{server.url}#bot"
        done = llmgate("run", tmp_path, "--endpoint", server.url, "--deployment", "new", "--champion", place,
                       "--out", "run", "--concurrency", 2)  # fmt: skip
    assert done.exit_code in {0, 3}, done.output
    assert load_record(tmp_path / "run").manifest.beside == load_record(tmp_path / "run-champion").manifest.run_id


@pytest.mark.usefixtures("in_tmp_path")
def test_a_champion_of_a_run_is_asked_again_at_its_endpoint(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right, model="old") as old, FakeServer(answer=answer_right, model="new") as new:
        first = llmgate("run", tmp_path, "--endpoint", old.url, "--out", "champion", "--as-baseline")
        assert first.exit_code == 0, first.output
        args = ("run", tmp_path, "--endpoint", new.url, "--baseline", "champion")
        kept = llmgate(*args, "--out", "kept")
        assert "an endpoint gave them" in kept.output
        before = len(old.seen)
        asked = llmgate(*args, "--champion", "fresh", "--out", "asked")
        assert len(old.seen) >= before + 40
    assert asked.exit_code == 0, asked.output
    facts = [
        json.loads((tmp_path / out / "decision.json").read_text(encoding="utf-8"))["baseline"]
        for out in ("kept", "asked")
    ]
    assert [each["how"] for each in facts] == ["stored", "fresh"]
    assert (
        load_record(tmp_path / "asked-champion").manifest.run_id != load_record(tmp_path / "champion").manifest.run_id
    )


@pytest.mark.usefixtures("in_tmp_path")
def test_a_suite_that_may_stop_early_waits_for_the_whole_champion(tmp_path: Path) -> None:
    let_stop(write_suite(tmp_path, cases=200))
    with FakeServer(answer=answer_right, model="old") as old, FakeServer(answer=wrong_for(200), model="new") as new:
        done = llmgate("run", tmp_path, "--endpoint", new.url, "--champion", old.url, "--out", "run")
        times = [[seen.time_s for seen in server.seen if "completions" in seen.path] for server in (old, new)]
    assert done.exit_code == 1, done.output
    assert "stopped at look" in done.output
    assert times[0][-1] < times[1][0], "its looks compare with a sealed record"
    assert len(load_record(tmp_path / "run-champion").results) == 200
    assert len(times[1]) < 200


def run(tmp_path: Path, *args: str) -> tuple[int, str]:
    env = {
        **os.environ,
        "FAKE_VLLM": "ok",
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        MARK: str(tmp_path),
    }
    program = str(Path(sys.executable).with_name("llmgate"))
    done = subprocess.run(
        [program, "run", "words.yaml", *args],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30), "nothing is left"
    return done.returncode, done.stdout + done.stderr


@pytest.mark.usefixtures("own_lock")
def test_two_folders_are_served_one_after_the_other(tmp_path: Path) -> None:
    write_suite(tmp_path)
    old = model_folder(tmp_path)
    new = tmp_path / "new"
    new.mkdir()
    (new / "config.json").write_bytes((old / "config.json").read_bytes())
    (new / "model.safetensors").write_bytes(b"\x03\0\0\0\0\0\0\0{ }")
    args = ("--model", str(new), "--champion", str(old), "--out", "run")
    code, output = run(tmp_path, *args)
    assert code in {0, 3}, output
    assert output.count("vLLM: ready") == 2
    champion, candidate = load_record(tmp_path / "run-champion"), load_record(tmp_path / "run")
    assert champion.manifest.model.weights_digest == weights_digest(old)
    assert candidate.manifest.model.weights_digest == weights_digest(new)
    assert candidate.manifest.beside == champion.manifest.run_id
    # Gone on with after an end on the way, it is the same champion's record.
    (tmp_path / "run" / "seal.json").unlink()
    code, output = run(tmp_path, *args, "--resume")
    assert code in {0, 3}, output
    assert "the champion's record in run-champion is complete" in output
    # Compared with the candidate's own run, which passed, the next one has its champion asked again by itself.
    code, output = run(tmp_path, "--model", str(old), "--baseline", "run", "--out", "next")
    assert code in {0, 3}, output
    assert "the champion is asked again beside the candidate" in output
    assert load_record(tmp_path / "next").manifest.beside == load_record(tmp_path / "next-champion").manifest.run_id
    code, output = run(tmp_path, "--model", str(old), "--baseline", "run", "--out", "kept", "--champion", "stored")
    assert code in {0, 3}, output
    assert "the run that earned its promotion" in " ".join(output.split())
