"""What a client is told: one sentence of why, and one of what to do, with the code that HTTP shows as 403."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, PERMISSION_DENIED

if TYPE_CHECKING:
    from llmgate.errors import LlmgateError

__all__ = ["blocked", "invalid", "refused", "why"]


def blocked(model: str, version: int, alias: str, error: LlmgateError) -> MlflowException:
    """A promotion that is refused."""
    return denied(f"llmgate: promotion blocked: {model} v{version} -> {alias}: {why(error)}", error.fix)


def why(error: LlmgateError) -> str:
    """What is wrong, with its place where there is one."""
    return f"{error.where}: {error.what}" if error.where else error.what


def refused(what: str, why: str, fix: str | None) -> MlflowException:
    """Any other act that is refused."""
    return denied(f"llmgate: refused: {what}: {why}", fix)


def denied(text: str, fix: str | None) -> MlflowException:
    """The exception that MLflow's server turns into HTTP 403 with this text."""
    end = f"; {fix[0].lower()}{fix[1:]}" if fix else ""
    return MlflowException(f"{text}{end}", error_code=PERMISSION_DENIED)


def invalid(text: str) -> MlflowException:
    """What MLflow itself would not take either."""
    return MlflowException(text, error_code=INVALID_PARAMETER_VALUE)
