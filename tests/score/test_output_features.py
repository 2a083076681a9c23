"""One answer, one reading."""

from __future__ import annotations

import pytest

from llmgate.score.assertion.check import CheckContext
from llmgate.score.output_features import read_features


@pytest.mark.parametrize(
    ("output", "refusal", "characters"),
    [
        ("Paris.", False, 6),
        ("I'm sorry, but I can't help with that.", True, 38),
        ("Sorry for the delay. Paris.", False, 27),
        ("Das kann ich leider nicht beantworten.", True, 38),
        ("", True, 0),
        ("𝔓", False, 1),
        ([{"name": "f"}], False, len('[{"name":"f"}]')),
    ],
)
def test_reading(output: object, refusal: bool, characters: int) -> None:
    traits = read_features(CheckContext(output=output))
    assert (traits.refusal, traits.characters, traits.vector) == (refusal, characters, None)
