"""What suites ask of serving in the course of a run: checked before, planned for two arms, or measured once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmgate.record.run.rundir import RunDir
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.run.serving_arms import RunArms
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["arms_of", "bench_suites", "check_serving"]


def check_serving(settings: Settings, plan: Plan) -> None:
    """Refuse measurements of serving that cannot be made as they are asked for.

    Raises:
        LlmgateError: If there is one.
    """
    specs = [each.suite.serving for each in plan.suites if each.suite.serving is not None]
    if not specs:
        return
    # With it comes the load generator: only suites that measure serving pay for it, here and below.
    from llmgate.bench.workload.build import check_workload  # noqa: PLC0415
    from llmgate.session.serving.single import refuse_limits  # noqa: PLC0415

    for spec in specs:
        check_workload(spec)
        if not settings.no_bench:
            refuse_limits(settings)


def arms_of(settings: Settings, plan: Plan, run: RunDir, target: Target, *, progress: Progress) -> RunArms | None:
    """The comparisons of serving, None where no suite measures it.

    Raises:
        LlmgateError: As `plan_run_arms`.
    """
    if all(each.suite.serving is None for each in plan.suites):
        return None
    from llmgate.session.run.serving_arms import plan_run_arms  # noqa: PLC0415 - see `check_serving`

    return plan_run_arms(settings, plan, run, target, progress=progress)


async def bench_suites(plan: Plan, run: RunDir, target: Target, *, others: frozenset[str], progress: Progress) -> None:
    """Take the single serving measurements that suites ask for, now that the server has nothing else to do.

    Args:
        plan: What suites ask for.
        run: Where results go; what it holds already is kept.
        target: What is measured.
        others: Suites that are measured in several runs instead.
        progress: Told about every measurement.
    """
    from llmgate.bench.watch.watches import watches_for  # noqa: PLC0415 - see `check_serving`
    from llmgate.session.serving.single import load_words, measure_once  # noqa: PLC0415

    done = {trace.name for trace in run.serving()} | others
    for planned in plan.suites:
        spec = planned.suite.serving
        if spec is None or planned.suite.name in done or planned.suite.name not in plan.gated:
            continue
        progress.stage(f"measuring serving: {spec.requests} requests, {load_words(spec)}")
        run.add_serving(
            await measure_once(
                target,
                spec,
                [case.messages for case in planned.cases],
                name=planned.suite.name,
                watches=watches_for(target.endpoint, server_pid=target.pid),
                on_progress=lambda done, total: progress.count("serving requests", done, total),
            )
        )
