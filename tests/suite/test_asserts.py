"""Names of assert types: some are listed, some begin with a prefix."""

from __future__ import annotations

import pytest

from llmgate.errors import SuiteError
from llmgate.suite.asserts import TypeNames
from llmgate.suite.form.asserts import read_assert

NAMES = TypeNames(frozenset({"equals", "regex"}), ("ragas:",))


@pytest.mark.parametrize(
    ("name", "known"),
    [("equals", True), ("ragas:X", True), ("ragas:", False), ("ragas", False), ("xragas:X", False), ("Ragas:X", False)],
)
def test_a_prefix_needs_something_after_it(name: str, *, known: bool) -> None:
    assert (name in NAMES) is known
    assert NAMES.prefix(name) == ("ragas:" if known and name != "equals" else None)


def test_names_are_a_set() -> None:
    assert sorted(NAMES) == ["equals", "regex"]
    assert len(NAMES) == 2
    assert {"equals", "ragas:X", "other"} & NAMES == {"equals", "ragas:X"}
    assert None not in NAMES


def test_prefixed_types_can_be_written_and_negated() -> None:
    spec = read_assert({"type": "not-ragas:X"}, NAMES)
    assert (spec.type, spec.negated, spec.name) == ("ragas:X", True, "not-ragas:X")
    with pytest.raises(SuiteError, match="unknown assert type 'ragas:'"):
        read_assert({"type": "ragas:"}, NAMES)
