"""From a URI to the registry that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.promote.elsewhere.address import Address, parse_address

if TYPE_CHECKING:
    from llmgate.promote.elsewhere.contract import VerdictRegistry

__all__ = ["open_elsewhere"]


def open_elsewhere(uri: str, *, verdicts_at: str | None = None) -> tuple[VerdictRegistry, Address]:
    """The registry and the version that a URI names.

    Args:
        uri: See `address.FORMS`.
        verdicts_at: Where SageMaker and Vertex AI keep verdicts, `s3://…` or `gs://…`.

    Raises:
        UsageError: If it names no single version, or `verdicts_at` means nothing there.
        CannotRunError: If the registry's client library is not installed.
    """
    address = parse_address(uri)
    place = address.place
    if verdicts_at is not None and address.scheme not in {"sagemaker", "vertex"}:
        raise UsageError(
            f"{address.scheme} keeps verdicts with the version itself", where="--verdicts-at", fix="Leave it out"
        )
    registry: VerdictRegistry
    # Each module is imported when it is needed: their client libraries take seconds, and few have more than one.
    match address.scheme:
        case "sagemaker":
            from llmgate.promote.elsewhere.sagemaker import SageMakerRegistry  # noqa: PLC0415

            registry = SageMakerRegistry(place["region"], verdicts=verdicts_at)
        case "vertex":
            from llmgate.promote.elsewhere.vertex import VertexRegistry  # noqa: PLC0415

            registry = VertexRegistry(place["project"], place["location"], verdicts=verdicts_at)
        case "databricks-uc":
            from llmgate.promote.elsewhere.databricks_uc import UnityCatalogRegistry  # noqa: PLC0415

            registry = UnityCatalogRegistry()
        case "wandb":
            from llmgate.promote.elsewhere.wandb_registry import WandbRegistry  # noqa: PLC0415

            registry = WandbRegistry(place["entity"], place["registry"])
        case _:
            from llmgate.promote.elsewhere.hugging_face import HuggingFaceRegistry  # noqa: PLC0415

            registry = HuggingFaceRegistry()
    return registry, address
