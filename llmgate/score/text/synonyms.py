"""The English synonyms that meteor knows: WordNet 3.1's, beside this file, with their licence.

`tests/support/wordnet.py` makes the file and says what its marks mean.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["load_synonyms", "read_groups"]

_FILE: Final = Path(__file__).with_name("wordnet.txt.gz")
_FINDS: Final = "^"
_IS_FOUND: Final = "~"


@lru_cache(maxsize=1)
def load_synonyms() -> Mapping[str, frozenset[str]]:
    """Stem → the stems that mean the same in one of its senses; read with the first use, in a tenth of a second."""
    return read_groups(gzip.decompress(_FILE.read_bytes()).decode().splitlines())


def read_groups(lines: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The same from the lines of the file."""
    synonyms: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        words = line.split(" ")
        found = {word.removeprefix(_IS_FOUND) for word in words if not word.startswith(_FINDS)}
        for word in words:
            if not word.startswith(_IS_FOUND):
                synonyms[word.removeprefix(_FINDS)] |= found
    return MappingProxyType({word: frozenset(others - {word}) for word, others in synonyms.items()})
