"""What is wrong with who answered, in words with counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.wording import count, one_line, verb
from llmgate.record.answered_by import OUR_CACHE, answers_for

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llmgate.record.answered_by import AnsweredBy

__all__ = ["names_given", "who_answered"]

ASK_BY_NAME: Final = "Ask for one model by its own name; --reply-names vouches for a name that replies give it"
NO_FALLBACK: Final = "Ask without the gateway, or switch its fallbacks off for this run"
OUR_OWN: Final = "Run again without --cache: what was asked before is kept for work on suites, not for verdicts"
NO_CACHE: Final = "Ask without the gateway, or switch its cache off for this run"
ONE_PROVIDER: Final = "Pin one of them, or give it a name of its own and ask for that"
NAMED: Final = 3


def names_given(said: Sequence[AnsweredBy | None], asked: str, names: Collection[str] = ()) -> Counter[str]:
    """How many answers came from which model; "" where the reply does not say.

    Args:
        said: One per answer, None where nothing was said against the model that was asked.
        asked: That model.
        names: Further names of it.
    """
    return Counter(asked if by is None or by.model is None or by.model in names else by.model for by in said)


def who_answered(
    said: Sequence[AnsweredBy | None], asked: str, names: Collection[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Why answers are not one model's own, fresh ones.

    Args:
        said: As for `names_given`.
        asked: As for `names_given`.
        names: As for `names_given`.

    Returns:
        Pairs of what is wrong and how to mend it; none if all is well.
    """
    known = [by for by in said if by is not None]
    if not known:
        return ()
    models = names_given(said, asked, names)
    unnamed = models.pop("", 0)
    others = Counter({name: n for name, n in models.items() if not answers_for(name, asked, names)})
    cached = Counter(by.cached for by in known if by.cached)
    rerouted = Counter(by.rerouted for by in known if by.rerouted)
    providers = Counter(by.provider for by in known if by.provider)
    total = count(len(said), "answer")
    wrong = []
    if others:
        wrong.append(
            (f"{others.total():,} of {total} came from {_some(others)}, not from {one_line(asked)}", ASK_BY_NAME)
        )
    elif len(models) > 1:
        wrong.append((f"{total} came from {len(models)} models: {_shares(models)}", ASK_BY_NAME))
    if unnamed and models:
        does = verb(unnamed, "does", "do")
        wrong.append((f"{unnamed:,} of {total} {does} not say which model gave it, and the others do", ASK_BY_NAME))
    if rerouted:
        what = f"{rerouted.total():,} of {total} came by another route than first intended ({_some(rerouted)})"
        wrong.append((what, NO_FALLBACK))
    if cached:
        what = f"{cached.total():,} of {total} came out of a cache ({_some(cached)}), and are no fresh evidence"
        wrong.append((what, OUR_OWN if cached.keys() == {OUR_CACHE} else NO_CACHE))
    if len(providers) > 1 or (providers and providers.total() < len(said)):
        what = f"{total} came from several models or providers behind one name: {_shares(providers)}"
        wrong.append((what, ONE_PROVIDER))
    return tuple(wrong)


def _some(names: Counter[str]) -> str:
    listed = [one_line(name) for name, _ in names.most_common(NAMED)]
    return ", ".join(listed) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def _shares(names: Counter[str]) -> str:
    listed = [f"{n:,} from {one_line(name)}" for name, n in names.most_common(NAMED)]
    return ", ".join(listed) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
