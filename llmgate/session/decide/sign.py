"""A decision → a signed verdict about one version in one registry."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from llmgate.attest.envelope import envelope_text, sign_payload
from llmgate.attest.statement import VerdictStatement, bind, canonical, read_statement, svr_statement, written
from llmgate.errors import AttestationError
from llmgate.gate.decision.statement import statement
from llmgate.gate.decision.statement_size import fitted
from llmgate.gate.decision.types import Verdict
from llmgate.gate.metrics.policy_changes import weaker_than
from llmgate.gate.serving.arms_told import told_arms
from llmgate.gate.serving.summary import summarise, told
from llmgate.promote.succession import judged_by
from llmgate.record.disk import write_atomic
from llmgate.record.run.loading import load_record, record_digest
from llmgate.session.decide.github import SIGNED_NAMES
from llmgate.session.decide.origin import refuse_strangers
from llmgate.session.decide.promote import source_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from llmgate.attest.keys import Signer
    from llmgate.attest.statement import ChampionFacts, RegistryFacts
    from llmgate.gate.decision.types import Decision
    from llmgate.record.manifest import Manifest
    from llmgate.record.schema import Record

__all__ = [
    "DEFAULT_EXPIRES",
    "ENVELOPE_NAME",
    "SVR_NAME",
    "VERIFIER",
    "SignedRun",
    "sign_statement",
    "statement_of_run",
    "write_signed",
]

ENVELOPE_NAME, SVR_NAME = SIGNED_NAMES
VERIFIER: Final = "urn:llmgate"
"""Who vouches, in a verification result."""
DEFAULT_EXPIRES: Final = timedelta(days=30)
AGAIN: Final = "Run the gate again on this version"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRun:
    """What was signed.

    Attributes:
        envelope: The verdict's envelope, as JSON on one line.
        svr: A Simple Verification Result, None unless the verdict is PASS.
        verdict: What the envelope says.
    """

    envelope: str
    svr: str | None
    verdict: VerdictStatement


def sign_statement(payload: bytes, signer: Signer) -> SignedRun:
    """Sign what a run showed about a version. FAIL and INCONCLUSIVE are signed too: they outdate an older PASS.

    Args:
        payload: What `statement_of_run` gave.
        signer: Who signs.

    Raises:
        AttestationError: If the signer does not sign.
    """
    envelope = sign_payload(payload, signer)
    verdict = read_statement(envelope.payload, envelope.digest)
    svr = None
    if verdict.outcome == Verdict.PASS:
        svr = envelope_text(sign_payload(canonical(svr_statement(verdict, verifier=VERIFIER)), signer))
    return SignedRun(envelope=envelope_text(envelope), svr=svr, verdict=verdict)


def statement_of_run(
    out: Path,
    decision: Decision,
    *,
    baseline: Path | None,
    registry: RegistryFacts,
    champion: ChampionFacts | None,
    now: datetime,
    attempts: int = 1,
    expires: timedelta = DEFAULT_EXPIRES,
    tagged: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> bytes:
    """The bytes that are to be signed about a run, once everything was checked that can be from here.

    Args:
        out: Folder of the candidate's record.
        decision: Taken just now from the records, never one that was stored.
        baseline: Folder of the champion's record, None if nothing was compared.
        registry: The version, as the registry tells of it, and the alias that it asks for.
        champion: Who holds the alias now: version, creation time and verdict; weights and journal where its own
            verdict names them. They are held against the baseline. None if nobody does. Without a baseline nothing
            was compared, and the verdict names no champion.
        now: Aware time.
        attempts: Which attempt at this version it is, counted from 1.
        expires: After how long it promotes nothing.
        tagged: Digest of the weights that the registry's tags claim, None without one.
        environ: The environment of the job, which says where the code comes from.

    Raises:
        AttestationError: If a fork's code may be running, the record is not about this version or the champion, or
            a PASS proves nothing.
        RecordError: If a record cannot be read.
    """
    refuse_strangers(environ)
    record = load_record(out)
    against = load_record(baseline) if baseline is not None else None
    refuse_other_records(decision, record, against)
    refuse_other_version(record.manifest, registry, tagged=tagged)
    compared = None
    if champion is not None and against is not None:
        compared = compared_with(champion, against, registry)
    if decision.verdict is Verdict.PASS:
        refuse_empty_pass(decision, record, against)
    made = statement(
        decision,
        candidate=record.manifest,
        champion=against.manifest if against is not None else None,
        issued_at=written(now),
        serving=[told(summarise(trace)) for trace in record.serving],
        arms=told_arms(record.arms, record.manifest.policy),
    )
    predicate: Any = made["predicate"]
    # The registry cannot judge policies; whoever reads the verdict should know.
    predicate["weakerPolicy"] = list(weaker_than(against.manifest, record.manifest)) if against is not None else []
    bound = bind(
        made,
        registry=registry,
        champion=compared,
        records={
            "candidate": record_digest(out),
            "baseline": record_digest(baseline) if baseline is not None else None,
            "decision": predicate["decision"],
        },
        attempts=attempts,
        issued_at=now,
        expires_at=now + expires,
    )
    return canonical(fitted(bound))


def write_signed(out: Path, signed: SignedRun) -> tuple[Path, ...]:
    """Write the envelopes beside the record; a verification result of an earlier verdict goes.

    Raises:
        RecordError: If they cannot be written.
    """
    written_files = [out / ENVELOPE_NAME]
    write_atomic(out / ENVELOPE_NAME, f"{signed.envelope}\n".encode())
    if signed.svr is None:
        (out / SVR_NAME).unlink(missing_ok=True)
    else:
        write_atomic(out / SVR_NAME, f"{signed.svr}\n".encode())
        written_files.append(out / SVR_NAME)
    return tuple(written_files)


def refuse_other_records(decision: Decision, record: Record, against: Record | None) -> None:
    """The decision was taken on exactly these records."""
    sides = (
        ("candidate", decision.candidate_digest, record),
        ("baseline", decision.champion_digest, against),
    )
    for name, digest, side in sides:
        found = side.seal.journal_digest if side is not None and side.seal is not None else None
        if digest != found:
            raise AttestationError(
                f"the decision was not taken on this {name}'s record",
                where=side.path if side is not None else name,
                fix="Name the records that were compared",
            )


def refuse_other_version(manifest: Manifest, registry: RegistryFacts, *, tagged: str | None) -> None:
    """The record was measured on the version that it is signed for, as `llmgate promote` has it."""
    model, uri = manifest.model, f"models:/{registry.model}/{registry.version}"
    if model.registry_uri not in {None, uri}:
        raise AttestationError(f"the run judged {model.registry_uri} and not {uri}", fix=AGAIN)
    if model.weights_digest is None:
        if manifest.server.owned:
            raise AttestationError("the record does not say which weights were served", fix=AGAIN)
        return
    if not manifest.server.owned:
        raise AttestationError("an endpoint answered, and the record claims to know its weights", fix=AGAIN)
    actual = source_digest(registry.source)
    if actual is not None and not model.held_by(actual):
        raise AttestationError(
            "the files there are not the weights that were measured", where=registry.source, fix=AGAIN
        )
    if tagged is not None and tagged != model.weights_digest:
        raise AttestationError(
            f"the digest on {uri} is not that of the weights that were measured", where=uri, fix=AGAIN
        )
    if model.registry_uri is None and actual is None and tagged is None:
        raise AttestationError(
            f"nothing ties the weights that were measured to {uri}",
            where=registry.source,
            fix="Run the gate with --registry-uri, or let it register the version with --mlflow-model",
        )


def compared_with(champion: ChampionFacts, against: Record, registry: RegistryFacts) -> ChampionFacts:
    """The champion with what the baseline's record says of it."""
    model, seal = against.manifest.model, against.seal
    uri = f"models:/{registry.model}/{champion.version}"
    again = f"Run the gate again with models:/{registry.model}@{registry.alias} as baseline"
    if model.registry_uri not in {None, uri}:
        raise AttestationError(
            f"the baseline is a run of {model.registry_uri}, and version {champion.version} holds the alias",
            where=against.path,
            fix=again,
        )
    weights = None not in {champion.weights, model.weights_digest}
    if weights and champion.weights != model.weights_digest:
        raise AttestationError(
            f"the baseline's weights are not those of version {champion.version}, which holds the alias",
            where=against.path,
            fix=again,
        )
    journal = seal.journal_digest if seal is not None else None
    if not weights and champion.journal is not None and champion.journal != journal:
        raise AttestationError(
            f"the baseline is not the record by which version {champion.version} holds the alias",
            where=against.path,
            fix=again,
        )
    return replace(champion, weights=champion.weights or model.weights_digest, journal=journal)


