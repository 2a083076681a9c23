"""JSON objects whose fields are what they should be, or an error that names the field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from llmgate.errors import AttestationError

__all__ = ["Fields"]

SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of a document. Unknown fields are ignored: a newer minor version may add some.

    Attributes:
        values: The object.
        where: Its place in the document.
    """

    values: Any
    where: str

    def __post_init__(self) -> None:
        if not isinstance(self.values, dict):
            raise AttestationError("this is no object", where=self.where)

    def place(self, name: str) -> str:
        """The place of a field."""
        return f"{self.where}.{name}"

    def get(self, name: str) -> Any:
        """A field that must be there."""
        if name not in self.values:
            raise AttestationError("this field is missing", where=self.place(name))
        return self.values[name]

    def text(self, name: str, *, empty: bool = True) -> str:
        """A text."""
        value = self.get(name)
        if not isinstance(value, str) or (not empty and not value.strip()):
            raise AttestationError("this is no text" if empty else "this is empty or no text", where=self.place(name))
        return value

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """One of some words."""
        value = self.text(name)
        if value not in choices:
            raise AttestationError(f"{value[:40]!r} is none of {', '.join(choices)}", where=self.place(name))
        return value

    def whole(self, name: str, *, least: int) -> int:
        """A whole number."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise AttestationError(f"this is no whole number from {least} on", where=self.place(name))
        return value

    def sha256(self, name: str) -> str:
        """A digest in lower-case hexadecimal."""
        value = self.text(name)
        if not SHA256.fullmatch(value):
            raise AttestationError("this is no SHA-256 in lower-case hexadecimal", where=self.place(name))
        return value

    def maybe_sha256(self, name: str) -> str | None:
        """A digest, or null; the field must be there."""
        return None if self.get(name) is None else self.sha256(name)

    def object(self, name: str) -> Fields:
        """An object."""
        return Fields(self.get(name), self.place(name))

    def optional(self, name: str) -> Fields | None:
        """An object, or null; the field must be there."""
        return None if self.get(name) is None else self.object(name)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects."""
        value = self.get(name)
        if not isinstance(value, list):
            raise AttestationError("this is no list", where=self.place(name))
        return [Fields(entry, f"{self.place(name)}[{i}]") for i, entry in enumerate(value)]

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise AttestationError("this is no list of texts", where=self.place(name))
        return tuple(value)
