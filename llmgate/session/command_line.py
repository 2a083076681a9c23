"""What must not stand on the command line: every user of the machine can read it in the list of processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.record.environment import repeated_in
from llmgate.record.redaction import url_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["refuse_secrets"]


def refuse_secrets(given: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> None:
    """Refuse options that hold a secret, without repeating it.

    Args:
        given: Option fields and what was given for them.
        environ: Names the secrets.

    Raises:
        UsageError: With the variable that is there for it.
    """
    for field, value in given.items():
        option = f"--{field.replace('_', '-')}"
        if not isinstance(value, str):
            continue
        if field == "mlflow_uri" and url_secrets((value,)):
            raise UsageError(
                f"a password stands on the command line, in {option}, where other users of this machine can read it",
                fix="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; for a"
                " database its own variable or file, e.g. PGPASSWORD",
            )
        name = repeated_in(value, environ)
        if name:
            raise UsageError(
                f"a secret stands on the command line, in {option}, where other users of this machine can read it",
                fix=f"Leave it to the environment variable {name}, which holds it already",
            )
