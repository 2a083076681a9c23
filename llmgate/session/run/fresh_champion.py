"""Is the champion asked again beside the candidate, and where?

Its stored answers were given on another day, once for all candidates, and if they earned it its place they are better
than it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, LlmgateError
from llmgate.record.manifest import FOR_PROMOTION
from llmgate.record.run.files import MANIFEST
from llmgate.report.visible import one_line
from llmgate.session.decide.records import Baseline, champion_folder, resolve_baseline
from llmgate.session.settings.typed import CHAMPION_WORDS, STORED

if TYPE_CHECKING:
    from llmgate.record.manifest import Manifest
    from llmgate.session.progress import Progress
    from llmgate.session.serving.hosting import ArmPlace  # noqa: TC004 - nothing reads this annotation
    from llmgate.session.settings.typed import Settings

__all__ = ["ChampionChoice", "ComparedWith", "choose_champion", "compared_with"]

AS_GOOD: Final = timedelta(days=1)
"""A run that was recorded to be compared with is as good as a fresh one so long: a server's start is dear."""
OPTION: Final = "--champion"
ASK: Final = f"{OPTION} fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionChoice:
    """What of the champion is compared with.

    Attributes:
        place: Where it is asked again; None if that is on the candidate's own server, or its stored answers count.
        adapter: The name by which the candidate's own server serves it.
        why: One line for whoever waits for the run, "" for nothing to say.
    """

    place: ArmPlace | None = None
    adapter: str | None = None
    why: str = ""

    @property
    def fresh(self) -> bool:
        """Whether it is asked again."""
        return self.place is not None or self.adapter is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedWith:
    """What a run is compared with.

    Attributes:
        stored: The champion's run that was there before, None where none is named.
        baseline: The run that the decision compares with: that one, or the one that is made beside the candidate's.
        choice: Whether the champion is asked again.
    """

    stored: Baseline | None
    baseline: Baseline | None
    choice: ChampionChoice


def compared_with(settings: Settings, out: Path, *, progress: Progress) -> ComparedWith:
    """Find the champion, and say whether it is asked again; a part of a run is compared with nothing.

    Raises:
        LlmgateError: As `resolve_baseline` and `choose_champion`.
    """
    if settings.shard is not None:
        return ComparedWith(stored=None, baseline=None, choice=ChampionChoice())
    stored = None if settings.champion_adapter else resolve_baseline(settings, out)
    choice = choose_champion(settings, stored, out=out, progress=progress)
    if choice.why:
        progress.stage(choice.why)
    baseline = stored
    if choice.fresh:
        baseline = Baseline(folder=str(champion_folder(out)), uri=stored.uri if stored else None)
    return ComparedWith(stored=stored, baseline=baseline, choice=choice)


def choose_champion(
    settings: Settings, baseline: Baseline | None, *, out: Path, progress: Progress, now: datetime | None = None
) -> ChampionChoice:
    """Decide whether the champion is asked again.

    By default it is where the candidate is a model that we serve and the champion's weights are at hand: the very
    weights of its run, served as they were then. No server is started here.

    Args:
        settings: The options.
        baseline: The champion's stored run, None where none is named.
        out: The candidate's folder.
        progress: Told about hashing.
        now: Aware time, for tests.

    Raises:
        UsageError: If what `--champion` names is no place.
        CannotRunError: If it is to be asked again, and cannot be, or another model is there by now.
        LlmgateError: As hashing and asking do.
    """
    if settings.champion_adapter is not None:
        return ChampionChoice(adapter=settings.champion_adapter)
    if baseline is None:
        return ChampionChoice() if settings.champion in CHAMPION_WORDS else _named(settings, out=out, progress=progress)
    manifest = MANIFEST.read(Path(baseline.folder))
    given = f"the champion's answers of {one_line(manifest.created_at[:10])} count"
    begun = _begun(settings, out)
    if settings.champion == STORED or begun is False:
        return ChampionChoice(why=f"{given}, as {'asked' if begun is None else 'when this run began'}")
    auto = settings.champion == "auto" and begun is None
    if auto and (why := _keeps(settings, manifest, now or datetime.now(UTC))):
        return ChampionChoice(why=f"{given}: {why}")
    try:
        return _again(settings, manifest, out=out, progress=progress)
    except LlmgateError as error:
        if not auto:
            raise
        return ChampionChoice(why=f"{given}: it is not asked again, as {one_line(error.what, 200)}")


