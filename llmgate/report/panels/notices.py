"""Sentences under the verdict that change how it must be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.gate.decision.types import Verdict
from llmgate.gate.decision.wording import attempt_words
from llmgate.gate.evidence.answered_by import same_model_asked, seems_same
from llmgate.gate.metrics.policy_changes import weaker_than
from llmgate.record.policy import Binding, OnInconclusive
from llmgate.record.schema import Outcome
from llmgate.report.panels.looks import stop_notices
from llmgate.report.rows import Notice
from llmgate.report.visible import one_line
from llmgate.report.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.gate.decision.types import Decision
    from llmgate.record.schema import Record

__all__ = ["notices"]


def notices(candidate: Record, champion: Record | None, decision: Decision) -> Iterator[Notice]:
    """All of them, in reading order."""
    for side, record in (("candidate", candidate), ("champion", champion)):
        if record is not None and record.seal is None:
            keys = [key for case in record.cases for key in case.keys]
            done = sum(key in record.results for key in keys)
            text = f"The {side}'s run did not finish: {count(done)} of {count(len(keys))} planned answers exist."
            yield Notice(text=text, serious=True)
    if champion is None:
        text = "No champion was given: metrics are judged against absolute thresholds, by their confidence bound."
        yield Notice(text=text, serious=False)
    if decision.verdict is Verdict.INCONCLUSIVE and decision.on_inconclusive is OnInconclusive.ALLOW:
        text = "The policy does not let an INCONCLUSIVE verdict stop the build; it still never allows a promotion."
        yield Notice(text=text, serious=False)
    manifest = candidate.manifest
    yield from _promises(candidate, champion)
    if manifest.judge is not None or manifest.judges:
        yield Notice(text="Judged metrics are judge scores, not human quality.", serious=False)
    if champion is not None and seems_same(candidate, champion) and not same_model_asked(candidate, champion):
        labels = " and ".join(one_line(side.manifest.server.deployment, 60) or "none" for side in (champion, candidate))
        text = f"Both runs asked one name at one endpoint; only labels say that two models answered: {labels}."
        yield Notice(text=text, serious=True)
    yield from stop_notices(candidate, champion, decision)
    if words := attempt_words(decision.attempt):
        yield Notice(text=f"{words[0].upper()}{words[1:]}.", serious=False)
    if text := _trials(candidate):
        yield Notice(text=text, serious=True)
    if manifest.self_judges:
        text = f"The model judged its own answers (judge {one_line(', '.join(manifest.self_judges), 120)})."
        yield Notice(text=text, serious=True)


def _promises(candidate: Record, champion: Record | None) -> Iterator[Notice]:
    """Where the run shows less than it seems to: a version that is only claimed, a policy that asks for less."""
    manifest = candidate.manifest
    model = manifest.model
    # Records of before bindings were noted say at least who served.
    claimed = model.binding is Binding.CLAIMED or (model.binding is None and not manifest.server.owned)
    if model.registry_uri is not None and claimed:
        text = (
            f"That {one_line(model.registry_uri, 120)} answered is claimed, not shown: llmgate did not serve weights "
            "whose digest the registry has."
        )
        yield Notice(text=text, serious=True)
    if champion is not None and (weaker := weaker_than(champion.manifest, manifest)):
        text = f"The policy asks less than the champion's did: {one_line('; '.join(weaker), 1000)}."
        yield Notice(text=text, serious=True)


def _trials(record: Record) -> str:
    """What the judges did with answers that no judge should let pass; empty if they did well or were not tried."""
    trials = record.trials
    passed = [trial for trial in trials if trial.outcome is Outcome.PASS]
    lost = sum(trial.outcome is Outcome.ERROR for trial in trials)
    parts = []
    if passed:
        names = one_line(", ".join(dict.fromkeys(trial.canary for trial in passed)), 120)
        tried = count(len(trials))
        share = f"all {tried}" if len(passed) == len(trials) else f"{count(len(passed))} of {tried}"
        parts.append(f"approved {share} deliberately bad answers ({names})")
    if lost:
        parts.append(f"gave no verdict on {count(lost)}")
    if not parts:
        return ""
    return f"The judge {' and '.join(parts)}. Do not trust its scores."
