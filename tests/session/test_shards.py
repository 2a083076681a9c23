"""Shards on the command line: recorded, never decided on alone, and merged into the run that one machine makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer, Fault, every
from support.project import WRONG, answer_right, let_stop, write_suite

from llmgate.cli import main
from llmgate.errors import RecordError
from llmgate.gate.decide_records import decide_records
from llmgate.promote.evidence import read_identity
from llmgate.record.run.content_digest import content_digest
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PART = "a part of a run decides nothing"
JUDGED = "  - {type: llm-rubric, value: 'Says {{ word }}', metric: tone}\n"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def wrong_for(*words: str) -> Callable[[dict[str, Any]], str]:
    return lambda body: WRONG if answer_right(body) in words else answer_right(body)


def judge(body: dict[str, Any]) -> str:
    """The model under test, or the judge where a JSON schema is asked for."""
    if "response_format" not in body:
        return answer_right(body)
    good = "word-1" in json.dumps(body["messages"])
    return json.dumps({"reason": "so it is", "pass": good, "score": float(good)})


def shards(server: FakeServer, of: int, *more: object, suite: str = "words.yaml") -> list[str]:
    folders = []
    for index in range(1, of + 1):
        out = f"s{index}"
        done = llmgate("run", suite, "--endpoint", server.url, "--shard", f"{index}/{of}", "--out", out, *more)
        assert done.exit_code == 3, done.output
        folders.append(out)
    return folders


def test_a_shard_asks_its_part_and_is_no_decision(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right) as server:
        done = llmgate("run", "words.yaml", "--endpoint", server.url, "--shard", "1/2", "--out", "s1")
    assert done.exit_code == 3
    record = load_record(tmp_path / "s1", shard=True)
    asked = len(record.results)
    assert 0 < asked < 40
    assert len(server.seen) == asked
    assert f"NO DECISION: shard 1/2 is recorded, {asked} of 40 cases" in done.output
    assert "merge all 2 with `llmgate merge SHARD... --out DIR`" in done.output
    assert not {"decision.json", "verdict.json", "report.html"} & {path.name for path in (tmp_path / "s1").iterdir()}
    shown = llmgate("show", "s1", "--missed")
    assert shown.exit_code == 0, shown.output


def test_allowing_inconclusive_lets_no_shard_through(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right) as server:
        shards(server, 1, "--allow-inconclusive")


def test_a_shard_in_every_place_of_a_run_is_refused(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right) as server:
        assert llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "whole").exit_code == 0
        shards(server, 2)
        for command in (
            ("decide", "s1"),
            ("decide", "s1", "whole"),
            ("decide", "whole", "s1"),
            ("decide", "whole", "s1", "--allow-inconclusive"),
            ("decide", "whole", "whole", "--noise", "s1"),
            ("power", "--aa", "whole", "s1"),
            ("power", "--repeats", "s1"),
            ("power", "--history", "whole", "--history", "s1", "--history", "whole"),
            ("report", "s1"),
            ("show", "whole", "--baseline", "s1"),
            ("run", "words.yaml", "--endpoint", server.url, "--baseline", "s1", "--out", "next"),
            ("merge", "s1", "s2", "--baseline", "s1", "--out", "m"),
        ):
            done = llmgate(*command)
            assert done.exit_code == 4, (command, done.output)
            assert PART in done.output, (command, done.output)
    assert not (tmp_path / "next").exists()
    assert not (tmp_path / "m").exists()
    with pytest.raises(RecordError, match=PART):
        read_identity(tmp_path / "s1")


def test_the_gate_itself_refuses_a_shard(tmp_path: Path) -> None:
    """Also where somebody loaded one."""
    write_suite(tmp_path)
    with FakeServer(answer=answer_right) as server:
        llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "whole")
        shards(server, 2)
    whole, part = load_record(tmp_path / "whole"), load_record(tmp_path / "s1", shard=True)
    with pytest.raises(RecordError, match=PART):
        decide_records(part, None)
    with pytest.raises(RecordError, match=PART):
        decide_records(whole, part)


@pytest.mark.parametrize("of", [1, 3])
def test_merged_shards_are_the_run_of_one_machine(tmp_path: Path, of: int) -> None:
    write_suite(tmp_path, cases=120)
    with FakeServer(answer=answer_right) as server:
        assert llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "champion").exit_code == 0
        server.answer = wrong_for(*(f"word-{k}" for k in range(0, 120, 4)))
        where = ("--deployment", "v2")
        alone = llmgate(
            "run", "words.yaml", "--endpoint", server.url, *where, "--baseline", "champion", "--out", "alone"
        )
        folders = shards(server, of, *where)
    merged = llmgate("merge", *folders, "--baseline", "champion", "--out", "merged")
    assert merged.exit_code == alone.exit_code == 1, merged.output
    one, other = load_record(tmp_path / "alone"), load_record(tmp_path / "merged")
    assert content_digest(one) == content_digest(other)
    assert f"content: {content_digest(other)}" in merged.output
    found = [
        json.loads((tmp_path / name / "decision.json").read_text(encoding="utf-8")) for name in ("alone", "merged")
    ]
    for each in found:
        each.pop("candidate", None)
    assert found[0]["verdict"] == found[1]["verdict"] == "FAIL"
    assert found[0]["metrics"] == found[1]["metrics"]
    assert found[0]["slices"] == found[1]["slices"]
    again = llmgate("decide", "merged", "champion", "--json")
    assert again.output == (tmp_path / "merged" / "decision.json").read_text(encoding="utf-8")
    assert (tmp_path / "merged" / "report.html").exists()


def test_a_merged_baseline_is_a_champion(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right) as server:
        folders = shards(server, 2)
        merged = llmgate("merge", *folders, "--as-baseline", "--out", "champion")
        assert merged.exit_code == 0, merged.output
        where = ("--endpoint", server.url, "--deployment", "v2")
        done = llmgate("run", "words.yaml", *where, "--baseline", "champion", "--out", "run")
        assert done.exit_code in {0, 3}, done.output
        twice = llmgate("merge", *folders, "--baseline", "champion", "--out", "twice")
    assert twice.exit_code == 4
    assert "the same run" in twice.output


def test_merging_decides_as_a_run_does_without_a_baseline(tmp_path: Path) -> None:
    write_suite(tmp_path, gate="margin: 0.1")
    with FakeServer(answer=answer_right) as server:
        alone = llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "alone")
        merged = llmgate("merge", *shards(server, 2), "--out", "merged")
    assert merged.exit_code == alone.exit_code == 3


def test_shards_that_do_not_belong_together_leave_nothing(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right) as server:
        folders = shards(server, 2)
        other = llmgate("run", "words.yaml", "--endpoint", server.url, "--repeat", "2", "--shard", "2/2", "--out", "x")
        assert other.exit_code == 3
    for given, said in (
        (folders[:1], "of 2 shards 2 is missing"),
        ([*folders, "s1"], "shard 1/2 is there twice"),
        (["s1", "x"], "the shards are not of one run: cases digest"),
        (["s1", "nowhere"], "there is no run here"),
    ):
        done = llmgate("merge", *given, "--out", "m")
        assert done.exit_code == 4, done.output
        assert said in done.output
        assert not (tmp_path / "m").exists()


def test_errors_in_a_shard_are_errors_of_the_run(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right, faults=every(1, Fault.HTTP_400)) as server:
        broken = llmgate("run", "words.yaml", "--endpoint", server.url, "--shard", "1/2", "--out", "s1")
        assert broken.exit_code == 3
        server.faults = {}
        assert llmgate("run", "words.yaml", "--endpoint", server.url, "--shard", "2/2", "--out", "s2").exit_code == 3
    merged = llmgate("merge", "s1", "s2", "--out", "m")
    assert merged.exit_code in {1, 3}
    assert "PASS" not in merged.output.splitlines()[-1]


def test_more_shards_than_cases_merge_too(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=3, gate="min: 0.2")
    with FakeServer(answer=answer_right) as server:
        folders = shards(server, 8)
        merged = llmgate("merge", *folders, "--out", "m")
    assert merged.exit_code == 0, merged.output
    assert len(server.seen) == 3
    assert any(not load_record(tmp_path / folder, shard=True).results for folder in folders)


def test_an_interrupted_shard_goes_on(tmp_path: Path) -> None:
    write_suite(tmp_path)
    with FakeServer(answer=answer_right, die_after=5) as server:
        done = llmgate(
            "run", "words.yaml", "--endpoint", server.url, "--shard", "1/2", "--out", "s1", "--retries", "0",
            "--concurrency", "1",
        )  # fmt: skip
        assert done.exit_code in {3, 4}
    with FakeServer(answer=answer_right, port=server.port) as server:
        args = ("words.yaml", "--endpoint", server.url, "--out", "s1", "--resume")
        refused = llmgate("run", *args, "--shard", "2/2")
        assert refused.exit_code == 4
        assert "shard index was 1 and is now 2" in refused.output
        assert llmgate("run", *args, "--shard", "1/2").exit_code == 3
        assert llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "s2", "--shard", "2/2").exit_code == 3
        assert llmgate("run", "words.yaml", "--endpoint", server.url, "--out", "whole").exit_code == 0
    assert llmgate("merge", "s1", "s2", "--out", "m").exit_code == 0
    assert content_digest(load_record(tmp_path / "m")) == content_digest(load_record(tmp_path / "whole"))


# Judges, stopping, serving.


def test_the_first_shard_alone_tries_the_judge(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=12, extra=JUDGED)
    with FakeServer(answer=judge) as server:
        where = ("--judge-endpoint", server.url)
        folders = shards(server, 3, *where)
        llmgate("run", "words.yaml", "--endpoint", server.url, *where, "--out", "alone")
    assert [bool(load_record(tmp_path / folder, shard=True).trials) for folder in folders] == [True, False, False]
    assert llmgate("merge", *folders, "--out", "m").exit_code in {0, 3}
    assert content_digest(load_record(tmp_path / "m")) == content_digest(load_record(tmp_path / "alone"))


def test_no_shard_stops_early(tmp_path: Path) -> None:
    let_stop(write_suite(tmp_path, cases=60))
    with FakeServer(answer=answer_right) as server:
        folders = shards(server, 2)
        alone = llmgate("run", "words.yaml", "--endpoint", server.url, "--no-stopping", "--out", "alone")
    merged = llmgate("merge", *folders, "--out", "m")
    assert merged.exit_code == alone.exit_code
    assert not load_record(tmp_path / "s1", shard=True).manifest.looks
    assert content_digest(load_record(tmp_path / "m")) == content_digest(load_record(tmp_path / "alone"))


def test_serving_is_not_measured_in_shards(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    text = suite.read_text(encoding="utf-8")
    suite.write_text(f"{text}serving: {{requests: 4, concurrency: 2, max_tokens: 4}}\n", encoding="utf-8")
    with FakeServer(answer=answer_right) as server:
        args = ("run", "words.yaml", "--endpoint", server.url, "--shard", "1/2", "--out", "s1")
        refused = llmgate(*args)
        assert refused.exit_code == 2
        assert "words measures serving" in refused.output
        assert not (tmp_path / "s1").exists()
        assert llmgate(*args, "--no-bench").exit_code == 3


# Options.


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "2/", "/2", "1/2/3", "-1/2", "1/0", "a/b", "1 /2", "01/2", "１/2"])
def test_what_is_no_shard_is_refused(tmp_path: Path, text: str) -> None:
    write_suite(tmp_path)
    done = llmgate("run", "words.yaml", "--endpoint", "http://127.0.0.1:1", f"--shard={text}")
    assert done.exit_code == 2
    assert "is no part of a run" in done.output


def test_a_shard_is_no_baseline_and_comes_from_no_file(tmp_path: Path) -> None:
    write_suite(tmp_path)
    done = llmgate("run", "words.yaml", "--endpoint", "http://127.0.0.1:1", "--shard", "1/2", "--as-baseline")
    assert done.exit_code == 2
    assert "Give --as-baseline to `llmgate merge`" in done.output
    (tmp_path / "pyproject.toml").write_text('[tool.llmgate]\nshard = "1/2"\n', encoding="utf-8")
    done = llmgate("run", "words.yaml", "--endpoint", "http://127.0.0.1:1")
    assert done.exit_code == 2
    assert "'shard' is given by hand only" in done.output


@pytest.mark.parametrize("place", ["Ray", "ray:", "ray://host", "ray://u:p@host:1", "k8s", "ray://host:port", ""])
def test_what_is_no_cluster_is_refused(tmp_path: Path, place: str) -> None:
    write_suite(tmp_path)
    done = llmgate("run", "words.yaml", "--endpoint", "http://127.0.0.1:1", f"--on={place}")
    assert done.exit_code == 2
    assert "--on" in done.output


def test_limits_of_one_client_do_not_hold_on_a_cluster(tmp_path: Path) -> None:
    write_suite(tmp_path)
    done = llmgate("run", "words.yaml", "--endpoint", "http://127.0.0.1:1", "--on", "ray", "--rpm", "5")
    assert done.exit_code == 2
    assert "--rpm holds for one client" in done.output
