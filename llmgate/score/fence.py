"""Fences around hostile text.

What a judge is shown of a model's answer may claim to be an instruction, a verdict or the end of the quotation. It
therefore stands between tags that end in a code which is derived from the content itself, so that whoever wrote the
content could not know it. The same content gives the same code, so a judgement can be looked up again.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["derive_nonce", "fence"]

NONCE_CHARS = 16


def derive_nonce(*parts: str, avoiding: Iterable[str] = ()) -> str:
    """A code that occurs in none of the parts and that nobody can know before all parts are written.

    Args:
        parts: Everything that will stand between the fences.
        avoiding: Further texts that must not hold the code. They do not shape it, so that it stays the same from
            case to case; whoever wrote them may guess it, and then gets another one.

    Returns:
        16 hexadecimal digits, the same for the same parts.
    """
    texts = (*parts, *avoiding)
    folded = [text.lower() for text in texts]
    code = _code(parts)
    while any(code in text for text in folded):
        # Over all texts, so that a guesser who writes down a million codes in a row costs no million tries.
        code = _code((code, *texts))
    return code


def _code(parts: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:NONCE_CHARS]


def fence(parts: Mapping[str, str], nonce: str) -> str:
    """Each part between `<name-nonce>` and `</name-nonce>`, on lines of their own.

    Args:
        parts: Tag name to text.
        nonce: From `derive_nonce` over the same texts.

    Raises:
        ValueError: If the nonce occurs in a text, which would open the fence.
    """
    if any(nonce in text for text in parts.values()):
        raise ValueError("the code of the fence occurs in the texts that it must fence")
    return "\n\n".join(f"<{name}-{nonce}>\n{text}\n</{name}-{nonce}>" for name, text in parts.items())
