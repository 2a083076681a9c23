"""May these records be decided on, and compared? Refuses, naming the field and both values."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from llmgate.errors import NotComparableError, PolicyError, RecordError, did_you_mean
from llmgate.gate.decision.wording import count, name_some
from llmgate.gate.evidence.answered_by import judge_models
from llmgate.record.output_features import OutputFeature
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from llmgate.record.manifest import JudgeIdentity, SuiteIdentity
    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record

__all__ = ["check_comparable", "check_decidable", "check_policy", "same_answers"]


def check_decidable(record: Record) -> None:
    """Refuse a record that is unfinished or does not hold what its seal says.

    Raises:
        RecordError: If it is a part of a run, has no seal, another number of results than sealed, or a case planned
            twice.
    """
    where = record.path or record.manifest.run_id
    refuse_part(record)
    if record.seal is None:
        raise RecordError("the record has no seal: its run did not finish", where=where, fix="Resume or repeat the run")
    if record.seal.results != len(record.results):
        raise RecordError(
            f"the seal counts {count(record.seal.results, 'result')}, but the record holds {len(record.results):,}",
            where=where,
            fix="Repeat the run; this record was changed after it was sealed",
        )
    names = Counter((case.suite, case.case) for case in record.cases)
    twice = sorted(f"{suite}::{case}" for (suite, case), times in names.items() if times > 1)
    if twice:
        raise RecordError(f"planned more than once: {name_some(twice)}", where=where, fix="Give every row its own id")


def refuse_part(record: Record) -> None:
    """Refuse a part of a run, for what was asked by others is missing in it.

    Raises:
        RecordError: If it is one.
    """
    shard = record.manifest.shard
    if shard is not None:
        raise RecordError(
            f"this is shard {shard.name} of a run, and a part of a run decides nothing",
            where=record.path or record.manifest.run_id,
            fix=f"Merge all {shard.of} with `llmgate merge`",
        )


def check_policy(record: Record, policy: Policy) -> None:
    """Refuse a policy that names what the record does not know, or names a metric twice.

    A metric is only called unknown where answers were scored and fully judged; without any, it is left to the
    evidence to say that nothing could be evaluated.

    Raises:
        PolicyError: With the nearest known name.
    """
    suites = {suite.name for suite in record.manifest.suites}
    known: dict[str, set[str]] = {}
    for key, result in record.scored.items():
        if isinstance(result.answer, Generation) and result.judged:
            known.setdefault(key.suite, set()).update(check.metric for check in result.checks)
    asked = [(metric.where, metric.suite) for metric in policy.metrics]
    asked += [(figure.where, figure.suite) for figure in policy.serving]
    for where, suite in asked:
        if suite not in suites:
            raise PolicyError(f"unknown suite {suite!r}", where=where, fix=did_you_mean(suite, suites))
    seen = set()
    for metric in policy.metrics:
        where = metric.where
        if (metric.suite, metric.metric) in seen:
            raise PolicyError("the policy names this metric twice", where=where, fix="Keep one of them")
        seen.add((metric.suite, metric.metric))
        metrics = known.get(metric.suite, set())
        if metrics and metric.trait is None and metric.metric not in metrics:
            raise PolicyError(
                f"no check feeds the metric {metric.metric!r}", where=where, fix=did_you_mean(metric.metric, metrics)
            )
    cases = {(case.suite, case.case) for case in record.cases}
    for waiver in policy.waivers:
        if waiver.case is not None and (waiver.suite, waiver.case) not in cases:
            known_cases = [case for suite, case in cases if suite == waiver.suite]
            raise PolicyError(
                "the waiver is about a case that does not exist",
                where=waiver.target,
                fix=did_you_mean(waiver.case, known_cases) if len(known_cases) < 100 else "Check its id",
            )


def check_comparable(candidate: Record, champion: Record, policy: Policy) -> None:
    """Refuse a pair of records whose difference would not be the model's.

    Compared for every suite of the policy: version, digest, dataset version and digest, number of cases, the cases
    themselves with their repeats, clusters and request digests; the judges,
    if they score any metric of the policy; the embedding model; and the weights of models
    on the machine that asserts ask.

    Raises:
        NotComparableError: With the field and both values.
    """
    for side, record in (("candidate", candidate), ("champion", champion)):
        refuse_part(record)
        if record.seal is None or record.seal.results != len(record.results):
            raise NotComparableError(
                f"seal: the {side}'s record is unfinished or was changed",
                where=record.path or record.manifest.run_id,
                fix="Finish or repeat its run",
            )
    if candidate.manifest.run_id == champion.manifest.run_id:
        raise NotComparableError(
            f"run_id: candidate and champion are the same run, {candidate.manifest.run_id}",
            fix="Compare with another run; a run always equals itself",
        )
    if same_answers(candidate, champion):
        raise NotComparableError(
            "journal: candidate and champion hold the same answers, so one is a copy of the other",
            where=candidate.path or candidate.manifest.run_id,
            fix="Compare with another run; even the same model never takes exactly as long twice",
        )
    _same("major", candidate.manifest.major, champion.manifest.major, "record format")
    for name in sorted({metric.suite for metric in policy.metrics}):
        _same_suite(name, candidate, champion)
        _same_cases(name, candidate, champion)
    if any(metric.judged for metric in policy.metrics):
        _same("judge", _judge(candidate.manifest.judge), _judge(champion.manifest.judge), "judge")
        for name in sorted({*candidate.manifest.judges, *champion.manifest.judges}):
            judge, champion_judge = (_judge(record.manifest.judges.get(name)) for record in (candidate, champion))
            _same(f"judge {name!r}", judge, champion_judge, "judges")
        _same_judge_models(candidate, champion)
    if not (watches_embeddings(policy) and None in (candidate.manifest.embedding, champion.manifest.embedding)):
        _same("embedding", _embedding(candidate), _embedding(champion), "embedding model")
    ours, theirs = candidate.manifest.local_models, champion.manifest.local_models
    for name in sorted({*ours, *theirs}):
        _same(f"weights of {name}", ours.get(name, "unknown"), theirs.get(name, "unknown"), "model that an assert asks")


def _same_judge_models(candidate: Record, champion: Record) -> None:
    """One name may stand for two dated models, one after the other."""
    if not (candidate.manifest.server.model_names and champion.manifest.server.model_names):
        return  # An older record does not say.
    ours, theirs = judge_models(candidate), judge_models(champion)
    for name in sorted(ours.keys() & theirs.keys()):
        _same("the model that replied", sorted(ours[name]), sorted(theirs[name]), f"judge {name}".strip())


def same_answers(run: Record, other: Record) -> bool:
    """Whether two records are of one run: their journals are equal, or most answers took as long to the last digit."""
    if run.seal and other.seal and run.seal.journal_digest == other.seal.journal_digest:
        return True
    both = [
        (result.answer.latency_s, partner.answer.latency_s)
        for key, result in run.scored.items()
        if isinstance(result.answer, Generation)
        and (partner := other.scored.get(key)) is not None
        and isinstance(partner.answer, Generation)
    ]
    # Times that are all alike were not measured.
    return len(set(both)) > 1 and 2 * sum(time == again for time, again in both) > len(both)


def watches_embeddings(policy: Policy) -> bool:
    """Whether embeddings are shown: the first run that has them may be compared with one that has not."""
    return any(watch.trait is OutputFeature.EMBEDDINGS for watch in policy.watched)


def _same(field: str, candidate: object, champion: object, where: str) -> None:
    if candidate != champion:
        raise NotComparableError(
            f"{field} is {candidate!r} for the candidate, but {champion!r} for the champion",
            where=where,
            fix="Run the champion again under the same conditions",
        )


def _same_suite(name: str, candidate: Record, champion: Record) -> None:
    suite, champion_suite = _suite(name, candidate), _suite(name, champion)
    if suite is None or champion_suite is None:
        side = "candidate" if suite is None else "champion"
        raise NotComparableError(
            f"suites: the {side}'s record has no suite {name!r}", where=name, fix=f"Run {name!r} on the {side}"
        )
    for field in ("version", "digest", "dataset_version", "dataset_digest", "cases"):
        _same(field, getattr(suite, field), getattr(champion_suite, field), name)


def _suite(name: str, record: Record) -> SuiteIdentity | None:
    return next((suite for suite in record.manifest.suites if suite.name == name), None)


def _same_cases(name: str, candidate: Record, champion: Record) -> None:
    cases, champion_cases = (
        {case.case: case for case in record.cases if case.suite == name} for record in (candidate, champion)
    )
    lacking = {"candidate": champion_cases.keys() - cases.keys(), "champion": cases.keys() - champion_cases.keys()}
    for side, missing in lacking.items():
        if missing:
            raise NotComparableError(
                f"cases: the {side}'s record lacks {count(len(missing), 'case')}: {name_some(sorted(missing))}",
                where=name,
                fix="Run the whole suite on both",
            )
    for case, planned in sorted(cases.items()):
        for field in ("repeats", "cluster", "request_digest"):
            _same(field, getattr(planned, field), getattr(champion_cases[case], field), f"{name}::{case}")


def _judge(judge: JudgeIdentity | None) -> str:
    if judge is None:
        return "none"
    sampling = ", ".join(f"{name}={value}" for name, value in sorted(judge.sampling.items()))
    return f"{judge.model} (weights {judge.weights_digest}, prompt {judge.prompt_digest}, {sampling})"


def _embedding(record: Record) -> str:
    model = record.manifest.embedding
    return "none" if model is None else model.name
