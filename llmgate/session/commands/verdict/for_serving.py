"""The verdict that lets weights be served: signed by whom we believe, a PASS, and about what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.attest.check import open_verdict
from llmgate.attest.envelope import read_envelope
from llmgate.attest.keys import public_key
from llmgate.attest.policy import KeyRole, RegistryPolicy, TrustedKey, load_policy
from llmgate.attest.statement import read_statement
from llmgate.attest.tags import MAX_ENVELOPE, attestation_alias
from llmgate.errors import AttestationError, CannotRunError, RecordError, UsageError
from llmgate.record.disk import read_regular

if TYPE_CHECKING:
    from llmgate.attest.check import Signed
    from llmgate.promote.target import VersionFacts

__all__ = ["VerifyQuestion", "accepted", "newest", "read_verdict", "trusted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyQuestion:
    """What is to be verified, and whom to believe.

    Attributes:
        what: A model folder or another place of one, `models:/NAME/VERSION`, `models:/NAME@alias`, or the URL of a vLLM
            server.
        verdict: File with the signed verdict; None takes it from the version's tags.
        policy: The registry's policy file, whose keys count.
        key: One public key that counts, instead of a policy.
        model: The registered model that the verdict has to be about, None for whichever.
        alias: The alias that it has to be for, None for whichever (of a version: `champion`).
        manifest: File with the manifest; None for `weights.json` beside the verdict, where there is one.
        weights: The folder that the server at `what` has loaded.
        adapter: The place of the adapter that the verdict is about; `what` is its base then.
        max_age: How old the verdict may be, None for any age.
        allow_override: Whether a person's override counts like a PASS.
        mlflow_uri: Tracking server or store, None for MLFLOW_TRACKING_URI.
        trust_cache: Whether digests of earlier runs count.
    """

    what: str
    verdict: Path | None = None
    policy: Path | None = None
    key: Path | None = None
    model: str | None = None
    alias: str | None = None
    manifest: Path | None = None
    weights: Path | None = None
    adapter: str | None = None
    max_age: timedelta | None = None
    allow_override: bool = False
    mlflow_uri: str | None = None
    trust_cache: bool = False


def trusted(question: VerifyQuestion) -> RegistryPolicy:
    """Whose signatures count.

    Raises:
        UsageError: If nobody or too many are named, or they cannot be read.
    """
    if (question.policy is None) == (question.key is None):
        raise UsageError(
            "say whose signature counts: a verdict that anybody may have signed proves nothing",
            fix="Give either --policy FILE or --key PUBLIC.pem",
        )
    if question.policy is not None:
        return load_policy(question.policy)
    path = question.key or Path()
    try:
        text = read_regular(path, limit=MAX_ENVELOPE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the public key cannot be read", where=str(path), fix="Check --key") from error
    key = TrustedKey(name=path.name, key=public_key(text, where=str(path)), roles=frozenset(KeyRole))
    return RegistryPolicy(registry="", ledger=None, keys=(key,), rules=(), where=str(path))


def read_verdict(question: VerifyQuestion) -> str:
    """The text of the verdict's file.

    Raises:
        UsageError: If none is named.
        RecordError: If it cannot be read.
    """
    if question.verdict is None:
        raise UsageError("no verdict is named", fix="Give --verdict FILE, the signed verdict of the gate run")
    try:
        return read_regular(question.verdict, limit=2 * MAX_ENVELOPE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError("the verdict cannot be read", where=str(question.verdict), fix="Check --verdict") from error


def accepted(text: str, question: VerifyQuestion, policy: RegistryPolicy, now: datetime) -> Signed:
    """The verdict, if it is signed by whom we believe, and lets weights be served.

    Raises:
        AttestationError: With why not.
    """
    envelope = read_envelope(text)
    # Only to know for which model a key has to count; `open_verdict` verifies the same bytes.
    model = read_statement(envelope.payload, envelope.digest).registry.model
    signed = open_verdict(text, policy=policy, model=model, now=now)
    verdict = signed.verdict
    for what, wanted, told in (
        ("model", question.model, verdict.registry.model),
        ("alias", question.alias, verdict.registry.alias),
        ("registry", policy.registry or None, verdict.registry.id),
    ):
        if wanted is not None and told != wanted:
            raise AttestationError(f"the verdict is for the {what} {told!r} and not for {wanted!r}")
    if verdict.kind == "override":
        if not question.allow_override:
            raise AttestationError(
                f"no gate let these weights pass: {verdict.by} overrode it ({verdict.reason})",
                fix="give --allow-override if a person's word will do here",
            )
    elif verdict.outcome != "PASS":
        raise AttestationError(f"the verdict is {verdict.outcome}", fix="serve a version that passed")
    else:
        by_rule(signed, policy)
    if question.max_age is not None and now - verdict.issued_at > question.max_age:
        raise AttestationError(
            f"the verdict of {verdict.issued_at:%Y-%m-%d %H:%M} UTC is older than --max-age", fix="run the gate again"
        )
    if verdict.weights is None:
        raise CannotRunError(
            "the verdict is about answers of an endpoint and names no weights, so none can be held against it",
            fix="Run the gate on the model folder: --model",
        )
    return signed


def by_rule(signed: Signed, policy: RegistryPolicy) -> None:
    """What the registry's policy asks of a PASS, its age apart.

    Raises:
        AttestationError: If it asks for more.
    """
    verdict = signed.verdict
    rule = policy.rule_for(verdict.registry.model)
    if rule is None:
        return
    if missing := rule.missing(verdict.suites):
        raise AttestationError(f"the verdict lacks the suite {', '.join(missing)}, which the policy requires")
    role = KeyRole.BOOTSTRAP if verdict.champion is None else KeyRole.GATE
    if not signed.signed_as(role):
        compared = "nobody" if verdict.champion is None else f"version {verdict.champion.version}"
        raise AttestationError(f"the verdict was compared with {compared}, and no key of the role {role} signed it")


def newest(
    version: VersionFacts, alias: str, question: VerifyQuestion, policy: RegistryPolicy, now: datetime
) -> Signed:
    """The last verdict that a version carries for an alias; a FAIL after a PASS is the last word.

    Raises:
        CannotRunError: If it carries none.
        AttestationError: If none of them is signed by whom we believe, or the last one lets nothing pass.
    """
    texts = [text for key, text in version.tags.items() if attestation_alias(key) == alias]
    if not texts:
        raise CannotRunError(
            f"the version carries no verdict for the alias {alias!r}",
            where=version.uri,
            fix="Run the gate on it, name another alias with --alias, or the file with --verdict",
        )
    found: list[tuple[datetime, str]] = []
    problems: list[AttestationError] = []
    for text in texts:
        try:
            given = open_verdict(text, policy=policy, model=version.name, now=now).verdict.issued_at
        except AttestationError as error:
            problems.append(error)
        else:
            found.append((given, text))
    if not found:
        raise problems[0]
    return accepted(max(found)[1], question, policy, now)
