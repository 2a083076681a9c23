"""What a run found, as one digest: equal for two runs that asked the same of the same model and were told the same.

It says nothing of when, where, by whom and how fast: a run on one machine, the same run in shards that were merged, and
the same run over Ray have one content digest, if the model answers the same. `record_digest` is another thing: it names
the files of one record.

The digest is SHA-256 over lines, each of them canonical JSON (keys sorted, no spaces, ASCII) with a line feed:

1. `{"content": 1, ...}`: the number of this definition, and of the manifest what says who was asked what: `model`
   without its source and place in a registry, the deployment's label, `judge`, `judges` and `embedding` without their
   sources, `local_models`, `judging`, `anchors` (the digest of their file), of each suite name, version, digests and
   number of cases, `cases_digest`, `policy`, `looks`, and of a shard `shard`;
2. one line for each planned answer, in planned order: its key, and what came back. `null` where there is nothing. Of an
   answer the text, the calls of tools, the finish reason, the numbers of prompt and completion tokens, and who answered
   where it was not plainly the model asked; of a failure its kind. Then whether it was judged, and of each check
   everything but its reason: with what judges were asked and answered;
3. one line for each answer with which a judge was tried, and one for each anchor that was judged again;
4. one line for each suite that stopped early: at which look.

Left out are times, latencies, attempts, hosts, run ids, hardware, packages, llmgate's version, logarithms of
probabilities, cached tokens, and reasons of checks and failures, which may quote any of these; features of answers,
which follow from their texts; embeddings, which never gate; and serving measurements, which are times.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from llmgate.record.run.files import MANIFEST
from llmgate.record.schema import Generation, WordlessResults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.record.answered_by import Failure
    from llmgate.record.manifest import Manifest
    from llmgate.record.schema import CaseResult, CheckResult, Exchange, Judgement, Record

__all__ = ["CONTENT_VERSION", "content_digest"]

CONTENT_VERSION: Final = 1
"""Raised when the definition changes: digests of two definitions say nothing of each other."""

CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
DERIVED: Final = "content"

ASKED: Final = ("judging", "local_models", "anchors", "cases_digest", "policy", "looks", "shard")
"""Fields of the manifest that count whole."""
PLACES: Final = frozenset({"source", "registry_uri", "binding"})
SUITE: Final = ("name", "version", "digest", "dataset_version", "dataset_digest", "cases")


def content_digest(record: Record) -> str:
    """SHA-256 over what a run found; see the module's text. As hexadecimal.

    Of a sealed record that was read from its files it is computed once: they were held against the seal then. It is
    no field of the seal, which nothing signs, so that what a record says of itself always follows from what it holds.

    Args:
        record: As it was read back from its folder: what is written is redacted.

    Raises:
        RecordError: If a file changed since it was read.
    """
    if record.seal is None or not isinstance(record.results, WordlessResults):
        return _computed(record)
    if DERIVED not in record.derived:
        record.derived[DERIVED] = _computed(record)
    return record.derived[DERIVED]


def _computed(record: Record) -> str:
    digest = hashlib.sha256()
    for line in lines(record):
        digest.update(CANONICAL.encode(line).encode("ascii"))
        digest.update(b"\n")
    return digest.hexdigest()


def lines(record: Record) -> Iterator[object]:
    """What is digested, line by line."""
    yield head(record.manifest)
    for case in record.cases:
        for key in case.keys:
            yield [key.suite, key.case, key.repeat, result_of(record.results.get(key))]
    for trial in record.trials:
        asked = list(map(judgement_of, trial.judgements))
        yield ["trial", trial.suite, trial.type, trial.criterion, trial.judge, trial.canary, trial.outcome, asked]
    for anchor in record.anchors.results if record.anchors else ():
        asked = list(map(judgement_of, anchor.judgements))
        yield ["anchor", anchor.id, anchor.passed, anchor.outcome, asked]
    for stop in sorted(record.seal.stops if record.seal else (), key=lambda stop: stop.suite):
        yield ["stop", stop.suite, stop.look]


def head(manifest: Manifest) -> dict[str, Any]:
    """Who was asked what, as the manifest's file words it."""
    written: dict[str, Any] = json.loads(MANIFEST.holds.dump_json(manifest, exclude=MANIFEST.unsaid(manifest)))
    found: dict[str, Any] = {name: written[name] for name in ASKED if name in written}
    for name in ("model", "judge", "embedding"):
        found[name] = without_places(written[name])
    found["judges"] = {name: without_places(judge) for name, judge in written["judges"].items()}
    found["deployment"] = manifest.server.deployment
    found["suites"] = [{name: suite[name] for name in SUITE} for suite in written["suites"]]
    return {**found, "content": CONTENT_VERSION}


def without_places(identity: dict[str, Any] | None) -> dict[str, Any] | None:
    """An identity without where it was found."""
    return None if identity is None else {name: value for name, value in identity.items() if name not in PLACES}


def result_of(result: CaseResult | None) -> list[object] | None:
    """One result."""
    if result is None:
        return None
    found: list[object] = [answer_of(result.answer), result.judged, list(map(check_of, result.checks))]
    if result.asserts or result.exchanges:
        found += [list(result.asserts), list(map(exchange_of, result.exchanges))]
    return found


def answer_of(answer: Generation | Failure | None) -> object:
    """An answer, or the kind of what there is instead."""
    if answer is None:
        return None
    if not isinstance(answer, Generation):
        return [answer.kind]
    calls = None if answer.tool_calls is None else list(answer.tool_calls)
    found = [answer.text, calls, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens]
    by = answer.answered_by
    return found if by is None else [*found, [by.model, by.provider, by.cached, by.rerouted]]


def check_of(check: CheckResult) -> list[object]:
    """One check."""
    return [
        check.type,
        check.outcome,
        check.score,
        check.metric,
        check.weight,
        check.required,
        check.part,
        check.forgeable,
        list(map(judgement_of, check.judgements)),
    ]


def judgement_of(asked: Judgement) -> list[object]:
    """One question to a judge."""
    said = [[message.role, message.content] for message in asked.messages]
    vote = None if asked.vote is None else [asked.vote.outcome, asked.vote.score]
    return [asked.judge, said, asked.reply, asked.error is not None, vote, asked.model]


def exchange_of(exchange: Exchange) -> Sequence[object]:
    """One request of a test in code."""
    return [exchange.path, exchange.request, exchange.status, answer_of(exchange.answer)]
