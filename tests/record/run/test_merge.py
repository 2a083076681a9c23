"""Shards become one run, or are refused by name: what differs, lacks, comes twice or was changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.records import digest_of, make_case, make_manifest, make_policy, make_result, make_suite

from llmgate.errors import RecordError
from llmgate.record.judges.identity import JudgeIdentity
from llmgate.record.manifest import Manifest, Shard
from llmgate.record.order import shard_cases
from llmgate.record.run.content_digest import content_digest
from llmgate.record.run.files import cases_digest
from llmgate.record.run.loading import load_record
from llmgate.record.run.merge import check_shards, merge_shards
from llmgate.record.run.rundir import RunDir
from llmgate.record.schema import AnchorCheck, AnchorResult, JudgeTrial, Outcome
from llmgate.record.serving.trace import RequestTrace, ServingTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llmgate.record.schema import PlannedCase, Record

CASES = tuple(make_case(f"c{i:02}", repeats=2, cluster=f"k{i % 9}" if i % 2 else None) for i in range(40))
JUDGE = JudgeIdentity(model="judge", prompt_digest="p", sampling={"seed": 0}, source="http://judge/v1")
TRIAL = JudgeTrial(suite="support", type="llm-rubric", criterion="kind", canary="empty", outcome=Outcome.FAIL)
ANCHORS = AnchorCheck(source="a", digest="d", results=(AnchorResult(id="a1", passed=True, outcome=Outcome.PASS),))
TRACE = ServingTrace(
    name="support", workload="w", workload_digest="f", concurrency=1,
    requests=(RequestTrace(index=0, queued_s=0.0, sent_s=0.1, token_events_s=(0.2, 0.3), end_s=0.4),),
    duration_s=0.4, client_cpu_s=0.01, client_version="1",
)  # fmt: skip


def said(case: PlannedCase, repeat: int, *, latency_s: float = 0.25) -> Any:
    score = float(int(digest_of(f"{case.case}{repeat}")[:4], 16) % 3 > 0)
    return make_result(case.case, repeat=repeat, score=score, latency_s=latency_s)


def of_run(shard: Shard | None, **changes: Any) -> Manifest:
    number = shard.index if shard else 0
    manifest = make_manifest(
        run_id=f"20261123-12000{number}-aaa",
        created_at=f"2026-11-23T12:00:0{number}+00:00",
        suites=[make_suite(cases=len(CASES))],
        policy=make_policy(),
        cases_digest=cases_digest(CASES),
        shard=shard,
    )
    return replace(manifest, **changes)


def write(
    out: Path,
    shard: Shard | None,
    *,
    cases: Sequence[PlannedCase] = CASES,
    add: Callable[[RunDir], None] = lambda _: None,
    **changes: Any,
) -> Path:
    with RunDir.create(out, of_run(shard, **changes), tuple(cases)) as run:
        # Each run was as fast as it was.
        took = 0.1 + (shard.index if shard else 0)
        for case in run.asked:
            for repeat in range(case.repeats):
                run.append(said(case, repeat, latency_s=took))
        add(run)
        run.seal(sealed_at=f"2026-11-23T12:10:0{shard.index if shard else 9}+00:00")
    return out


def parts(tmp_path: Path, of: int = 3, **changes: Any) -> list[Path]:
    return [write(tmp_path / f"s{k}", Shard(index=k, of=of), **changes) for k in range(1, of + 1)]


def merged(folders: Sequence[Path], out: Path) -> Record:
    return merge_shards(check_shards(folders), out)


def reseal(path: Path) -> None:
    """What somebody does who changes a file and makes the seal fit."""
    seal = json.loads((path / "seal.json").read_text(encoding="utf-8"))
    seal["journal_digest"] = hashlib.sha256((path / "journal.jsonl").read_bytes()).hexdigest()
    seal["files"] = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in seal["files"]}
    seal["results"] = len((path / "journal.jsonl").read_bytes().splitlines())
    (path / "seal.json").write_text(json.dumps(seal), encoding="utf-8")


# What comes out.


@pytest.mark.parametrize("of", [1, 2, 3, 8, 97])
def test_shards_make_the_run_that_one_machine_makes(tmp_path: Path, of: int) -> None:
    whole = load_record(write(tmp_path / "whole", None))
    run = merged(parts(tmp_path, of)[::-1], tmp_path / "merged")
    assert content_digest(run) == content_digest(whole)
    assert {key: result.checks for key, result in run.results.items()} == {
        key: result.checks for key, result in whole.results.items()
    }
    assert run.cases == whole.cases
    assert run.manifest.shard is None
    assert run.manifest.created_at == "2026-11-23T12:00:01+00:00"
    assert load_record(tmp_path / "merged") == run


def test_the_same_shards_make_the_same_bytes(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    merged(folders, tmp_path / "a")
    merged(folders[::-1], tmp_path / "b")
    for name in ("manifest.json", "cases.jsonl", "journal.jsonl", "seal.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_shards_may_differ_in(tmp_path: Path) -> None:
    """Machines, paths of the same weights, ports of servers, commits' labels."""
    one = of_run(None)
    folders = parts(tmp_path)[:2]
    elsewhere = replace(one.model, source="/mnt/other/place")
    moved = replace(one.server, url="http://127.0.0.1:9999/v1")
    folders.append(
        write(
            tmp_path / "other", Shard(index=3, of=3), model=elsewhere, server=moved, labels={"ci": "7"}, concurrency=5
        )
    )
    assert merged(folders, tmp_path / "m").manifest.concurrency == 2 * one.concurrency + 5


