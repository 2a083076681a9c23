"""Attempts that a live registry knows: counted on every machine, whatever became of the ledger there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.attempts import told
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite
from support.promotions import POLICY

from llmgate.cli import main
from llmgate.errors import PromotionRefusedError
from llmgate.promote import tags
from llmgate.promote.registries import log_run, open_registry
from llmgate.promote.status import read_status
from llmgate.record.run.loading import load_record
from llmgate.session.attempts.counting import AttemptSources, CountedWith, counted_with
from llmgate.session.attempts.ledger import AttemptLedger
from llmgate.session.attempts.registry import brought_from, verdicts_known_to
from llmgate.session.decide.promote import promote_version
from llmgate.session.decide.publish import attempt_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.registry import Registry

    from llmgate.promote.target import LoggedRun

RESERVED = replace(POLICY, reserve=0.1)


class Machine:
    """A machine with a ledger of its own, which tells a registry of its runs."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry = registry
        self.ledger = AttemptLedger(folder / "attempts")
        self.uri = registry.uri

    def count(self, record: Path, champion: Path) -> CountedWith:
        """Count a run, and enter what it comes to."""
        sides = load_record(record), load_record(champion)
        attempts = AttemptSources(ledger=self.ledger, brought=partial(brought_from, self.uri, "llmgate"), always=True)
        with counted_with(record, *sides, RESERVED, attempts) as counted:
            counted.enter(self.registry.gate_run(record, champion).decision)
        return counted

    def log(self, record: Path, champion: Path, *, experiment: str = "llmgate") -> LoggedRun:
        """Log it as a gate run."""
        run = replace(self.registry.gate_run(record, champion), attempt=attempt_name(record))
        return log_run(run, tracking_uri=self.registry.uri, experiment=experiment)


def runs_of(registry: Registry, *shifts: int) -> tuple[str, Path, list[Path]]:
    """A version, the champion's record, and runs of the version."""
    _, champion = registry.crown(policy=RESERVED)
    # The store is shared with other tests, which try candidates of their own.
    weights = f"{registry.name}-v2"
    uri = registry.create(weights)
    return uri, champion, [registry.measure(weights, uri, right=85, shift=shift, policy=RESERVED) for shift in shifts]


@pytest.mark.over_http
def test_another_machine_counts_what_was_logged(registry: Registry, tmp_path: Path) -> None:
    uri, champion, (first, second, third) = runs_of(registry, 1, 2, 3)
    here, there = Machine(registry, tmp_path / "here"), Machine(registry, tmp_path / "there")
    for record, before in ((first, 0), (second, 1)):
        assert len(here.count(record, champion).earlier) == before
        here.log(record, champion)
        # Nothing beside the next run tells of it.
        for path in record.glob("attempts*"):
            path.rename(tmp_path / f"{record.name}-{path.name}")
    counted = there.count(third, champion)
    assert ([number for number, _ in told(counted)], counted.problems) == ([1, 2], ())
    assert counted.problems == ()
    assert all(one.candidate is not None and one.champion is not None for one in counted.earlier)
    key = next(there.ledger.root.glob("*/ledger.jsonl")).parent.name
    assert len(verdicts_known_to(registry.uri, "llmgate", key, ())) == 2
    there.log(third, champion)
    noted = registry.raw("get_model_version", registry.name, uri.rsplit("/", 1)[1]).tags
    assert sum(name.startswith(f"{tags.ATTEMPTS}/") for name in noted) == 3


def test_deleted_runs_and_other_experiments_count(registry: Registry, tmp_path: Path) -> None:
    _, champion, (first, second, third) = runs_of(registry, 1, 2, 3)
    here, there = Machine(registry, tmp_path / "here"), Machine(registry, tmp_path / "there")
    here.count(first, champion)
    logged = here.log(first, champion, experiment="another")
    here.count(second, champion)
    registry.raw("delete_run", here.log(second, champion).run_id)
    registry.raw("delete_run", logged.run_id)
    for record in (first, second):
        for path in record.glob("attempts*"):
            path.unlink()
    assert len(there.count(third, champion).earlier) == 2


