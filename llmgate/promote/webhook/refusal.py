"""A delivery that is not taken."""

from __future__ import annotations

from llmgate.errors import LlmgateError

__all__ = ["DeliveryRefusedError"]


class DeliveryRefusedError(LlmgateError):
    """A delivery that is not taken; nothing of it was carried out.

    Args:
        status: The HTTP status of the answer. MLflow 3.17 sends a delivery again, with the same id, after 429 and 5xx.
        what: Why, for the log and the answer; holds nothing that the sender did not send.
        fix: What the operator can do.
    """

    def __init__(self, status: int, what: str, *, fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.status = status
