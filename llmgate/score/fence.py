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
    from collections.abc import Mapping

__all__ = ["derive_nonce", "fence"]

NONCE_CHARS = 16


def derive_nonce(*parts: str) -> str:
    """A code that occurs in none of the parts and that nobody can know before all parts are written.

    Args:
        parts: Everything that will stand between the fences.

    Returns:
        16 hexadecimal digits, the same for the same parts.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    while any(digest[:NONCE_CHARS] in part for part in parts):
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return digest[:NONCE_CHARS]


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
