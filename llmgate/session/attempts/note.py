"""What stands beside a record of its attempt: the attempts that counted with it, and what pooling needs of them.

attempts.json           the attempt of this record and those before it
attempts-kept.json.gz   what was kept of them, by digest

So the decision on a record can be taken again from its folder alone: elsewhere, later, when other runs are gone.
"""

from __future__ import annotations

import hashlib
import json
from codecs import getincrementaldecoder
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.record.disk import JsonForm, first_problem, read_regular, write_atomic
from llmgate.record.run.files import ATTEMPTS_KEPT, ATTEMPTS_NAME
from llmgate.session.attempts.blobs import pack_parts, unpack
from llmgate.session.attempts.entry import AttemptEntry, attempt_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["AttemptNote", "has_note", "read_note", "read_texts", "write_note"]

MAJOR: Final = 1
MOST_NOTE: Final = 1 << 26
MOST_KEPT: Final = 1 << 30
PART: Final = 1 << 20
AGAIN: Final = "Restore it, or remove attempts.json and decide again where the ledger is"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptNote:
    """The attempt of a record.

    Attributes:
        major: Of this form.
        own: The attempt itself.
        before: Those that counted with it, in order.
    """

    major: int
    own: AttemptEntry
    before: tuple[AttemptEntry, ...]


NOTE: Final[JsonForm[AttemptNote]] = JsonForm(AttemptNote)


def has_note(out: Path) -> bool:
    """Whether there is one beside a record."""
    return (out / ATTEMPTS_NAME).exists()


def write_note(out: Path, own: AttemptEntry, before: Sequence[AttemptEntry], *texts: Mapping[str, bytes]) -> None:
    """Write it beside a record; what was kept first, so that no note is without it.

    Args:
        out: The record's folder.
        own: Its attempt.
        before: Those that count with it.
        texts: What was kept of all of them, by digest.

    Raises:
        RecordError: If it cannot be written.
    """
    note = AttemptNote(major=MAJOR, own=own, before=tuple(before))
    write_atomic(out / ATTEMPTS_KEPT, pack_parts(as_json(*texts)))
    write_atomic(out / ATTEMPTS_NAME, (json.dumps(asdict(note), sort_keys=True, indent=1) + "\n").encode())


def as_json(*texts: Mapping[str, bytes]) -> Iterator[bytes]:
    """The texts by their digests, as one JSON object; of 200,000 cases it would not fit beside their record."""
    before = "{"
    holder = {digest: some for some in texts for digest in some}
    for digest in sorted(holder):
        text = holder[digest][digest]
        yield f'{before}{json.dumps(digest)}: "'.encode()
        decoding = getincrementaldecoder("utf-8")()
        for start in range(0, len(text), PART):
            yield json.dumps(decoding.decode(text[start : start + PART], start + PART >= len(text)))[1:-1].encode()
        before = '", '
    yield b'"}' if holder else b"{}"


def read_note(out: Path) -> AttemptNote:
    """The attempt of a record, and those before it.

    Raises:
        RecordError: If it cannot be read or contradicts itself.
    """
    path = out / ATTEMPTS_NAME
    try:
        note = NOTE.validate_json(read_regular(path, limit=MOST_NOTE))
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path), fix=AGAIN) from error
    except ValidationError as error:
        raise RecordError(f"cannot be understood: {first_problem(error)}", where=str(path), fix=AGAIN) from error
    own = note.own
    same = all(
        entry.key == own.key and entry.id == attempt_id(entry.key, entry.candidate, entry.champion)
        for entry in (own, *note.before)
    )
    if note.major != MAJOR or not same or tuple(entry.id for entry in note.before) != own.earlier:
        raise RecordError("does not tell the attempts that its own one names", where=str(path), fix=AGAIN)
    return note


def read_texts(out: Path) -> dict[str, bytes]:
    """What was kept of the attempts beside a record, by digest.

    Raises:
        RecordError: If it cannot be read, or a text is another than its digest says.
    """
    path = out / ATTEMPTS_KEPT
    try:
        told = json.loads(unpack(read_regular(path, limit=MOST_KEPT), where=str(path)))
        texts = {str(digest): str(text).encode() for digest, text in told.items()}
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path), fix=AGAIN) from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise RecordError(f"cannot be understood ({error})", where=str(path), fix=AGAIN) from error
    for digest, text in texts.items():
        if hashlib.sha256(text).hexdigest() != digest:
            raise RecordError("holds something else than its digests say", where=str(path), fix=AGAIN)
    return texts
