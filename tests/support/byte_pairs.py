"""A tokenizer of byte pairs, made for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["byte_level"]


def byte_level(path: Path, words: tuple[str, ...]) -> Path:
    """A tokenizer like that of GPT-2, in which the given words are one token, alone and after a space."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: index for index, letter in enumerate(letters)}
    merges: list[tuple[str, str]] = []
    for word in words:
        for start in (word, f"Ġ{word}"):
            for end in range(2, len(start) + 1):
                pair = (start[: end - 1], start[end - 1])
                if "".join(pair) not in vocab:
                    vocab["".join(pair)] = len(vocab)
                    merges.append(pair)
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.enable_truncation(16)
    tokenizer.save(str(path))
    return path