def refuse_empty_pass(decision: Decision, record: Record, against: Record | None) -> None:
    """A PASS that is signed proves something."""
    here = record.manifest
    if decision.barring:
        raise AttestationError("the decision is PASS although something could not be evaluated", fix=AGAIN)
    if not any(m.gates and not m.waived for m in decision.metrics):
        raise AttestationError(
            "no metric gates, so the PASS proves nothing", fix="Give the suite's policy a primary metric"
        )
    if not judged_by(decision, "threshold" if against is None else "champion"):
        raise AttestationError(
            "no metric was held to a threshold" if against is None else "no metric was compared with the baseline",
            fix="Set min: and run the gate again" if against is None else AGAIN,
        )
    if against is not None and same_place(here, against.manifest):
        raise AttestationError(
            f"candidate and baseline were both answered by {here.model.name!r} at {here.server.url}, so nothing shows "
            "that they are two models",
            fix="Serve this version under a name of its own, or name each with --deployment, and run the gate again",
        )
    for where, problem in here.policy.unexplained:
        raise AttestationError(
            f"{where}: {problem}", fix="Add `reason:` to the policy or tighten it, and run the gate again"
        )


def same_place(here: Manifest, there: Manifest) -> bool:
    """Whether both were answered by the same model at the same endpoint, for all that is known."""
    places = {(side.server.url.rstrip("/"), side.model.name, side.server.deployment) for side in (here, there)}
    return not (here.server.owned or there.server.owned) and len(places) == 1
