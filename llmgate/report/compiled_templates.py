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
from typing import TYPE_CHECKING, Final

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

from llmgate.errors import RecordError
from llmgate.record.disk import write_atomic

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["CompiledTemplates"]

OPTIONS: Final = (
    *("autoescape", "sandboxed", "is_async", "optimized", "trim_blocks", "lstrip_blocks", "keep_trailing_newline"),
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix", "line_comment_prefix"),
    "newline_sequence",
)
"""Of an environment: what the code of a template depends on."""


class CompiledTemplates(BytecodeCache):
    """See the module's text."""

    def get_bucket(self, environment: Environment, name: str, filename: str | None, source: str) -> Bucket:
        """The template's place, with its code if that is there."""
        made_of = (source, [getattr(environment, option) for option in OPTIONS], sorted(environment.extensions))
        made_by = (jinja2.__version__, MAGIC_NUMBER)
        digest = hashlib.sha256(repr((made_of, made_by)).encode()).hexdigest()
        bucket = Bucket(environment, filename or name, digest)
        self.load_bytecode(bucket)
        return bucket

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
