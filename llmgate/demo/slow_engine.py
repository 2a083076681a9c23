"""A vLLM that is slower by a known share and answers the same: each step of its engine is followed by a pause.

vLLM loads it as a general plugin in the process of its engine. The entry point by which it finds it is made for one
server (`slowed`), so no other vLLM on the machine is touched.
"""

from __future__ import annotations

import os
import time
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["install", "slowed"]

SHARE: Final = "LLMGATE_DEMO_SLOWDOWN"
"""Environment variable: the pause after a step, as a share of the step."""
STEPS: Final = ("step", "step_with_batch_queue")


def slowed(folder: Path, throughput_lost: float) -> Mapping[str, str]:
    """The environment of a server that is to be slower.

    Args:
        folder: Gets the entry point.
        throughput_lost: Share of its throughput, 0.1 for 10 %; each step then takes 1 / (1 − 0.1) as long.
    """
    info = folder / "llmgate_slow_engine-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmgate-slow-engine\nVersion: 1\n", encoding="utf-8")
    entry = f"[vllm.general_plugins]\nllmgate-slow-engine = {__name__}:install\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")
    paths = [str(folder.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), SHARE: str(1.0 / (1.0 - throughput_lost) - 1.0)}


def install() -> None:
    """Slow the engine of this process down; called by vLLM."""
    from vllm.v1.engine.core import EngineCore  # noqa: PLC0415 - vLLM calls this, so it is there, and only there

    share = float(os.environ[SHARE])
    for name in STEPS:
        step = getattr(EngineCore, name)
        if not getattr(step, "slowed", False):  # vLLM may load plugins twice in a process
            setattr(EngineCore, name, with_pause(step, share))


def with_pause(step: Callable[..., Any], share: float) -> Callable[..., Any]:
    """A step of the engine and a pause that is in proportion to it."""

    @wraps(step)
    def paused(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        done = step(*args, **kwargs)
        if done[1]:  # whether the model was executed
            time.sleep((time.perf_counter() - begun) * share)
        return done

    paused.slowed = True  # type: ignore[attr-defined]
    return paused
