"""Texts of a wanted length: common words, drawn at random by a seed.

Without a tokenizer a length is a number of words. The words are short and common, so that most tokenizers give each of
them one token, but nobody promises that: the server's own usage says what was read. With a tokenizer lengths are exact.

Only `random.Random.random` and what is computed from it alone is used: Python promises that its numbers stay the same,
and with them the digest of a workload.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError
from llmgate.record.disk import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.reach import Reach
    from llmgate.record.serving.plan import TokenLengths

__all__ = ["WORDS", "Words", "draw_length", "open_words", "rng"]

COMMON: Final = """
able about above across after again against age air all almost along already also always among animal answer any
area arm around art ask away baby back bad ball bank base bed before begin behind best better between big bird black
blood blue board boat body book born both box boy bread bring brother brown build burn business busy buy call came
car care carry case cat catch cause center chair chance change check child choose church circle city class clean
clear climb close clothes cloud coast cold color come common cook cool copy corn corner cost could country course
cover cross crowd cry cut dance dark day dead deal death deep desk did differ dinner direct doctor dog door down
draw dream dress drink drive drop dry during each ear early earth east easy eat edge effect egg eight end energy
engine enough even evening ever every exact eye face fact fair fall family famous far farm fast father fear feed
feel feet few field fight figure fill final find fine finger finish fire first fish five floor flow fly follow food
foot force forest form forward four free fresh friend front fruit full game garden gas gave general gentle girl give
glad glass gold gone good grass great green ground group grow guess half hand happy hard hat head hear heart heat
heavy help here high hill hold hole home hope horse hot hour house how huge human hundred ice idea inch industry
inside iron island job join jump just keep key kind king know lady lake land language large last late laugh law lead
learn least leave left leg less letter level lie life light like line list listen little live long look lost lot
loud love low machine made main make man many map mark market master may mean measure
"""
WORDS: Final = tuple(COMMON.split())
"""What prompts are made of."""
DRAWS: Final = 8
"""Attempts at a text of exactly the wanted length; more are never needed where words are tokenized one by one."""
FEWEST: Final = 32
"""Words that a tokenizer must leave whole, so that texts made of them differ."""
TOKENIZER_BYTES: Final = 256 * 2**20


def rng(*seeds: object) -> Random:
    """A source of random numbers of its own for everything that is drawn, so that one draw more moves no other."""
    return Random("/".join(map(str, seeds)))  # noqa: S311 - words of a prompt are no secrets


def draw_length(lengths: TokenLengths, source: Random) -> int:
    """One length in tokens."""
    u = source.random()
    if lengths.kind == "choice":
        return lengths.choices[int(u * len(lengths.choices))]
    if lengths.kind == "uniform":
        low, high = int(lengths.first), int(lengths.second)
        return min(high, low + int(u * (high - low + 1)))
    drawn = lengths.first
    if lengths.second > 0 and lengths.kind != "constant":
        z = NormalDist().inv_cdf(min(max(u, 1e-12), 1 - 1e-12))
        drawn = (
            drawn + lengths.second * z if lengths.kind == "normal" else drawn * math.exp(min(lengths.second * z, 50))
        )
    return round(min(max(drawn, lengths.least), lengths.most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Where texts come from.

    Attributes:
        pool: What they are made of.
        first: Words that are one token at the beginning of a text too.
        tokens_in: Counts the tokens of a text, special ones aside; None where words are counted.
    """

    pool: tuple[str, ...] = WORDS
    first: tuple[str, ...] = WORDS
    tokens_in: Callable[[str], int] | None = None

    @property
    def unit(self) -> str:
        """What lengths count."""
        return "words" if self.tokens_in is None else "tokens"

    def count(self, text: str) -> int:
        """Length of a text."""
        return len(text.split()) if self.tokens_in is None else self.tokens_in(text)

    def text(self, length: int, source: Random, *, after: str = "") -> str:
        """A text of a length, drawn at random.

        Args:
            length: How many tokens to add.
            source: What draws.
            after: What it goes on from.

        Returns:
            `after` and the text behind it.

        Raises:
            UsageError: If the tokenizer does not let it have that length.
        """
        u = source.random()
        words = source.choices(self.pool, k=length)  # one number for each, so that a longer text begins as a shorter
        if words and not after:
            words[0] = self.first[int(u * len(self.first))]
        text = " ".join(([after] if after else []) + words)
        if self.tokens_in is None:
            return text
        wanted = (self.count(after) if after else 0) + length
        for _ in range(DRAWS):
            missing = wanted - self.count(text)
            if missing == 0:
                return text
            words = words[:missing] if missing < 0 else words + source.choices(self.pool, k=missing)
            text = " ".join(([after] if after else []) + words)
        raise UsageError(
            f"no text of exactly {wanted} tokens was found with this tokenizer",
            where="workload",
            fix="Leave the tokenizer out: lengths are in words then",
        )


def open_words(path: Path | None, *, within: Reach | None, where: str) -> Words:
    """Where texts of a workload come from.

    Args:
        path: A `tokenizer.json`, or the folder with one; None to count words.
        within: Where it has to lie.
        where: Names it in messages.

    Raises:
        UsageError: If it cannot be read, or splits common words.
    """
    if path is None:
        return Words()
    # Late: few workloads have one, and not everybody has the package.
    try:
        import tokenizers  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "a tokenizer is named, and the package `tokenizers` is not installed",
            where=where,
            fix="pip install tokenizers, or leave the tokenizer out: lengths are in words then",
        ) from error
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        data = read_regular(file, limit=TOKENIZER_BYTES, within=within)
    except OSError as error:
        raise UsageError(
            f"the tokenizer {file} cannot be read ({error.strerror})", where=where, fix="Name a tokenizer.json"
        ) from error
    try:
        tokenizer = tokenizers.Tokenizer.from_str(data.decode("utf-8"))
    except Exception as error:  # its errors are plain exceptions
        raise UsageError(
            f"{file} is no tokenizer ({str(error)[:200]})", where=where, fix="Name the tokenizer.json of the model"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokens_in(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    pair = tokens_in("the the")
    pool = tuple(word for word in WORDS if tokens_in(f"the {word} the") == pair + 1)
    first = tuple(word for word in pool if tokens_in(word) == 1)
    if len(pool) < FEWEST or not first:
        raise UsageError(
            f"{file} leaves only {len(pool)} of {len(WORDS)} common words whole, which are too few for texts of an "
            "exact length",
            where=where,
            fix="Leave the tokenizer out: lengths are in words then",
        )
    return Words(pool=pool, first=first, tokens_in=tokens_in)
