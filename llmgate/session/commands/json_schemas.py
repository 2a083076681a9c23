"""The JSON Schemas that editors check suites and policies with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from llmgate.session.run.custom_checks import beside_suites
from llmgate.suite.form.json_schema import policy_schema, suite_schema

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.score.vocabulary import Checks

__all__ = ["schema_of", "schema_text"]


def schema_text(kind: Literal["suite", "policy"], folder: Path) -> str:
    """A schema as JSON text.

    Args:
        kind: Which files it is for.
        folder: Where the suites lie: the checks that `conftest.py` defines there are assert types too.

    Raises:
        SuiteError: If the checks there cannot be imported.
    """
    schema = policy_schema() if kind == "policy" else schema_of(beside_suites([folder / "suite.yaml"]))
    return json.dumps(schema, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def schema_of(vocabulary: Checks) -> dict[str, Any]:
    """The schema of suites that use a vocabulary."""
    return suite_schema({name: kind.settings for name, kind in vocabulary.kinds.items()}, vocabulary.prefixed)
