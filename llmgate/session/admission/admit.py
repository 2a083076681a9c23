"""Labels → admission record: the judge is asked, or its recorded verdicts are read, and the figures decide."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

import llmgate
from llmgate.errors import EndpointError, UndefinedError, UsageError
from llmgate.gate.judges.admission import at_least_default, refusals
from llmgate.gate.judges.agreement import measure_judge
from llmgate.generate.base_url import normalise_url
from llmgate.record.judges.admission import DEFAULT_THRESHOLDS, AdmissionRecord, Instrument
from llmgate.record.judges.admission_file import save_admission, sealed
from llmgate.record.judges.verdicts import Trial, VerdictLog, read_verdicts
from llmgate.record.manifest import ModelIdentity
from llmgate.report.visible import one_line
from llmgate.score.assertion.definition import Need
from llmgate.score.assertion.models import JudgeSampling, Models
from llmgate.score.vocabulary import VOCABULARY, Checks
from llmgate.session.admission.trial import REPEATS, Questions, ask_all, evidence_of
from llmgate.session.clock import timestamp
from llmgate.session.reach.known_secrets import redactor
from llmgate.session.reach.sources import localised
from llmgate.session.reach.target import JudgePlace, judge_identity, judge_place, open_judge
from llmgate.session.run.custom_checks import beside_suites
from llmgate.session.run.measure import asker, embedder
from llmgate.session.run.models import (
    JUDGE_RETRIES,
    JudgeTraffic,
    alive,
    embed_place,
    identify_named,
    named_judge,
    open_client,
    probe_embedding,
)
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.judge_digest import PAIRED, assert_digest, criterion_of
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.generate.chat import Chat
    from llmgate.generate.client import Endpoint
    from llmgate.record.judges.verdicts import Verdicts
    from llmgate.record.manifest import JudgeIdentity
    from llmgate.score.labels import LabelFile
    from llmgate.session.progress import Progress
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["Asked", "admit_judge", "admit_recorded", "asked_in"]

VERDICTS_SUFFIX: Final = ".verdicts.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a judge is asked, and how.

    Attributes:
        spec: The judged assert.
        vocabulary: The assert types that exist.
        sampling: How replies are sampled; as in a run of the suite, or the admission would be of another judge.
        margin: Of the metric that it is to score, None where nobody said.
    """

    spec: AssertSpec
    vocabulary: Checks
    sampling: JudgeSampling
    margin: float | None = None


def asked_in(
    suite: Path | None,
    *,
    metric: str | None,
    rubric: str | None,
    max_tokens: int,
    seed: int,
    labels: LabelFile,
    allowed: Sequence[str] = (),
    margin: float | None = None,
) -> Asked:
    """The assert that is tried: of a suite, or an `llm-rubric` (for pairs `prefer`) in a few words.

    Args:
        suite: A suite file.
        metric: Which of its metrics, where several are judged.
        rubric: The criterion, without a suite.
        max_tokens: Limit of a reply, without a suite.
        seed: Of the judge, without a suite.
        labels: Answers or pairs.
        allowed: Folders outside the project whose files the suite may name.
        margin: Of the metric; None for the suite's, or the default.

    Raises:
        UsageError: If it is not clear what is meant, or it does not fit the labels.
        SuiteError: If the suite cannot be used.
    """
    if suite is not None:
        if rubric is not None:
            raise UsageError("both --suite and --rubric are given", fix="Give one of them")
        vocabulary = beside_suites([suite])
        loaded = load_suite(suite, vocabulary, allowed=allowed)
        specs = [
            member
            for spec in loaded.asserts
            for member in (spec.asserts or (spec,))
            if vocabulary.is_judge(member.type)
        ]
        spec = chosen(specs, metric, str(suite))
        sampling = JudgeSampling(max_tokens=loaded.judge_max_tokens, seed=loaded.judge_seed)
        if margin is None and (gate := loaded.gates.parts.get(spec.metric)) is not None:
            margin = gate.margin
    else:
        vocabulary, sampling = VOCABULARY, JudgeSampling(max_tokens=max_tokens, seed=seed)
        if labels.pairs:
            config = {} if rubric is None else {"criterion": rubric}
            spec = AssertSpec(type="prefer", value="", config=config)
        elif rubric is None:
            raise UsageError("no criterion is named", fix="Give --suite FILE, or --rubric TEXT")
        else:
            spec = AssertSpec(type="llm-rubric", value=rubric)
    check_fits(spec, labels)
    if spec.type not in PAIRED:
        vocabulary.validate(spec, dict(labels.answers[0].variables))
    return Asked(spec=spec, vocabulary=vocabulary, sampling=sampling, margin=margin)


