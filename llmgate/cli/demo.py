"""`llmgate demo`."""

from __future__ import annotations

from pathlib import Path

import click

from llmgate.cli.frame import EXIT_CODES, PATH, Command

__all__ = ["demo"]


@click.command(cls=Command, epilog=EXIT_CODES)
@click.option("--folder", type=PATH, default=Path(".demo"), show_default=True, help="Where models and runs go.")
@click.option("--serving", is_flag=True, help="Show serving in the verdict instead; takes about 40 minutes.")
def demo(folder: Path, *, serving: bool) -> int:
    """Show the gate at work on a real small model, without a GPU.

    Fetches SmolLM2-135M, makes two candidates from it (re-saved, and one with layers removed), asks all three 260
    questions, logs to an MLflow server of its own that no unsigned verdict moves, decides, signs, promotes the one that
    deserves it, is refused the other, and rolls back. Models and records of an earlier demo in the folder are used
    again; the registry begins anew. It takes vLLM for the CPU: pip install 'pytest-llmgate[demo]'

    With --serving, the same model is served by two servers, which are measured against each other: when they are
    equal, when other processes keep the machine busy, and when one is slower by a tenth.
    """
    if serving:
        from llmgate.demo.serving import run_serving_demo

        return run_serving_demo(folder)
    from llmgate.demo.run import run_demo

    return run_demo(folder)
