"""A gate run that was logged → a signed verdict on the version that it judged."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.attest.keys import COMMAND, KEY, Signer, load_signer
from llmgate.errors import AttestationError, CannotRunError, PromotionRefusedError, UsageError
from llmgate.promote import tags
from llmgate.promote.alias import alias_problem
from llmgate.promote.attached import attempts_so_far, champion_facts, keys_to_post, registry_facts
from llmgate.promote.target import parse_version_uri
from llmgate.session.decide.sign import sign_statement, statement_of_run, write_signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.attest.statement import ChampionFacts
    from llmgate.gate.decision.types import Decision
    from llmgate.promote.mirror import Mirror
    from llmgate.promote.target import Registry, VersionFacts
    from llmgate.session.decide.records import Baseline
    from llmgate.session.settings.typed import Settings

__all__ = ["REGISTRY_ID", "Posted", "Signing", "check_signing", "post_verdict", "signing_of", "why_not_signed"]

REGISTRY_ID: Final = "LLMGATE_REGISTRY_ID"
"""Environment variable: the registry that a signed verdict is for."""
DIGEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What a verdict is signed with.

    Attributes:
        signer: Who signs.
        registry: The registry's id.
        alias: The alias that it asks for.
    """

    signer: Signer = field(repr=False)
    registry: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A signed verdict that the registry has.

    Attributes:
        digest: Of the verdict.
        key: The version's tag that holds it.
        attempts: Which verdict on this version it is.
    """

    digest: str
    key: str
    attempts: int

    def __str__(self) -> str:
        """For a reader: enough of the digest to compare, and where it is."""
        attempt = f" (attempt {self.attempts})" if self.attempts > 1 else ""
        return f"verdict {self.digest[:DIGEST]} in the tag {self.key}{attempt}"


def signing_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> Signing | None:
    """What a verdict is signed with, None if no key or no registry is at hand.

    Raises:
        UsageError: If a key is named and cannot be used.
    """
    registry = settings.registry_id or environ.get(REGISTRY_ID)
    signer = load_signer(Path(settings.signing_key) if settings.signing_key else None, environ)
    if signer is None or not registry:
        return None
    return Signing(signer=signer, registry=registry, alias=settings.alias)


def check_signing(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse what could not be signed, before anything is asked.

    Raises:
        UsageError: If options for signing are given and something else that it needs is not, or cannot be used.
    """
    if problem := alias_problem(settings.alias):
        raise UsageError(problem, where="--alias", fix="Name the alias as the registry's policy does")
    given = [
        option
        for option, value in (("--signing-key", settings.signing_key), ("--registry-id", settings.registry_id))
        if value
    ]
    signing = signing_of(settings, environ) if given or settings.mlflow_uri else None
    if not given:
        return
    if not settings.mlflow_uri or not (settings.mlflow_model or settings.registry_uri):
        raise UsageError(
            "a verdict is signed for a registered version, and none is named",
            where=given[0],
            fix="Add --mlflow-uri, and --mlflow-model or --registry-uri",
        )
    if signing is None:
        raise UsageError(
            why_not_signed(settings, environ) or "the verdict cannot be signed",
            where=given[0],
            fix=f"Set {REGISTRY_ID} or --registry-id, and {KEY}, {COMMAND} or --signing-key",
        )


def why_not_signed(settings: Settings, environ: Mapping[str, str] = os.environ) -> str | None:
    """What is missing for a signature where something else of it is at hand; None if all or nothing is."""
    key = bool(settings.signing_key or environ.get(KEY) or environ.get(COMMAND))
    registry = bool(settings.registry_id or environ.get(REGISTRY_ID))
    if key == registry:
        return None
    return "no registry is named that the verdict is for" if key else "no signing key is at hand"


def post_verdict(
    registry: Registry,
    version: VersionFacts,
    run: str,
    out: Path,
    *,
    decision: Decision,
    baseline: Baseline | None,
    signing: Signing,
) -> Posted:
    """Sign the verdict for the version, keep it beside the record and with the run, and put it on the version.

    Args:
        registry: Where the version is.
        version: The version that was judged, read after the run was logged.
        run: The registry's id of that run.
        out: Folder of the record.
        decision: Taken from it.
        baseline: What it was compared with.
        signing: Who signs, and for what.

    Raises:
        CannotRunError: If it cannot be signed, or the registry does not take it.
    """
    alias = signing.alias
    mirror = registry.mirror(version.name, alias)
    champion = compared_champion(registry, version, baseline, alias, mirror)
    past = tuple(one for one in registry.verdicts(version) if one.run != run)
    attempts = attempts_so_far(version, alias, mirror, past) + 1
    try:
        payload = statement_of_run(
            out,
            decision,
            baseline=Path(baseline.folder) if baseline is not None else None,
            registry=registry_facts(version, alias, signing.registry),
            champion=champion,
            now=datetime.now(UTC),
            attempts=attempts,
            tagged=version.tags.get(tags.WEIGHTS_DIGEST),
        )
        signed = sign_statement(payload, signing.signer)
    except AttestationError as error:
        raise CannotRunError(f"the verdict was not signed: {error.what}", where=error.where, fix=error.fix) from error
    registry.log_files(run, write_signed(out, signed))
    refusal: PromotionRefusedError | None = None
    for key in keys_to_post(version, alias, mirror):
        try:
            registry.post_verdict(version, key, signed.envelope)
        except PromotionRefusedError as error:
            refusal = error
        else:
            return Posted(digest=signed.verdict.digest, key=key, attempts=attempts)
    raise CannotRunError(
        f"the signed verdict is not on the version: {refusal.what if refusal else 'no tag is free'}",
        where=version.uri,
        fix=refusal.fix if refusal else None,
    ) from refusal


def compared_champion(
    registry: Registry, version: VersionFacts, baseline: Baseline | None, alias: str, mirror: Mirror | None
) -> ChampionFacts | None:
    """Whom the candidate was compared with: who holds the alias, or who held it when the run began.

    An alias that moved meanwhile makes the verdict stale, which the registry says when it is to promote.

    Raises:
        CannotRunError: If somebody holds the alias and nothing ties the baseline to that version.
    """
    holder = registry.holder(version.name, alias)
    named = parse_version_uri(baseline.uri) if baseline is not None and baseline.uri is not None else None
    if named is not None and named[0] == version.name and (holder is None or named[1] != holder.version):
        holder = registry.version(*named)
    if holder is None:
        return None
    gated = registry.gated(version.name) if mirror is None else True
    facts = champion_facts(holder, alias, mirror, gated=gated)
    tied = named == (version.name, holder.version) or facts.weights is not None or facts.journal is not None
    if baseline is not None and not tied:
        raise CannotRunError(
            f"the verdict was not signed: nothing ties the baseline to version {holder.version}, which holds the alias",
            where=baseline.folder,
            fix=f"Run the gate again with --baseline models:/{version.name}@{alias}",
        )
    return facts
