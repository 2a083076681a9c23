"""Records → decision. Imports nothing that talks to a model, so it is quick and runs anywhere."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError, UsageError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.details import recorded
from llmgate.record.disk import read_regular, write_atomic
from llmgate.record.judges.admission_file import load_admission
from llmgate.record.label_file import read_labels
from llmgate.record.policy import OnInconclusive
from llmgate.record.run.loading import load_record
from llmgate.session.attempts.counting import AttemptSources, counted_with
from llmgate.session.attempts.own import as_problem
from llmgate.session.attempts.place import attempts_of
from llmgate.session.clock import today
from llmgate.session.decide.opened import OpenedRecords

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.decision.round_types import RoundDecision
    from llmgate.gate.decision.types import Decision
    from llmgate.record.manifest import Manifest
    from llmgate.record.policy import MetricPolicy, Policy
    from llmgate.record.schema import Record
    from llmgate.record.serving.policy import ServingPolicy
    from llmgate.session.settings.typed import Settings

__all__ = [
    "Baseline",
    "champion_folder",
    "chosen_policy",
    "compared_with",
    "decide_folders",
    "decide_run",
    "note_baseline",
    "noted_baseline",
    "resolve_baseline",
]

BASELINE_NAME: Final = "baseline.json"

BY_NOTE: Final = AttemptSources()

ALIAS_URI: Final = re.compile(r"^models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The champion's record.

    Attributes:
        folder: Where it is.
        uri: The registered version it belongs to, where there is one.
    """

    folder: str
    uri: str | None = None


def resolve_baseline(settings: Settings, out: Path) -> Baseline | None:
    """Find the champion's record and check that it can be read, before anything expensive starts.

    One that is made together with the run's need not be there yet.

    Args:
        settings: `baseline` is a folder or `models:/NAME@ALIAS`.
        out: The run's folder; a downloaded record goes beside it.

    Raises:
        UsageError: If the baseline is neither.
        RecordError: If the record cannot be used.
        CannotRunError: If the registry has no such baseline.
    """
    if settings.champion_adapter is not None:
        return Baseline(folder=str(champion_folder(out)))
    if settings.baseline is None:
        return None
    match = ALIAS_URI.match(settings.baseline)
    if match:
        # The registry client is an extra: only who names a registry pays for it.
        from llmgate.promote.registries import find_baseline  # noqa: PLC0415

        champion = find_baseline(
            match["name"],
            match["alias"],
            into=out.with_name(f"{out.name}-baseline"),
            tracking_uri=settings.mlflow_uri,
        )
        baseline = Baseline(folder=str(champion.folder), uri=champion.version.uri)
    elif settings.baseline.startswith("models:"):
        raise UsageError(f"{settings.baseline!r} names no alias", where="--baseline", fix="Write models:/NAME@champion")
    else:
        baseline = Baseline(folder=settings.baseline)
    load_record(Path(baseline.folder))
    return baseline


def champion_folder(out: Path) -> Path:
    """Where the champion's record goes that is made together with a run's."""
    return out.with_name(f"{out.name}-champion")


def note_baseline(out: Path, baseline: Baseline | None) -> None:
    """Write down beside a record what it will be compared with, for other processes and for later reports."""
    write_atomic(out / BASELINE_NAME, json.dumps(asdict(baseline) if baseline else None).encode())


def noted_baseline(out: Path) -> Baseline | None:
    """Read what `note_baseline` wrote.

    Raises:
        RecordError: If it cannot be read.
    """
    path = out / BASELINE_NAME
    try:
        noted = json.loads(read_regular(path))
        return Baseline(folder=str(noted["folder"]), uri=noted["uri"]) if noted is not None else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordError(
            f"the note of the baseline cannot be read ({error})", where=str(path), fix="Name the baseline again"
        ) from error


def compared_with(out: Path) -> str | None:
    """Folder of the champion's record by the note beside a run, None without one.

    Raises:
        RecordError: If there is a note that cannot be read.
    """
    noted = noted_baseline(out) if (out / BASELINE_NAME).exists() else None
    return noted.folder if noted is not None else None


def decide_run(
    out: Path, baseline: Baseline | None, settings: Settings, records: OpenedRecords | None = None
) -> Decision:
    """Decide on a sealed run as its options ask for.

    Raises:
        RecordError, NotComparableError, UndefinedError: See `decide_records`.
    """
    records = records or OpenedRecords()
    champion = Path(baseline.folder) if baseline else None
    if settings.as_baseline and lacks_comparison(out, records):
        # It cannot pass, so it is no attempt.
        record = records.of(out)
        decision = decide_records(
            record, None, loosened(record.manifest.policy, settings.allow_inconclusive), today=today()
        )
        return recorded(decision)
    decision = decide_folders(
        out,
        champion,
        allow_inconclusive=settings.allow_inconclusive,
        records=records,
        attempts=attempts_of(settings),
    )
    return recorded(decision) if settings.as_baseline else decision


