"""Checks of what must not leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.score.canary import CANARY_CHECKS
from llmgate.score.pii import PII_CHECKS
from llmgate.score.secretscan import SECRET_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.score.check import CheckKind

__all__ = ["SAFETY_CHECKS"]

SAFETY_CHECKS: Mapping[str, CheckKind] = {**CANARY_CHECKS, **PII_CHECKS, **SECRET_CHECKS}
