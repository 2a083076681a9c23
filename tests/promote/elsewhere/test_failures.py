"""What services' refusals become."""

from __future__ import annotations

import pytest

from llmgate.errors import CannotRunError, LlmgateError, PromotionRefusedError
from llmgate.promote.elsewhere.failures import AbsentError, FailedCall, Meaning, calls, first_line, meaning_of
from llmgate.promote.elsewhere.shelf import MAX_VERDICTS, bounded, digests_in, file_name, read_text

GOOD = "a" * 64


def failed(meaning: Meaning, *, writing: bool = False, said: str = "no") -> LlmgateError:
    with (
        pytest.raises(LlmgateError) as caught,
        calls("Acme", "acme://x", lambda _: FailedCall(meaning=meaning, said=said), writing=writing),
    ):
        raise ValueError("whatever")
    assert caught.value.where == "acme://x"
    assert caught.value.fix
    return caught.value


def test_only_a_refused_change_and_a_lost_race_are_refusals() -> None:
    refusals = {
        (meaning, writing)
        for meaning in Meaning
        for writing in (False, True)
        if isinstance(failed(meaning, writing=writing), PromotionRefusedError)
    }
    assert refusals == {(Meaning.FORBIDDEN, True), (Meaning.CONFLICT, True), (Meaning.CONFLICT, False)}
    assert isinstance(failed(Meaning.ABSENT), AbsentError)


@pytest.mark.parametrize("meaning", [Meaning.THROTTLED, Meaning.UNREACHABLE])
def test_a_change_that_may_have_happened_says_so(meaning: Meaning) -> None:
    assert "look first what it has done" in (failed(meaning, writing=True).fix or "")
    assert "look first" not in (failed(meaning).fix or "")


@pytest.mark.parametrize("error", [ValueError("no JSON"), KeyError("branches"), TypeError("None"), AttributeError()])
def test_answers_that_the_library_trips_over(error: Exception) -> None:
    with (
        pytest.raises(CannotRunError, match="answers with an error .it cannot be read"),
        calls("Acme", "x", lambda _: None),
    ):
        raise error


def test_what_is_not_the_librarys_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), calls("Acme", "x", lambda _: None):
        raise ZeroDivisionError
    with pytest.raises(CannotRunError, match="ours"), calls("Acme", "x", lambda _: None):
        raise CannotRunError("ours")


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (None, Meaning.UNREACHABLE),
        (401, Meaning.UNKNOWN_CALLER),
        (403, Meaning.FORBIDDEN),
        (404, Meaning.ABSENT),
        (409, Meaning.CONFLICT),
        (412, Meaning.CONFLICT),
        (418, Meaning.OTHER),
        (429, Meaning.THROTTLED),
        (500, Meaning.UNREACHABLE),
        (503, Meaning.UNREACHABLE),
    ],
)
def test_what_a_status_means(status: int | None, meaning: Meaning) -> None:
    assert meaning_of(status) is meaning


def test_words_are_one_line_and_without_signatures() -> None:
    said = first_line("403 for https://s3/x?X-Amz-Signature=abc&y=1 (no)\nand more")
    assert said == "403 for https://s3/x?… (no)"
    assert len(first_line("x" * 5000)) == 300
    assert first_line(" \n ") == "no reason given"


def test_verdicts_among_files() -> None:
    names = [f"a/b/{file_name(GOOD)}", "a/b/state.json", "a/b/x.dsse.json", f"a/{file_name('A' * 64)}", "a/b/"]
    assert digests_in(names) == [GOOD]


def test_more_verdicts_than_anybody_has() -> None:
    assert bounded([GOOD] * MAX_VERDICTS, "there")
    with pytest.raises(CannotRunError, match="1001 verdicts"):
        bounded([GOOD] * (MAX_VERDICTS + 1), "there")


def test_files_that_are_no_verdicts() -> None:
    assert read_text(b"{}", "there") == "{}"
    with pytest.raises(CannotRunError, match="bytes"):
        read_text(b"x" * 100_001, "there")
    with pytest.raises(CannotRunError, match="not text"):
        read_text(b"\xff", "there")
