"""Champion and candidate asked by one command: a record each, the candidate's noting whom it was asked beside.

- Two adapters, or two names on one host: by turns, never in flight together. So no answer of the one can be computed
  with the weights of the other in one batch, whatever the server does.
- A champion at an endpoint elsewhere: at the same time as the candidate.
- A champion that we start a server for: before the candidate, as both may not fit on the machine.

Where a suite may stop early the champion is asked whole, first: its looks compare with a sealed record.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmgate.errors import RecordError
from llmgate.record.run.files import SEAL
from llmgate.record.run.loading import load_record
from llmgate.record.run.watch import RunLock
from llmgate.report.visible import one_line
from llmgate.session.decide.records import Baseline, champion_folder, note_baseline
from llmgate.session.reach.adapters import beside_it
from llmgate.session.reach.known_secrets import redactor
from llmgate.session.reach.sources import localised
from llmgate.session.reach.target import open_target
from llmgate.session.run.execute import (
    asking,
    check_folder,
    finish,
    judge_runs,
    nothing_left_behind,
    waits_for_judge,
)
from llmgate.session.run.together import Together
from llmgate.session.run.turns import Turns, turn_size

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator  # noqa: TC004 - nothing reads the annotations of `Arms`
    from contextlib import AbstractContextManager  # noqa: TC004 - likewise
    from pathlib import Path

    from llmgate.record.manifest import ModelIdentity  # noqa: TC004 - likewise
    from llmgate.record.schema import Record
    from llmgate.session.progress import Progress
    from llmgate.session.run.execute import AskedRun
    from llmgate.session.run.fresh_champion import ChampionChoice
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings  # noqa: TC004 - likewise
    from llmgate.session.target import Target  # noqa: TC004 - likewise

__all__ = ["execute_both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """How both are reached.

    Attributes:
        settings: The champion's.
        champion: Which model it is, where that is known before it is opened.
        open_champion: Reaches it.
        open_candidate: Reaches the candidate.
        up: Whether the champion stays up while the candidate is asked.
        one_host: Whether one host serves both.
    """

    settings: Settings
    champion: ModelIdentity | None
    open_champion: Callable[[], AbstractContextManager[Target]]
    open_candidate: Callable[[], AbstractContextManager[Target]]
    up: bool
    one_host: bool


def execute_both(
    settings: Settings,
    plan: Callable[[], Plan],
    *,
    out: Path,
    progress: Progress,
    choice: ChampionChoice,
    baseline: Baseline | None = None,
) -> Record:
    """Ask the champion and the candidate, and seal both records.

    A champion's record that an earlier attempt sealed is taken as it is, with `resume`.

    Args:
        settings: Name the candidate.
        plan: What is asked of both.
        out: Folder of the candidate's record; the champion's lies beside it.
        progress: Told about every stage.
        choice: Where the champion is.
        baseline: Its stored run, None where none is known.

    Returns:
        The candidate's record. Its baseline is noted beside it.

    Raises:
        RecordError: If the champion's folder holds another run.
        LlmgateError: As `execute`.
    """
    settings = localised(settings, progress)
    beside = champion_folder(out)
    complete = settings.resume and SEAL.exists(beside)
    with ExitStack() as runs:
        runs.enter_context(nothing_left_behind(beside))
        if not complete:
            check_folder(replace(settings, out=str(beside)), beside)
        planned = plan()
        runs.enter_context(RunLock(beside, redact=redactor(settings)))
        server = runs.enter_context(ExitStack())
        arms = _arms(settings, choice, server, out=out, progress=progress)
        asked: list[AskedRun] = []
        first: AskedRun | None = None
        put_off: list[Callable[[], Coroutine[None, None, None]]] = []
        turns = Turns(turn_size(sum(case.planned.repeats for case in planned.cases), settings.fixed_concurrency))
        at_once = arms.up and not planned.looks and not complete
        if complete:
            run_id = _complete(beside, arms.champion, progress)
        else:
            note_baseline(beside, None)
            first = runs.enter_context(
                asking(
                    arms.settings,
                    # Who is compared with has to have answered everything.
                    lambda: replace(planned, looks=()),
                    out=beside,
                    progress=progress,
                    opened=arms.open_champion,
                    together=Together(
                        put_off=put_off if at_once else None,
                        through=turns.through(0) if arms.one_host and at_once else None,
                    ),
                )
            )
            run_id = first.run.manifest.run_id
            if at_once or waits_for_judge(first.run):
                asked.append(first)
            else:
                finish(first, progress=progress)
        note_baseline(out, Baseline(folder=str(beside), uri=baseline.uri if baseline else None))
        last = runs.enter_context(
            asking(
                settings,
                lambda: planned,
                out=out,
                progress=progress,
                opened=arms.open_candidate,
                together=Together(
                    beside=run_id,
                    besides=put_off,
                    through=turns.through(1) if arms.one_host and at_once else None,
                ),
            )
        )
        asked.append(last)
        judge_runs(asked, progress=progress)
        for each in asked:
            finish(each, progress=progress)
    return load_record(out)


def _arms(settings: Settings, choice: ChampionChoice, server: ExitStack, *, out: Path, progress: Progress) -> Arms:
    """How both are reached; a server that serves both is started here."""
    beside = champion_folder(out)
    shared = replace(
        settings,
        out=str(beside),
        registry_uri=None,
        registry_id=None,
        champion_adapter=None,
        baseline=None,
        as_baseline=True,
        cache=None,
        replicas=(),
    )

    def candidate() -> AbstractContextManager[Target]:
        return open_target(settings, log_path=out / "server.log", progress=progress)

    place = choice.place
    if place is None:
        name = choice.adapter or ""
        target = server.enter_context(open_target(settings, log_path=out / "server.log", progress=progress))
        champion = beside_it(target, target.beside[name])
        return Arms(
            settings=replace(shared, served_name=name),
            champion=champion.model,
            open_champion=lambda: staying(champion),
            open_candidate=lambda: ending(target, server),
            up=True,
            one_host=True,
        )
    if place.owned:
        # Where the judge is the candidate's own model it is another server than the champion's.
        own = replace(shared, model=place.model.source if place.model else place.label, endpoint=None, served_name=None)
        return Arms(
            settings=own if not place.server else shared,
            champion=place.model,
            open_champion=place.open,
            open_candidate=candidate,
            up=False,
            one_host=False,
        )
    url = place.server.removeprefix("url ")
    return Arms(
        settings=replace(shared, model=None, endpoint=url, served_name=place.model.name if place.model else None),
        champion=place.model,
        open_champion=place.open,
        open_candidate=candidate,
        up=True,
        one_host=bool(settings.endpoint) and urlsplit(settings.endpoint or "").netloc == urlsplit(url).netloc,
    )


def _complete(beside: Path, champion: ModelIdentity | None, progress: Progress) -> str:
    """The run id of a champion's record that an earlier attempt sealed."""
    record = load_record(beside)
    if champion is not None:
        check_same(record, champion, beside)
    progress.stage(f"the champion's record in {beside} is complete")
    return record.manifest.run_id


@contextmanager
def staying(target: Target) -> Iterator[Target]:
    """A model on a server that others still need."""
    yield target


@contextmanager
def ending(target: Target, server: ExitStack) -> Iterator[Target]:
    """The last model on a server, which ends with the block."""
    with server:
        yield target


def check_same(record: Record, champion: ModelIdentity, beside: Path) -> None:
    """Refuse to take the record of another model for the champion's.

    Raises:
        RecordError: If it is one.
    """
    ran = record.manifest.model
    known = ran.weights_digest is not None and ran.weights_digest == champion.weights_digest
    claimed = ran.weights_digest is champion.weights_digest is None and ran.name == champion.name
    if not (known or claimed):
        raise RecordError(
            f"it is of {one_line(ran.name, 80)}, whose weights are not those of {one_line(champion.name, 80)} now",
            where=str(beside),
            fix="Choose another folder with --out, without --resume",
        )
