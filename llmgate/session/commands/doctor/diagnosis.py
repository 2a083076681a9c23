"""What a check is given, and what it finds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import LlmgateError
from llmgate.session.options.table import file_options
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from llmgate.session.settings.typed import Settings

__all__ = ["Check", "Circumstances", "Diagnosis", "Health", "gigabytes", "problem"]

NOT_SERVED: Final = frozenset({"endpoint", "served_name", "api_key_env", "allow_key_over_http", "mlflow_uri"})
"""Options of the doctor that say nothing of a server of ours."""


class Health(StrEnum):
    """How something is; a problem keeps a run from starting."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong; it surprises who does not know it."""
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        area: What it belongs to.
        what: What was found.
        health: How that is.
        advice: What to do about it, "" if nothing.
    """

    area: str
    what: str
    health: Health = Health.OK
    advice: str = ""

    def to_json(self) -> dict[str, str]:
        """For programs."""
        return {"area": self.area, "what": self.what, "health": str(self.health), "advice": self.advice}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is looked at.

    Attributes:
        root: The folder that commands run in.
        suites: Suite files or folders; without any, `suites` if it is there.
        options: Those that it shares with `llmgate run`.
        environ: The environment.
    """

    root: Path
    suites: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def option(self, name: str) -> str:
        """An option as given, or of pyproject.toml; "" for neither."""
        return str(self.options.get(name) or file_options(self.root).get(name) or "")

    def server_settings(self) -> Settings | None:
        """The options of a server that llmgate would start; None if they are impossible, which is told once."""
        try:
            return self.read_settings()
        except LlmgateError:
            return None

    def read_settings(self) -> Settings:
        """The options of a server that llmgate would start.

        Raises:
            LlmgateError: If they are impossible.
        """
        given = {name: value for name, value in self.options.items() if name not in NOT_SERVED}
        return settings_from({**given, "endpoint": ""}, root=self.root)


Check = Callable[[Circumstances], Iterable[Diagnosis]]


def problem(area: str, error: LlmgateError, health: Health = Health.PROBLEM) -> Diagnosis:
    """What an error says."""
    what = f"{error.where}: {error.what}" if error.where else error.what
    return Diagnosis(area=area, what=what, health=health, advice=error.fix or "")


def gigabytes(size: float) -> str:
    """Bytes as `12.3 GB`."""
    return f"{size / 1e9:,.1f} GB"