def chosen(specs: list[AssertSpec], metric: str | None, where: str) -> AssertSpec:
    """The one assert that is meant."""
    matching = [spec for spec in specs if metric is None or spec.metric == metric]
    if not matching:
        known = ", ".join(sorted({spec.metric for spec in specs})) or "none"
        raise UsageError("no judged assert is meant", where=where, fix=f"Judged metrics are: {known}")
    if len(matching) > 1:
        named = "; ".join(f"{spec.metric}: {spec.type} {one_line(criterion_of(spec), 60)!r}" for spec in matching)
        raise UsageError(
            f"{len(matching)} asserts ask a judge ({named})",
            where=where,
            fix="Choose one with --metric; each criterion is admitted on labels of its own",
        )
    return matching[0]


def check_fits(spec: AssertSpec, labels: LabelFile) -> None:
    """Refuse labels of answers for an assert that compares two, and the other way round."""
    paired = spec.type in PAIRED
    if paired and not labels.pairs:
        raise UsageError(
            f"{spec.type} compares two answers, and people labelled single ones",
            where=labels.name,
            fix="Write output_1 and output_2, and the better one as label",
        )
    if not paired and labels.pairs:
        raise UsageError(
            f"{spec.type} looks at one answer, and people labelled pairs",
            where=labels.name,
            fix="Write output, and true or false as label",
        )
    if paired and len(spec.judges) > 1:
        raise UsageError("a panel that compares answers cannot be admitted", fix="Name one judge in `judges:`")


def verdicts_path(out: Path) -> Path:
    """Where the judge's words go: beside the record."""
    return out.with_name(out.name.removesuffix(".json") + VERDICTS_SUFFIX)


def admit_judge(
    labels: LabelFile,
    asked: Asked,
    settings: Settings,
    *,
    out: Path,
    resume: bool = False,
    repeats: int = REPEATS,
    progress: Progress,
) -> AdmissionRecord:
    """Try a judge and write the record, whether it is admitted or not.

    Args:
        labels: What people said.
        asked: What is tried.
        settings: Name the judge.
        out: The record's file; the verdicts go beside it.
        resume: Go on with a trial that was interrupted.
        repeats: Questions that are asked once more.
        progress: Told about it.

    Raises:
        UsageError: If no judge is named.
        EndpointError: If the judge cannot be reached.
        RecordError: If the files cannot be written.
    """
    settings = localised(settings, progress)
    place = None if asked.spec.judges else judge_place(settings)
    if place is None and not asked.spec.judges:
        raise UsageError("no judge is named", fix="Give --judge-model DIR or --judge-endpoint URL")
    judges = identities(asked, settings, place)
    instrument = instrument_of(asked, judges)
    questions = Questions(labels=labels, spec=asked.spec, vocabulary=asked.vocabulary, repeats=repeats)
    trial = Trial(labels=labels.digest, instrument=instrument)
    out.parent.mkdir(parents=True, exist_ok=True)
    with VerdictLog(verdicts_path(out), trial, resume=resume, redact=redactor(settings)) as log:
        progress.stage(f"{len(questions.keys):,} questions about {len(questions.items):,} items of {labels.name}")
        if place is None:
            asyncio.run(try_judges(questions, asked, settings, log, target=None, progress=progress))
        else:
            with open_judge(
                settings, place, judges[0], log_path=out.with_name(f"{out.stem}.server.log"), progress=progress
            ) as target:
                asyncio.run(try_judges(questions, asked, settings, log, target=target, progress=progress))
        verdicts = dict(log.verdicts)
    return decided(questions, instrument, verdicts, out, margin=asked.margin)


def admit_recorded(labels: LabelFile, asked: Asked, recorded: Path, *, out: Path, repeats: int) -> AdmissionRecord:
    """The same from verdicts that were recorded, without a model.

    A record of verdicts that do not say whose they are shows figures, and admits no judge of any run.

    Raises:
        UsageError: If the verdicts are about other labels or another criterion.
        RecordError: If they cannot be read.
    """
    trial, verdicts = read_verdicts(recorded)
    if trial.labels and trial.labels != labels.digest:
        raise UsageError("the verdicts are about other labels", where=str(recorded), fix="Name the labels as they were")
    wanted = instrument_of(asked, trial.instrument.judges if trial.instrument else ())
    if trial.instrument and trial.instrument.assert_digest != wanted.assert_digest:
        raise UsageError(
            f"the verdicts are about {trial.instrument.type} {one_line(trial.instrument.criterion, 80)!r}",
            where=str(recorded),
            fix="Name that criterion with --suite or --rubric",
        )
    questions = Questions(labels=labels, spec=asked.spec, vocabulary=asked.vocabulary, repeats=repeats)
    return decided(questions, wanted, verdicts, out, margin=asked.margin)


