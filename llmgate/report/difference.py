"""Which words differ between two answers, found in bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import regex

from llmgate.report.pieces import Piece, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MAX_EDITS", "differences"]

MAX_EDITS = 200
"""Beyond this many inserted and removed words two answers are two answers, and marking words helps nobody."""

# Whitespace, one ideograph, one word, or any other grapheme, so that a mark never stands between a letter and
# its accent. Possessive: a hostile text must not make it backtrack.
_TOKEN = regex.compile(r"\s++|[\p{Han}\p{Hiragana}\p{Katakana}]\p{M}*+|[\p{L}\p{N}\p{M}_]++|\X")


def differences(before: Text, after: Text) -> tuple[Text, Text]:
    """Both texts with the words marked that the other side lacks.

    Args:
        before: The champion's text.
        after: The candidate's text.

    Returns:
        The same texts in pieces. Nothing is marked if they differ by more than `MAX_EDITS` words or share none.

    Reference: Myers (1986), An O(ND) Difference Algorithm and Its Variations, Algorithmica 1:251–266; the greedy
    form, stopped at D = MAX_EDITS, so at most about MAX_EDITS² steps whatever the texts are.
    """
    old, new = _tokens(before), _tokens(after)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    common = _common(old[start : len(old) - end], new[start : len(new) - end])
    if common is None or not (start or end or common):
        return before, after
    kept_old = {start + i for i, _ in common}
    kept_new = {start + j for _, j in common}
    return (
        _marked(old, lambda i: i < start or i >= len(old) - end or i in kept_old),
        _marked(new, lambda j: j < start or j >= len(new) - end or j in kept_new),
    )


def _tokens(text: Text) -> list[Piece]:
    tokens: list[Piece] = []
    for piece in text:
        if piece.kind == "note":
            tokens.append(piece)
        else:
            tokens.extend(Piece(text=word) for word in _TOKEN.findall(piece.text))
    return tokens


def _common(old: Sequence[Piece], new: Sequence[Piece]) -> list[tuple[int, int]] | None:
    """Index pairs of a longest common subsequence; None if it takes more than MAX_EDITS edits to get there."""
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(MAX_EDITS + 1):
        trace.append(dict(furthest))
        for diagonal in range(-edits, edits + 1, 2):
            x = _step(furthest, diagonal, edits)
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            if x >= len(old) and y >= len(new):
                return _walk_back(trace, len(old), len(new))
    return None


def _step(furthest: dict[int, int], diagonal: int, edits: int) -> int:
    down = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
    return furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1


def _walk_back(trace: Sequence[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trace) - 1, -1, -1):
        furthest = trace[edits]
        diagonal = x - y
        down = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
        previous = diagonal + 1 if down else diagonal - 1
        x_before = furthest[previous]
        y_before = x_before - previous
        while x > max(x_before, 0) and y > max(y_before, 0):
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = x_before, y_before
    return pairs[::-1]


def _marked(tokens: Sequence[Piece], kept: Callable[[int], bool]) -> Text:
    pieces: list[Piece] = []
    for index, token in enumerate(tokens):
        kind = token.kind if token.kind == "note" or kept(index) else "changed"
        if pieces and pieces[-1].kind == kind and kind != "note":
            pieces[-1] = Piece(text=pieces[-1].text + token.text, kind=kind)
        else:
            pieces.append(Piece(text=token.text, kind=kind))
    return tuple(pieces)
