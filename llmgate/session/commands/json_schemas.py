"""The JSON Schemas of what people write, for editors, and of what llmgate signs, for those who read it elsewhere."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.gate.decision.statement_schema import override_schema, verdict_schema
from llmgate.session.run.custom_checks import beside_suites
from llmgate.suite.form.json_schema import policy_schema, suite_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmgate.score.vocabulary import Checks

__all__ = ["KINDS", "schema_of", "schema_text"]

FIXED: Final[Mapping[str, Callable[[], dict[str, Any]]]] = MappingProxyType(
    {"policy": policy_schema, "verdict": verdict_schema, "override": override_schema}
)
KINDS: Final = ("suite", *FIXED)


def schema_text(kind: str, folder: Path) -> str:
    """A schema as JSON text.

    Args:
        kind: One of `KINDS`.
        folder: Where the suites lie: the checks that `conftest.py` defines there are assert types too.

    Raises:
        SuiteError: If the checks there cannot be imported.
    """
    schema = schema_of(beside_suites([folder / "suite.yaml"])) if kind == "suite" else FIXED[kind]()
    return json.dumps(schema, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def schema_of(vocabulary: Checks) -> dict[str, Any]:
    """The schema of suites that use a vocabulary."""
    return suite_schema({name: kind.settings for name, kind in vocabulary.kinds.items()}, vocabulary.prefixed)