def identities(asked: Asked, settings: Settings, place: JudgePlace | None) -> tuple[JudgeIdentity, ...]:
    """Who judges, in the order of the assert's names."""
    types = [asked.spec.type]
    if place is not None:
        return (judge_identity(settings, place, types, asked.sampling),)
    return tuple(identify_named(settings, name, types, asked.sampling) for name in asked.spec.judges)


def instrument_of(asked: Asked, judges: tuple[JudgeIdentity, ...]) -> Instrument:
    """What is tried, as the record names it."""
    return Instrument(
        type=asked.spec.type,
        criterion=criterion_of(asked.spec),
        assert_digest=assert_digest(asked.spec, asked.vocabulary.version(asked.spec.type)),
        judges=judges,
    )


async def try_judges(
    questions: Questions,
    asked: Asked,
    settings: Settings,
    log: VerdictLog,
    *,
    target: Target | None,
    progress: Progress,
) -> None:
    """Ask everything, of an owned server or of the endpoints that the assert names.

    Raises:
        EndpointError: If a judge stopped answering; what it said is kept.
    """
    async with AsyncExitStack() as stack:
        clients: list[Chat] = []
        judged_by = JudgeTraffic(settings, progress)

        async def opened(endpoint: Endpoint) -> Chat:
            death = alive if target is None else target.death
            traffic = judged_by if target is None or not target.server.owned else None
            clients.append(await open_client(endpoint, settings, stack, death=death, traffic=traffic))
            return clients[-1]

        if target is not None:
            judges = {"": asker(await opened(target.endpoint))}
        else:
            judges = {}
            for name, identity in zip(asked.spec.judges, identities(asked, settings, None), strict=True):
                endpoint = named_judge(settings, name)
                judges[name] = asker(await opened(replace(endpoint, model=identity.model)))
        embed = None
        if Need.EMBEDDINGS in asked.vocabulary.asks(asked.spec):
            if not settings.embed_endpoint:
                raise UsageError("the assert needs embeddings, and no model is named", fix="Give --embed-endpoint URL")
            url = normalise_url(settings.embed_endpoint)
            model = probe_embedding(settings, url).model
            place = embed_place(settings, ModelIdentity(name=model, source=url))
            embed = embedder(await open_client(place, settings, stack))
        models = Models(judges=judges, embed=embed, sampling=asked.sampling, retries=JUDGE_RETRIES)
        if asked.spec.type in PAIRED and asked.spec.judges:
            models = models.asking(asked.spec.judges[0])
        await ask_all(questions, models, log, progress=progress)
        for client in clients:
            if client.stopped is not None:
                fix = f"{client.stopped.fix}. What it said is kept: go on with --resume"
                raise EndpointError(client.stopped.what, where=client.stopped.where, fix=fix)
        if any(client.gave_up for client in clients):
            raise EndpointError(
                "the judge stopped accepting connections",
                where=clients[0].endpoint.url,
                fix="What it said is kept: bring it back, then add --resume",
            )


def decided(
    questions: Questions, instrument: Instrument, verdicts: Verdicts, out: Path, *, margin: float | None = None
) -> AdmissionRecord:
    """Measure, decide, and write the record."""
    thresholds = at_least_default(DEFAULT_THRESHOLDS)
    if margin is not None:
        thresholds = replace(thresholds, margin=margin)
    try:
        results = measure_judge(evidence_of(questions, verdicts), thresholds)
    except UndefinedError as error:
        raise UsageError(error.what, where=questions.labels.name, fix="Correct the verdicts") from error
    reasons = refusals(results, thresholds)
    planned = set(questions.keys)
    asked = [asdict(verdict) for key, verdict in sorted(verdicts.items()) if key in planned]
    record = AdmissionRecord(
        created_at=timestamp(),
        llmgate_version=llmgate.__version__,
        instrument=instrument,
        labels_name=questions.labels.name,
        labels_digest=questions.labels.digest,
        verdicts_digest=hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest(),
        thresholds=thresholds,
        results=results,
        admitted=not reasons,
        reasons=reasons,
    )
    save_admission(out, record)
    return sealed(record)
