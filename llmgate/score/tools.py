"""Checks of tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.score.functions import FUNCTION_CHECKS
from llmgate.score.toolcalls import TOOL_CALL_CHECKS
from llmgate.score.toolnames import TOOL_NAME_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.score.check import CheckKind

__all__ = ["TOOL_CHECKS"]

TOOL_CHECKS: Mapping[str, CheckKind] = {**TOOL_NAME_CHECKS, **FUNCTION_CHECKS, **TOOL_CALL_CHECKS}