def test_canaries_and_anchors_come_from_the_first_shard(tmp_path: Path) -> None:
    def tried(run: RunDir) -> None:
        run.add_trials((TRIAL,))
        run.add_anchors(ANCHORS)

    folders = [write(tmp_path / "s1", Shard(index=1, of=2), add=tried), write(tmp_path / "s2", Shard(index=2, of=2))]
    run = merged(folders, tmp_path / "m")
    assert (run.trials, run.anchors) == ((TRIAL,), ANCHORS)


# What is refused.


def test_a_gap_is_refused(tmp_path: Path) -> None:
    folders = parts(tmp_path, 8)
    with pytest.raises(RecordError, match="of 8 shards 3, 5 are missing"):
        check_shards([folder for folder in folders if folder.name not in {"s3", "s5"}])
    with pytest.raises(RecordError, match="of 8 shards 8 is missing"):
        check_shards(folders[:7])
    with pytest.raises(RecordError, match="no shard was named"):
        check_shards([])


def test_a_shard_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    with pytest.raises(RecordError, match=r"shard 2/3 is there twice, also in .*s2"):
        check_shards([*folders, folders[1]])
    again = write(tmp_path / "again", Shard(index=2, of=3))
    with pytest.raises(RecordError, match="shard 2/3 is there twice"):
        check_shards([*folders, again])


def test_shards_of_two_partitions_are_refused(tmp_path: Path) -> None:
    folders = [*parts(tmp_path)[:2], write(tmp_path / "x", Shard(index=3, of=4))]
    with pytest.raises(RecordError, match=r"this is shard 3/4, and .*s1 is shard 1/3"):
        check_shards(folders)


