"""Stems as natural 8.1.1 makes them, recorded under Node.js 22 for words of our own choice."""

from __future__ import annotations

import pytest

from llmgate.score.text.stem import stem

RECORDED = {
    "as": "as", "is": "is", "sses": "ss", "caresses": "caress", "ponies": "poni", "ties": "ti", "cats": "cat",
    "gas": "ga", "class": "class", "agreed": "agre", "feed": "feed", "plastered": "plaster", "bled": "bled",
    "motoring": "motor", "sing": "sing", "conflated": "conflat", "troubled": "troubl", "sized": "size",
    "hopping": "hop", "tanned": "tan", "falling": "fall", "hissing": "hiss", "fizzed": "fizz",
    "failing": "fail", "filing": "file", "happy": "happi", "sky": "sky", "say": "sai", "enjoyed": "enjoi",
    "relational": "relat", "conditional": "condit", "rational": "ration", "valenci": "valenc",
    "digitizer": "digit", "conformabli": "conform", "radicalli": "radic", "differentli": "differ",
    "vileli": "vile", "analogousli": "analog", "vietnamization": "vietnam", "predication": "predic",
    "operator": "oper", "feudalism": "feudal", "decisiveness": "decis", "hopefulness": "hope",
    "callousness": "callous", "formaliti": "formal", "sensitiviti": "sensit", "sensibiliti": "sensibl",
    "triplicate": "triplic", "formative": "form", "formalize": "formal", "electriciti": "electr",
    "electrical": "electr", "hopeful": "hope", "goodness": "good", "revival": "reviv", "allowance": "allow",
    "inference": "infer", "airliner": "airlin", "gyroscopic": "gyroscop", "adjustable": "adjust",
    "defensible": "defens", "irritant": "irrit", "replacement": "replac", "adjustment": "adjust",
    "dependent": "depend", "adoption": "adopt", "communism": "commun", "activate": "activ",
    "angulariti": "angular", "homologous": "homolog", "effective": "effect", "bowdlerize": "bowdler",
    "probate": "probat", "rate": "rate", "cease": "ceas", "controll": "control", "roll": "roll",
    "syzygy": "syzygi", "yyy": "yyy", "aed": "a", "ing": "ing", "ed": "ed", "don't": "don't", "1980s": "1980",
    "naïve": "naïv", "über": "über", "e-mail": "e-mail", "generalizations": "gener", "oscillators": "oscil",
    "ational": "ation", "ness": "ness", "station": "station",
}  # fmt: skip


@pytest.mark.parametrize(("word", "want"), RECORDED.items())
def test_a_stem_is_that_of_natural(word: str, want: str) -> None:
    assert stem(word) == want
