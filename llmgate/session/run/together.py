"""How one run is asked together with another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.session.heartbeat import gather_all, run_async

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence  # noqa: TC004 - nothing reads these annotations

    from llmgate.generate.chat import Chat  # noqa: TC004 - likewise
    from llmgate.session.progress import Progress

    Questions = Callable[[], Coroutine[None, None, None]]

__all__ = ["ALONE", "Together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """What a run has to do with another one.

    Attributes:
        beside: Run id of the champion's run that is asked beside this one, "" for none.
        put_off: Takes the questions instead of having them asked, where another run is to ask them with its own; the
            model has to stay up meanwhile. Nothing is asked before they are awaited.
        besides: Questions of other runs, to be asked at the same time.
        through: Puts something between this run and whoever answers.
    """

    beside: str = ""
    put_off: list[Questions] | None = None
    besides: Sequence[Questions] = ()
    through: Callable[[Chat], Chat] | None = None

    def ask(self, questions: Questions, progress: Progress) -> None:
        """Ask now, or have it done later."""
        if self.put_off is not None:
            self.put_off.append(questions)
        else:
            run_async(gather_all(each() for each in (*self.besides, questions)), progress)

    def reached(self, chat: Chat) -> Chat:
        """Whoever answers, as this run reaches it."""
        return chat if self.through is None else self.through(chat)


ALONE: Final = Together()