def _named(settings: Settings, *, out: Path, progress: Progress) -> ChampionChoice:
    """The champion that an option names, of which no run is known."""
    # What serves another model than the candidate: only who asks for one loads it, here and below.
    from llmgate.session.run.arm_places import endpoint_place, folder_place, read_named  # noqa: PLC0415

    named = read_named(settings.champion, where=OPTION)
    log = champion_folder(out) / "server.log"
    alone = replace(settings, port=None, replicas=(), registry_uri=None)
    place = (
        endpoint_place(alone, named, progress=progress)
        if named.url
        else folder_place(alone, named, log_path=log, progress=progress)
    )
    return ChampionChoice(
        place=place, why=f"the champion is asked beside the candidate, at {one_line(named.text, 160)}"
    )


def _again(settings: Settings, manifest: Manifest, *, out: Path, progress: Progress) -> ChampionChoice:
    """The champion of a run, where it can be asked again.

    Raises:
        CannotRunError: If it cannot, or is another model by now.
    """
    from llmgate.session.run.champion import champion_place  # noqa: PLC0415 - see `_named`

    why = "the champion is asked again beside the candidate"
    named = settings.serving_champion if settings.champion in CHAMPION_WORDS else settings.champion
    if manifest.model.adapter and manifest.server.owned and named is None:
        return ChampionChoice(adapter=_adapter(settings, manifest, progress), why=f"{why}, on its server")
    asked = replace(settings, serving_champion=named, replicas=(), registry_uri=None)
    place = champion_place(asked, manifest, log_path=champion_folder(out) / "server.log", progress=progress)
    return ChampionChoice(
        place=place, why=f"{why}, at {one_line(place.label, 160)} ({OPTION} {STORED} keeps its answers)"
    )


def _adapter(settings: Settings, manifest: Manifest, progress: Progress) -> str:
    """Which of this run's adapters the champion is.

    Raises:
        CannotRunError: If none holds its weights.
    """
    from llmgate.session.reach.sources import local_model  # noqa: PLC0415 - see `_named`
    from llmgate.session.reach.weights import folder_digest  # noqa: PLC0415

    for name, place in settings.adapter.items():
        if folder_digest(local_model(settings, place, progress).folder) == manifest.model.adapter:
            return name
    raise CannotRunError(
        f"the champion is the adapter {one_line(manifest.model.name, 80)}, and none of this run's holds its weights",
        where=OPTION,
        fix='Name it beside the candidate\'s, on the same base: --model BASE --adapter "NAME=DIR OLD=DIR"',
    )


def _keeps(settings: Settings, manifest: Manifest, now: datetime) -> str:
    """Why nobody asks the champion again who was not told to; "" for no reason."""
    if settings.on or settings.cache:
        return f"--{'on' if settings.on else 'cache'} asks the candidate alone"
    if not manifest.server.owned:
        return f"an endpoint gave them, and nothing shows that it serves the same model now; {ASK} asks it all the same"
    if not settings.model:
        return f"the candidate is at an endpoint, and a server of ours is not served as that is; {ASK} starts one"
    if manifest.made_for and manifest.made_for != FOR_PROMOTION and _younger(manifest.created_at, now):
        return "they are less than a day old, and were not chosen for being good"
    return ""


def _younger(moment: str, now: datetime) -> bool:
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return False
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return timedelta() <= now - then < AS_GOOD


def _begun(settings: Settings, out: Path) -> bool | None:
    """Whether a run that is gone on with asked the champion again; None where nothing was begun."""
    if not settings.resume:
        return None
    if MANIFEST.exists(out):
        return bool(MANIFEST.read(out).beside)
    return True if MANIFEST.exists(champion_folder(out)) else None
