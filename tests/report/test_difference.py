from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.report.difference import MAX_EDITS, differences
from llmgate.report.pieces import Piece, Text

WORDS = st.lists(st.sampled_from(["a", "b", "c", " ", "\n", "é", "東", "👩\u200d🚀"]), max_size=14)


def of(text: str) -> Text:
    return (Piece(text=text),) if text else ()


def whole(text: Text) -> str:
    return "".join(piece.text for piece in text)


def kept(text: Text) -> str:
    return "".join(piece.text for piece in text if piece.kind == "plain")


def longest_common(old: str, new: str) -> int:
    lengths = {(i, j): 0 for i in range(len(old) + 1) for j in range(len(new) + 1)}
    for i, j in product(range(1, len(old) + 1), range(1, len(new) + 1)):
        same = old[i - 1] == new[j - 1]
        lengths[i, j] = lengths[i - 1, j - 1] + 1 if same else max(lengths[i - 1, j], lengths[i, j - 1])
    return lengths[len(old), len(new)]


@settings(deadline=None)
@given(WORDS, WORDS)
def test_no_character_is_lost_and_what_is_unmarked_is_common(old: list[str], new: list[str]) -> None:
    before, after = differences(of("".join(old)), of("".join(new)))
    assert whole(before) == "".join(old)
    assert whole(after) == "".join(new)
    if any(piece.kind == "changed" for piece in (*before, *after)):
        assert kept(before) == kept(after)


@settings(deadline=None)
@given(st.text("ab.", max_size=10), st.text("ab.", max_size=10))
def test_as_much_as_possible_is_common(old: str, new: str) -> None:
    # Punctuation and single ideographs are one token each, so that the oracle can count characters.
    table = str.maketrans({"a": "東", "b": "京"})
    before, _ = differences(of(old.translate(table)), of(new.translate(table)))
    common = longest_common(old, new)
    assert len(kept(before)) == (common or len(old))


def test_marks_words_not_letters() -> None:
    before, after = differences(of("within one working day"), of("within 1 working week"))
    assert [piece.text for piece in before if piece.kind == "changed"] == ["one", "day"]
    assert [piece.text for piece in after if piece.kind == "changed"] == ["1", "week"]


def test_a_mark_never_parts_a_letter_from_its_accent() -> None:
    before, _ = differences(of("cafe\u0301 noir"), of("cafe noir"))
    assert [piece.text for piece in before if piece.kind == "changed"] == ["cafe\u0301"]


def test_answers_with_too_little_in_common_are_left_unmarked() -> None:
    old = of(" ".join(f"x{i}" for i in range(MAX_EDITS)))
    new = of(" ".join(f"y{i}" for i in range(MAX_EDITS)))
    assert differences(old, new) == (old, new)


def test_notes_stay_notes() -> None:
    cut: Text = (Piece(text="start"), Piece(text="9 characters are not shown here", kind="note"), Piece(text="end"))
    before, after = differences(cut, of("start end"))
    assert [piece.kind for piece in before if piece.kind == "note"] == ["note"]
    assert whole(after) == "start end"


def test_equal_texts_have_no_mark() -> None:
    before, after = differences(of("the same"), of("the same"))
    assert (kept(before), kept(after)) == ("the same", "the same")


def test_answers_without_a_common_word_are_left_unmarked() -> None:
    assert differences(of("Paris"), of("London")) == (of("Paris"), of("London"))
    assert differences((), of("all new")) == ((), of("all new"))
