"""Templates compiled once: their code lies beside Python's own compiled modules, and under the same rules.

To compile the report's templates takes a tenth of a second of every run. Python keeps what it compiled in `__pycache__`
where it may write there; so do we, and whoever forbids the one (`PYTHONDONTWRITEBYTECODE`) or moves it
(`PYTHONPYCACHEPREFIX`) does so with the other. Code is taken only if it was made of the same text, with the same
options, by the same versions; what cannot be read or written is compiled as if there were nothing.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from contextlib import suppress
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

import jinja2
from jinja2.bccache import BytecodeCache

import llmgate
from llmgate.errors import RecordError
from llmgate.record.disk import write_atomic

if TYPE_CHECKING:
    from jinja2.bccache import Bucket

__all__ = ["CompiledTemplates"]


class CompiledTemplates(BytecodeCache):
    """See the module's text.

    Args:
        options: The environment's, all that code depends on.
    """

    def __init__(self, options: object) -> None:
        versions = (llmgate.__version__, jinja2.__version__, MAGIC_NUMBER)
        self._made_by = repr((versions, options)).encode()

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """The template's file."""
        return filename or name

    def get_source_checksum(self, source: str) -> str:
        """SHA-256 over the text, the options and the versions."""
        return hashlib.sha256(self._made_by + b"\0" + source.encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take the code that is there, if it is of this template."""
        head = bucket.checksum.encode()
        with suppress(OSError, ValueError, EOFError, TypeError, NotImplementedError):
            data = _place(bucket).read_bytes()
            if data.startswith(head):
                code = marshal.loads(data[len(head) :])  # noqa: S302 - as Python's own, see the module's text
                bucket.code = code if isinstance(code, CodeType) else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code, if Python keeps its own."""
        if sys.dont_write_bytecode or bucket.code is None:
            return
        with suppress(OSError, RecordError, NotImplementedError):
            place = _place(bucket)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(place, bucket.checksum.encode() + marshal.dumps(bucket.code), private=False)


def _place(bucket: Bucket) -> Path:
    """`__pycache__/report.html.cpython-311.j2c` of `report.html.j2`; NotImplementedError where Python keeps nothing."""
    return Path(cache_from_source(bucket.key)).with_suffix(".j2c")