MODEL = of_run(None).model


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"model": replace(MODEL, weights_digest="0" * 64)}, "model weights digest"),
        ({"model": replace(MODEL, name="other")}, "model name"),
        ({"policy": make_policy(margin=0.2)}, "policy metrics 1 margin"),
        ({"suites": (make_suite(cases=len(CASES), version="9"),)}, "suites 1 version"),
        ({"judge": JUDGE}, "judge"),
        ({"judges": {"tone": JUDGE}}, "judges tone"),
        ({"llmgate_version": "9.9.9"}, "llmgate version"),
        ({"seed": 1}, "seed"),
        ({"server": replace(of_run(None).server, flags=("--dtype", "float32"))}, "server flags"),
        ({"server": replace(of_run(None).server, version="0")}, "server version"),
        ({"server": replace(of_run(None).server, deployment="v2")}, "server deployment"),
        ({"embedding": replace(MODEL, name="embedder")}, "embedding"),
        ({"anchors": "f" * 64}, "anchors"),
        ({"local_models": {"tiny": "a" * 64}}, "local models"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_shard_of_another_run_is_refused_with_the_field(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    folders = [*parts(tmp_path)[:2], write(tmp_path / "x", Shard(index=3, of=3), **changed)]
    with pytest.raises(RecordError, match=f"the shards are not of one run: {named}"):
        check_shards(folders)
    assert not (tmp_path / "m").exists()


def test_an_endpoint_is_known_by_its_url_unless_it_has_a_label(tmp_path: Path) -> None:
    there = replace(MODEL, weights_digest=None, source="http://a/v1")
    other = replace(there, source="http://b/v1")
    folders = [*parts(tmp_path, model=there)[:2], write(tmp_path / "x", Shard(index=3, of=3), model=other)]
    with pytest.raises(RecordError, match=r"not of one run: model source is http://a/v1 in .*, and here http://b/v1"):
        check_shards(folders)
    labelled: dict[str, Any] = {"server": replace(of_run(None).server, deployment="v7")}
    (tmp_path / "l").mkdir()
    folders = parts(tmp_path / "l", model=there, **labelled)[:2]
    folders.append(write(tmp_path / "l" / "x", Shard(index=3, of=3), model=other, **labelled))
    assert len(check_shards(folders)) == 3


def test_other_questions_are_refused(tmp_path: Path) -> None:
    other = (*CASES[:-1], make_case("c99"))
    folders = parts(tmp_path)[:2]
    folders.append(write(tmp_path / "x", Shard(index=3, of=3), cases=other, cases_digest=cases_digest(other)))
    with pytest.raises(RecordError, match="the shards are not of one run: cases digest"):
        check_shards(folders)


def test_a_tampered_shard_is_refused(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    journal = folders[1] / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"score":0.0', b'"score":1.0'))
    with pytest.raises(RecordError, match="the file changed after the run was sealed"):
        check_shards(folders)


def test_a_shard_with_an_answer_of_another_one_is_refused(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    lines = (folders[0] / "journal.jsonl").read_bytes().splitlines(keepends=True)
    journal = folders[1] / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + lines[0])
    reseal(folders[1])
    with pytest.raises(RecordError, match=r"case support::c\d\d was never planned for shard 2/3"):
        check_shards(folders)


def test_a_shard_that_lacks_an_answer_of_its_own_is_refused(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    journal = folders[1] / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[1:]))
    reseal(folders[1])
    with pytest.raises(RecordError, match=r"shard 2/3 lacks 1 of its answers, the first is support::c\d\d"):
        check_shards(folders)


def test_an_unfinished_shard_and_a_whole_run_are_refused(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    whole = write(tmp_path / "whole", None)
    with pytest.raises(RecordError, match="this is a whole run, and no shard of one"):
        check_shards([*folders, whole])
    (folders[2] / "seal.json").unlink()
    with pytest.raises(RecordError, match="this run is unfinished"):
        check_shards(folders)


def test_measurements_and_trials_of_other_shards_are_refused(tmp_path: Path) -> None:
    folders = parts(tmp_path)[:2]
    served = write(tmp_path / "x", Shard(index=3, of=3), add=lambda run: run.add_serving(TRACE))
    with pytest.raises(RecordError, match="shard 3/3 holds serving measurements"):
        check_shards([*folders, served])
    tried = write(tmp_path / "y", Shard(index=3, of=3), add=lambda run: run.add_trials((TRIAL,)))
    with pytest.raises(RecordError, match="shard 3/3 tried its judge, which shard 1 alone does"):
        check_shards([*folders, tried])


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    folders = parts(tmp_path)
    with pytest.raises(RecordError, match="already holds a run"):
        merged(folders, folders[0])


# A part is no run.


def test_a_shard_is_no_record_to_whoever_does_not_ask_for_one(tmp_path: Path) -> None:
    part = parts(tmp_path)[1]
    with pytest.raises(
        RecordError, match=r"this is shard 2/3 of a run, and a part of a run decides nothing\. Merge all 3"
    ):
        load_record(part)
    with pytest.raises(RecordError, match="this is shard 2/3"):
        load_record(part, unfinished=True)
    assert load_record(part, shard=True).manifest.shard == Shard(index=2, of=3)


def test_a_shard_goes_on_as_the_same_shard_only(tmp_path: Path) -> None:
    shard = Shard(index=2, of=3)
    with RunDir.create(tmp_path / "run", of_run(shard), CASES) as run:
        run.append(said(run.asked[0], 0))
        foreign = next(case for case in CASES if case not in run.asked)
        with pytest.raises(RecordError, match="was never planned"):
            run.append(said(foreign, 0))
        assert len(run.missing()) == 2 * len(run.asked) - 1
        with pytest.raises(RecordError, match="planned answers are missing"):
            run.seal(sealed_at="now")
    with pytest.raises(RecordError, match="cannot be resumed: shard index was 2 and is now 3"):
        RunDir.resume(tmp_path / "run", of_run(Shard(index=3, of=3)), CASES)
    with pytest.raises(RecordError, match="cannot be resumed: shard was 2/3 and is now not there"):
        RunDir.resume(tmp_path / "run", of_run(None), CASES)
    RunDir.resume(tmp_path / "run", of_run(shard), CASES).close()


def test_all_of_a_cluster_and_all_repeats_are_asked_by_one(tmp_path: Path) -> None:
    where: dict[str, set[int]] = {}
    for folder in parts(tmp_path):
        record = load_record(folder, shard=True)
        assert record.manifest.shard is not None
        for case in shard_cases(CASES, record.manifest.shard):
            assert all(key in record.results for key in case.keys)
            where.setdefault(case.cluster or case.case, set()).add(record.manifest.shard.index)
    assert all(len(shards) == 1 for shards in where.values())
    assert len(set.union(*where.values())) == 3
