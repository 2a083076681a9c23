"""What an option is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Option"]

Kind = Literal["text", "int", "float", "flag", "amount"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        name: With dashes, as on the command line; a key in pyproject.toml may use dashes or underscores.
        help: One line that teaches.
        kind: How its text is read. A flag takes no value on the command line; an amount is a number or a word.
        default: Applied when neither command line nor file sets it.
        by_hand: Whether pyproject.toml may not set it, because whoever changes the repository would.
        metavar: Placeholder in the help.
    """

    name: str
    help: str
    kind: Kind = "text"
    default: str | int | float | bool | None = None
    metavar: str | None = None
    by_hand: bool = False

    @property
    def field(self) -> str:
        """The attribute of `Settings`."""
        return self.name.replace("-", "_")
