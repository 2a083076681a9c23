"""Traits in records: small, exact enough, and absent from older records without harm."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_case, make_result

from llmgate.record.output_features import AnswerFeatures, OutputFeature
from llmgate.record.run.files import case_lines
from llmgate.record.run.stored import RESULT
from llmgate.record.schema import PlannedCase
from llmgate.record.vectors import pack_vector, unpack_vector

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1e-3)


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_what_has_no_direction_is_no_embedding(vector: list[float]) -> None:
    with pytest.raises(ValueError, match="direction"):
        pack_vector(vector)


@pytest.mark.parametrize(
    "packed", ["", "?", "AAA=AAA=", base64.b64encode(b"123").decode(), base64.b64encode(b"\x00\x7c").decode()]
)
def test_what_is_no_packed_vector_is_refused(packed: str) -> None:
    with pytest.raises(ValueError, match="embedding"):
        unpack_vector(packed)


@given(vector=st.lists(NUMBERS, min_size=1, max_size=50))
def test_a_vector_comes_back_with_length_one(vector: list[float]) -> None:
    wanted = np.array(vector) / np.linalg.norm(vector)
    assert unpack_vector(pack_vector(vector)) == pytest.approx(wanted, abs=1 / 2000)


def test_384_numbers_take_a_kilobyte() -> None:
    assert len(pack_vector(list(np.random.default_rng(1).normal(size=384)))) == 1024


def test_no_answer_has_a_negative_length() -> None:
    with pytest.raises(ValueError, match="-1 characters"):
        AnswerFeatures(refusal=False, characters=-1)


def test_the_cases_of_older_records_keep_their_digest() -> None:
    assert b"traits" not in b"".join(case_lines([make_case("a")]))
    case = PlannedCase(suite="s", case="a", request_digest="d", traits=(OutputFeature.LENGTH,))
    assert json.loads(b"".join(case_lines([case])))["traits"] == ["length"]


def test_an_older_result_is_read_as_unknown() -> None:
    written = json.loads(RESULT.dump_json(make_result("a")))
    del written["traits"]
    assert RESULT.validate_json(json.dumps(written)).traits is None
