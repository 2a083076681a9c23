"""What makes two runs attempts of one candidate at one gate. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from llmgate.record.policy import written_policy

if TYPE_CHECKING:
    from llmgate.record.judges.identity import JudgeIdentity
    from llmgate.record.manifest import Manifest
    from llmgate.record.policy import Policy

__all__ = ["KEY_VERSION", "attempt_key", "key_facts", "who_is"]

KEY_VERSION: Final = 1
LOOSE: Final = ("inconclusive", "waivers", "binding", "reserve")
"""Of a policy, what says how a verdict is used or explained and not what is tested: a change of it is no new gate."""


def attempt_key(candidate: Manifest, champion: Manifest | None, policy: Policy) -> str:
    """SHA-256 over `key_facts`, as hexadecimal."""
    facts = json.dumps(key_facts(candidate, champion, policy), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(facts.encode()).hexdigest()


def key_facts(candidate: Manifest, champion: Manifest | None, policy: Policy) -> dict[str, Any]:
    """What an attempt is an attempt at.

    The champion counts by who it is and not by what it answered: a champion that was asked again is pooled with its
    other answers, and is no way to begin anew.

    Args:
        candidate: Manifest of the candidate's run.
        champion: Manifest of the champion's, None without one.
        policy: By which is decided.
    """
    gate = {name: value for name, value in written_policy(policy).items() if name not in LOOSE}
    gate["metrics"] = [
        {name: value for name, value in metric.items() if name != "reason"} for metric in gate["metrics"]
    ]
    return {
        "version": KEY_VERSION,
        "suites": sorted([suite.name, suite.digest, suite.dataset_digest] for suite in candidate.suites),
        "gate": gate,
        "judges": sorted([name, *judge_facts(judge)] for name, judge in judges_of(candidate).items()),
        "candidate": who_is(candidate),
        "champion": None if champion is None else who_is(champion),
    }


def who_is(manifest: Manifest) -> dict[str, Any]:
    """Which model answered and how it was served: its weights, else the endpoint as far as that tells.

    What serves an endpoint may be exchanged behind its name; a label (`--deployment`) or a registered version says so.
    """
    model, server = manifest.model, manifest.server
    if model.weights_digest is not None:
        who: dict[str, Any] = {"weights": model.weights_digest}
    else:
        who = {
            "endpoint": (server.url or model.source).rstrip("/"),
            "name": model.name,
            "deployment": server.deployment,
            "version": model.registry_uri,
        }
    return who | {"engine": server.engine, "flags": list(server.flags)}


def judges_of(manifest: Manifest) -> dict[str, JudgeIdentity]:
    """Who judges, by the names of the suites."""
    return {**({} if manifest.judge is None else {"": manifest.judge}), **manifest.judges}


def judge_facts(judge: JudgeIdentity) -> list[Any]:
    """Who a judge is, wherever it runs."""
    sampling = json.dumps(dict(judge.sampling), sort_keys=True)
    return [judge.model, judge.prompt_digest, judge.weights_digest or "", sampling]
