"""The tags that llmgate writes on runs and versions. They are pointers for people and look-ups, never proof."""

from __future__ import annotations

__all__ = [
    "ATTEMPT",
    "ATTEMPTS",
    "ATTEMPT_ID",
    "ATTEMPT_KEY",
    "BASELINE",
    "BINDING",
    "EARNED",
    "EVIDENCE",
    "GATE",
    "KEPT_FROM",
    "OVERRIDE",
    "POLICY_CHANGE",
    "PROMOTED_ALIAS",
    "PROMOTED_AT",
    "PROMOTED_OVER",
    "REFRESHED",
    "REFRESHES",
    "REPORT",
    "ROLLBACK",
    "RUN_ID",
    "SUBJECT",
    "SUITE",
    "VERDICT",
    "VERDICTS",
    "WEIGHTS_DIGEST",
]

VERDICT = "llmgate.verdict"
"""PASS, FAIL or INCONCLUSIVE, for the reader of a list."""
SUITE = "llmgate.suite"
"""`name@version` of every suite, comma-separated."""
RUN_ID = "llmgate.run_id"
"""The run id of the record, on the run and on the version."""
WEIGHTS_DIGEST = "llmgate.weights_digest"
"""SHA-256 over the model folder's file manifest, on the run and on the version."""
REPORT = "llmgate.report"
"""Where the report lies, on the version."""
EVIDENCE = "llmgate.evidence"
"""On a version: the registry's id of the run that holds the record."""
SUBJECT = "llmgate.model_version"
"""On a run: the version that was judged, `models:/NAME/VERSION`."""
BASELINE = "llmgate.baseline"
"""On a run: the version that it was compared with, `models:/NAME/VERSION`."""
PROMOTED_AT = "llmgate.promoted_at"
"""On a version: when it got the alias, UTC, ISO 8601."""
PROMOTED_ALIAS = "llmgate.promoted_alias"
"""On a version: which alias it got."""
PROMOTED_OVER = "llmgate.promoted_over"
"""On a version: the version that held the alias before, `none` for the first."""
BINDING = "llmgate.binding"
"""On a run and a version: `weights` or `claimed`, what ties the run that was judged to the version."""
VERDICTS = "llmgate.verdicts"
"""On a version, with the registry's id of a run behind a slash: that run's verdict and when it ended."""
EARNED = "llmgate.earned"
"""On a version, with an alias behind a slash: the registry's id of the run that keeps the evidence which earned the
alias, and the digest of that evidence. Gate runs leave it alone."""
KEPT_FROM = "llmgate.kept_from"
"""On a run that keeps evidence: the registry's id of the gate run that it was copied from."""
POLICY_CHANGE = "llmgate.policy_change"
"""On a version: why a policy that asks for less than the champion's was accepted, and what it asks less for."""
GATE = "llmgate.gate"
"""On a version: how far the gate run is that a webhook started, and since when; written by `llmgate webhook`."""
REFRESHED = "llmgate.refreshed"
"""On a version, with an alias behind a slash: the registry's id of the run in which it was asked again after its
promotion, the digest of that record, and when it was sealed."""
REFRESHES = "llmgate.refreshes"
"""On such a run: the version that was asked again, `models:/NAME/VERSION`. It is no verdict on it."""
OVERRIDE = "llmgate.override"
"""On a version that a person promoted although no verdict did: who, and why."""
ROLLBACK = "llmgate.rollback"
"""On both versions of a rollback, with the alias behind a slash: when, from which version to which, and why."""
ATTEMPT_KEY = "llmgate.attempt_key"
"""On a run: what it is an attempt at; runs with the same are attempts of one candidate at one gate."""
ATTEMPT_ID = "llmgate.attempt_id"
"""On a run: which attempt. Written once the files that tell of it are there."""
ATTEMPT = "llmgate.attempt"
"""On a run and a version: which attempt it was, counted from 1."""
ATTEMPTS = "llmgate.attempts"
"""On a version, with the registry's id of a run behind a slash: that run's attempt, its key and its id."""
