"""Two adapters of one base asked by one start of a server: a record each, the champion's first.

They are never in flight together. So no answer of the one can be computed with the weights of the other in one batch,
whatever the server does, and the candidate may stop early once the champion's record is sealed.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmgate.record.manifest import ModelIdentity
    from llmgate.record.schema import Record
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["execute_both"]


def execute_both(settings: Settings, plan: Callable[[], Plan], *, out: Path, progress: Progress) -> Record:
    """Ask the champion's adapter, then the one under test, and seal both records.

    A champion's record that an earlier attempt sealed is taken as it is, with `resume`.

    Args:
        settings: Name both adapters.
        plan: What is asked of both.
        out: Folder of the candidate's record; the champion's lies beside it.
        progress: Told about every stage.

    Returns:
        The candidate's record. Its baseline is noted beside it.

    Raises:
        RecordError: If the champion's folder holds another run.
        LlmgateError: As `execute`.
    """
    settings = localised(settings, progress)
    beside = champion_folder(out)
    name = settings.champion_adapter or ""
    champion_settings = replace(
        settings, served_name=name, out=str(beside), registry_uri=None, registry_id=None, champion_adapter=None
    )
    complete = settings.resume and SEAL.exists(beside)
    if not complete:
        check_folder(champion_settings, beside)
    planned = plan()
    with ExitStack() as runs:
        runs.enter_context(nothing_left_behind(beside))
        runs.enter_context(RunLock(beside, redact=redactor(settings)))
        server = runs.enter_context(ExitStack())
        target = server.enter_context(open_target(settings, log_path=out / "server.log", progress=progress))
        champion = beside_it(target, target.beside[name])
        asked = []
        if complete:
            check_same(load_record(beside), champion.model, beside)
            progress.stage(f"the champion's record in {beside} is complete")
        else:
            note_baseline(beside, None)
            # Who is compared with has to have answered everything.
            whole = replace(planned, looks=())
            first = runs.enter_context(
                asking(
                    champion_settings, lambda: whole, out=beside, progress=progress, opened=lambda: staying(champion)
                )
            )
            if waits_for_judge(first.run):
                asked.append(first)
            else:
                finish(first, progress=progress)
        note_baseline(out, Baseline(folder=str(beside)))
        last = runs.enter_context(
            asking(settings, lambda: planned, out=out, progress=progress, opened=lambda: ending(target, server))
        )
        asked.append(last)
        judge_runs(asked, progress=progress)
        for each in asked:
            finish(each, progress=progress)
    return load_record(out)


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
    """Refuse to take the record of another adapter for the champion's.

    Raises:
        RecordError: If it is one.
    """
    ran = record.manifest.model
    if ran.weights_digest is None or ran.weights_digest != champion.weights_digest:
        raise RecordError(
            f"it is of {one_line(ran.name, 80)}, whose weights are not those of {one_line(champion.name, 80)} now",
            where=str(beside),
            fix="Choose another folder with --out, without --resume",
        )