def test_an_attempt_whose_files_are_gone_is_no_pass(registry: Registry, tmp_path: Path) -> None:
    _, champion, (first, second) = runs_of(registry, 1, 2)
    here, there = Machine(registry, tmp_path / "here"), Machine(registry, tmp_path / "there")
    here.count(first, champion)
    logged = here.log(first, champion)
    for path in first.glob("attempts*"):
        path.unlink()
    artifacts = registry.raw("get_run", logged.run_id).info.artifact_uri.removeprefix("file://")
    shutil.rmtree(f"{artifacts}/record")
    counted = there.count(second, champion)
    assert [problem.where for problem in counted.problems] == [f"MLflow run {logged.run_id}"]
    assert "attempt 1 of this candidate" in counted.problems[0].what
    assert counted.problems[0].fix


def test_a_registry_that_does_not_answer_is_no_pass(registry: Registry, tmp_path: Path) -> None:
    _, champion, (first,) = runs_of(registry, 1)
    here = Machine(registry, tmp_path / "here")
    here.uri = "http://127.0.0.1:9"
    counted = here.count(first, champion)
    assert ["cannot be asked for" in problem.what for problem in counted.problems] == [True]


def test_a_version_that_was_tried_before_is_not_promoted_by_a_run_that_does_not_count_it(
    registry: Registry, tmp_path: Path
) -> None:
    uri, champion, (first,) = runs_of(registry, 1)
    second: Path | None = None
    for name in ("here", "there"):
        alone = Machine(registry, tmp_path / name)
        alone.uri = f"sqlite:///{tmp_path}/{name}.db"  # asked elsewhere, logged here
        record = first
        if name == "there":
            for path in first.glob("attempts*"):
                path.unlink()
            record = second = registry.measure(f"{registry.name}-v2", uri, right=100, policy=RESERVED)
        assert alone.count(record, champion).earlier == ()
        alone.log(record, champion)
    assert second is not None
    with pytest.raises(PromotionRefusedError, match=r"calls itself attempt 1 and does not count 1 that came before it"):
        registry.promote(uri)


def wrong_from(first: int, to: int) -> Callable[[dict[str, Any]], str]:
    """Answers wrongly to a range of cases."""
    words = {f"word-{i}" for i in range(first, to)}
    return lambda body: WRONG if answer_right(body) in words else answer_right(body)


@pytest.mark.over_http
def test_a_version_is_promoted_at_its_second_attempt_from_what_the_registry_keeps(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = write_suite(tmp_path, cases=100, gate="margin: 0.1, min: 0.3")
    head, _, metrics = suite.read_text(encoding="utf-8").rpartition("gate:\n")
    suite.write_text(f"{head}gate:\n  metrics:\n  {metrics}  binding: claimed\n", encoding="utf-8")

    def gate(url: str, uri: str, out: str, *more: str) -> Result:
        known = ("--mlflow-uri", registry.uri, "--registry-uri", uri)
        done = CliRunner().invoke(main, ["run", str(suite), "--endpoint", url, *known, "--out", out, *more])
        shutil.rmtree(".llmgate")  # each job begins with an empty folder
        for path in Path(out).glob("attempts*"):
            path.unlink()
        return done

    first, second = registry.create("v1"), registry.create("v2")
    with FakeServer(answer=wrong_from(0, 4)) as old, FakeServer() as new:
        assert gate(old.url, first, "champion").exit_code == 0
        promote_version(first, "champion", mlflow_uri=registry.uri)
        baseline = ("--baseline", f"models:/{registry.name}@champion")
        new.answer = wrong_from(4, 14)
        assert gate(new.url, second, "one", *baseline).exit_code == 3
        with pytest.raises(PromotionRefusedError, match="the verdict is INCONCLUSIVE, which"):
            promote_version(second, "champion", mlflow_uri=registry.uri)
        new.answer = wrong_from(0, 1)
        again = gate(new.url, second, "two", *baseline)
    assert "attempt 2 at this candidate; earlier: INCONCLUSIVE" in again.output
    assert again.exit_code == 0, again.output
    done = promote_version(second, "champion", mlflow_uri=registry.uri)
    assert "attempt 2; earlier: INCONCLUSIVE" in done.lines()
    status = read_status(open_registry(registry.uri), registry.name)
    assert status.champion is not None
    assert status.champion.tried == "2 (earlier: INCONCLUSIVE)"
