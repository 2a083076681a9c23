"""One row, ready to be asked and scored; and many of them, whose words are out of the way until they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from llmgate.record.run.stored import StoredCase, read_later, stored_case
from llmgate.record.schema import CaseKey, Message, PlannedCase
from llmgate.suite.asserts import AssertSpec, Json
from llmgate.suite.data.spool import Spool, pack, unpack
from llmgate.suite.spec import Prices

__all__ = ["Case", "CaseSpool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row, ready to be asked and scored.

    Attributes:
        planned: What goes into the run record.
        body: The chat completion request without `model`; `seed` grows by one per repeat.
        variables: The row, for templates in asserts.
        asserts: The asserts that apply.
        prices: What tokens cost, None if the suite does not say.
        code: Whether a test in code asks it.
    """

    planned: PlannedCase
    body: Mapping[str, Json]
    variables: Mapping[str, Json]
    asserts: tuple[AssertSpec, ...]
    prices: Prices | None = None
    code: bool = False

    @property
    def messages(self) -> tuple[Mapping[str, Json], ...]:
        """The messages as they are sent, with the bytes of pictures, which the record does not keep."""
        sent = self.body["messages"]
        return tuple(message for message in sent if isinstance(message, dict)) if isinstance(sent, list) else ()

    def request(self, repeat: int) -> dict[str, Json]:
        """The request body of one repeat, without `model`."""
        body = self.body
        seed = body.get("seed", 0)
        return {**body, "seed": seed + repeat if isinstance(seed, int) else seed}

    def key(self, repeat: int = 0) -> CaseKey:
        """The key of one repeat."""
        return CaseKey(suite=self.planned.suite, case=self.planned.case, repeat=repeat)

    def at_hand(self) -> Case:
        """The same case with its words in memory, for who asks for them more than once."""
        return self


class _SpooledCase(Case):
    """A case whose request and row are read when asked for."""

    __slots__ = ("number", "spool")

    number: int
    spool: CaseSpool
    body = read_later(Case, "body", lambda case: case.spool.read(case.number)[2])
    variables = read_later(Case, "variables", lambda case: case.spool.read(case.number)[3])

    def at_hand(self) -> Case:
        """The whole case, read once."""
        return self.spool.whole(self) if hasattr(self, "spool") else self


class CaseSpool:
    """Keeps what cases say."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._same: dict[Any, Any] = {}

    def keep(self, case: Case) -> Case:
        """The case, with what it says in the spool."""
        planned, sent = case.planned, case.body["messages"]
        words = [(message.role, message.content, message.wire) for message in planned.messages]
        shown = None if words == _as_sent(sent) else words
        piece = pack((shown, planned.expected, dict(case.body), dict(case.variables)))
        kept = object.__new__(_SpooledCase)
        number = self._spool.add(piece)
        for name, value in (
            ("planned", stored_case(planned, self, number, self._same)),
            ("asserts", case.asserts),
            ("prices", case.prices),
            ("code", case.code),
            ("number", number),
            ("spool", self),
        ):
            object.__setattr__(kept, name, value)
        return kept

    def read(self, number: int) -> tuple[tuple[Message, ...], str, Mapping[str, Json], Mapping[str, Json]]:
        """What a case says: its prompt for the record, what is expected, the request, the row."""
        shown, expected, body, variables = unpack(self._spool[number])
        words = (_as_sent(body["messages"]) or ()) if shown is None else shown
        messages = tuple(Message(role=role, content=content, wire=wire) for role, content, wire in words)
        return messages, expected, body, MappingProxyType(variables)

    def read_case(self, place: int) -> tuple[tuple[Message, ...], str]:
        """As `CaseWords`."""
        messages, expected, _, _ = self.read(place)
        return messages, expected

    def whole(self, case: _SpooledCase) -> Case:
        """A case of this spool, with its words."""
        messages, expected, body, variables = self.read(case.number)
        return Case(
            planned=case.planned.whole((messages, expected)) if isinstance(case.planned, StoredCase) else case.planned,
            body=body,
            variables=variables,
            asserts=case.asserts,
            prices=case.prices,
            code=case.code,
        )


def _as_sent(messages: object) -> list[tuple[Any, Any, None]] | None:
    """Messages for the record, where they are those that are sent, of role and text alone."""
    if not isinstance(messages, list):
        return None
    if any(not isinstance(message, dict) or message.keys() != {"role", "content"} for message in messages):
        return None
    return [(it["role"], it["content"], None) for it in messages]
