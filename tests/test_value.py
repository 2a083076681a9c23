"""Values that share equality, hash and words behave as dataclasses that have their own."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.value import Value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Shared(Value):
    name: str
    score: float = 0.5
    inner: object = ()
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    name: str
    score: float = 0.5
    inner: object = ()
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Other(Value):
    name: str


values = st.fixed_dictionaries(
    {"name": st.sampled_from("ab")},
    optional={
        "score": st.sampled_from([0.0, -0.0, 1.0, float("inf")]),
        "inner": st.sampled_from([(), (1, "x"), None]),
        "secret": st.sampled_from(["", "s"]),
        "note": st.sampled_from(["", "n"]),
    },
)


@given(values, values)
def test_as_a_dataclass_of_its_own(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert (Shared(**one) == Shared(**two)) is (Own(**one) == Own(**two))
    assert (hash(Shared(**one)) == hash(Shared(**two))) is (hash(Own(**one)) == hash(Own(**two)))
    assert repr(Shared(**one)) == repr(Own(**one)).replace("Own(", "Shared(")
    assert asdict(Shared(**one)) == asdict(Own(**one))


def test_a_number_that_is_none_equals_itself() -> None:
    nan = float("nan")
    assert Shared(name="a", score=nan) == Shared(name="a", score=nan)
    assert Shared(name="a", score=nan) != Shared(name="a", score=float("nan"))


def test_another_class_is_never_equal() -> None:
    assert Shared(name="a") != Other(name="a")
    assert Shared(name="a") != Own(name="a")
    assert Shared(name="a") != ("a",)


def test_values_are_frozen_copied_and_pickled() -> None:
    value = Shared(name="a", note="n")
    with pytest.raises(FrozenInstanceError):
        value.name = "b"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        value.more = 1  # type: ignore[attr-defined]
    assert replace(value, name="b").name == "b"
    assert copy.deepcopy(value) == value == pickle.loads(pickle.dumps(value))
