"""Types as JSON in files: read, checked and written by pydantic, which is prepared for a type when it is first needed.

To prepare a type takes milliseconds, and a run reads and writes few of those whose modules it imports: one without a
serving measurement has no use for the form of traces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JsonForm"]

T = TypeVar("T")


class JsonForm(Generic[T]):
    """A type as JSON.

    Args:
        holds: The type: a dataclass, or what is made of dataclasses.
    """

    __slots__ = ("_adapter", "_holds")

    def __init__(self, holds: type[T]) -> None:
        self._holds = holds
        self._adapter: TypeAdapter[T] | None = None

    def _prepared(self) -> TypeAdapter[T]:
        if self._adapter is None:
            self._adapter = TypeAdapter(self._holds)
        return self._adapter

    def validate_json(self, data: str | bytes, *, strict: bool | None = None) -> T:
        """The value that JSON stands for.

        Args:
            data: The JSON.
            strict: Whether types have to be right without being converted.

        Raises:
            pydantic.ValidationError: If it is not JSON, or stands for no such value.
        """
        return self._prepared().validate_json(data, strict=strict)

    def dump_json(
        self,
        value: T,
        *,
        indent: int | None = None,
        exclude: Mapping[Any, Any] | None = None,
        exclude_defaults: bool = False,
    ) -> bytes:
        """The JSON of a value.

        Args:
            value: The value.
            indent: Spaces per level; None for all in one line.
            exclude: What is left out, as pydantic has it.
            exclude_defaults: Whether fields with their defaults are left out.
        """
        adapter = self._prepared()
        return adapter.dump_json(value, indent=indent, exclude=exclude, exclude_defaults=exclude_defaults)