def lacks_comparison(out: Path, records: OpenedRecords) -> bool:
    """Whether a gate of a run has no threshold, so that without a champion nothing can make it pass."""
    policy = records.of(out).manifest.policy
    gates: list[MetricPolicy | ServingPolicy] = [*policy.metrics, *policy.serving]
    return any(gate.gates and gate.min is None and gate.max is None for gate in gates)


def decide_folders(
    candidate: Path,
    champion: Path | None,
    *,
    policy: Path | None = None,
    allow_inconclusive: bool = False,
    noise: Path | None = None,
    labels: Sequence[Path] = (),
    admissions: Sequence[Path] = (),
    records: OpenedRecords | None = None,
    attempts: AttemptSources = BY_NOTE,
    in_round: RoundDecision | None = None,
) -> Decision:
    """Take the decision from what is on disk.

    Args:
        candidate: Folder of the candidate's record.
        champion: Folder of the champion's record, None to judge by absolute thresholds.
        policy: A policy file; without one the policy in the candidate's manifest holds.
        allow_inconclusive: Exit with 0 on INCONCLUSIVE.
        noise: Folder of a second run of the champion, see `decide_records`.
        labels: Files of `llmgate labels sample`, filled in.
        admissions: Records of judges that were admitted after the run, beside those that the run named.
        records: What was read of them already, and is to be kept for the report.
        attempts: Where the attempts before it are looked up, and this one is entered; by default what stands beside
            the record is believed, and nothing is entered.
        in_round: The place at which the candidate was decided in its round, to decide it there again; None for the one
            that the decision beside the record has, if there is one.

    Raises:
        UsageError: If there is a second run of a champion, but no champion.
        RecordError: If a record is unfinished, damaged or missing, or labels are not usable.
        NotComparableError: If the two records may not be compared.
        PolicyError: If the policy file is wrong.
    """
    records = records or OpenedRecords()
    record = with_admissions(records.of(candidate), admissions)
    chosen = loosened(chosen_policy(record.manifest, policy), allow_inconclusive)
    if noise is not None and champion is None:
        raise UsageError(
            "a second run of the champion was given, but no champion", where=str(noise), fix="Name the champion's run"
        )
    sheets = [read_labels(path) for path in labels]
    other = records.of(champion) if champion else None
    if record.manifest.round and other is not None:
        # Few runs are one of several candidates.
        from llmgate.gate.rounds.member import decide_member  # noqa: PLC0415
        from llmgate.session.decide.noted_round import noted_place  # noqa: PLC0415

        place = noted_place(candidate) if in_round is None else in_round
        if place is not None:
            refuse_besides(labels, noise)
            # It was entered into the ledger when it was run, which stands beside it.
            with counted_with(candidate, record, other, chosen, BY_NOTE) as counted:
                return decide_member(
                    record, other, chosen, place, today=today(), earlier=counted.earlier, problems=counted.problems
                )
    again = load_record(noise) if noise else None
    decide = partial(decide_records, record, other, chosen, today=today(), labels=sheets, noise=again)
    with counted_with(candidate, record, other, chosen, attempts) as attempt:
        decision = decide(earlier=attempt.earlier, problems=attempt.problems)
        try:
            attempt.enter(decision)
        except RecordError as error:
            # A verdict that is counted nowhere is no PASS.
            decision = decide(earlier=attempt.earlier, problems=(*attempt.problems, as_problem(error)))
    return decision


def loosened(policy: Policy, allow_inconclusive: bool) -> Policy:
    """The policy, with what the caller lets through."""
    return replace(policy, inconclusive=OnInconclusive.ALLOW) if allow_inconclusive else policy


def refuse_besides(labels: Sequence[Path], noise: Path | None) -> None:
    """Refuse what one candidate of a round would have and the others not.

    Raises:
        UsageError: If there is something.
    """
    if labels or noise is not None:
        raise UsageError(
            "the run was decided with others in a round, which knew of no labels and no noise run",
            where="--labels" if labels else "--noise",
            fix="Leave it out, or decide on a run that is not of a round",
        )


def with_admissions(record: Record, paths: Sequence[Path]) -> Record:
    """The record with further admission records: a judge may be tried after the run that it scored."""
    further = tuple(load_admission(path) for path in paths)
    return replace(record, manifest=replace(record.manifest, admissions=(*record.manifest.admissions, *further)))


def chosen_policy(manifest: Manifest, path: Path | None) -> Policy:
    """The policy of the run, with what a file overrides."""
    if path is None:
        return manifest.policy
    # YAML is read only where a policy file is named.
    from llmgate.suite.form.policy import override_policy  # noqa: PLC0415

    return override_policy(manifest.policy, str(path))
