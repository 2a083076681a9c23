#!/usr/bin/env python3
"""Inputs of the action → `llmgate run`, in a log that obeys no model.

Ends with 0 however the gate ended: the action's last step fails the job, once report and record have been kept.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import EXIT_CANNOT_RUN, EXIT_USAGE, UsageError
from llmgate.record.redaction import Redactor, environment_secrets
from llmgate.report.formats.github import write_outputs
from llmgate.report.visible import visible
from llmgate.session.decide.github import LOG_NAME, RESULT_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO, TextIO

PREFIX: Final = "LLMGATE_ACTION_"
FLAGS: Final = (
    "model",
    "endpoint",
    "served-name",
    "server-args",
    "baseline",
    "policy",
    "judge-model",
    "judge-endpoint",
    "judge-name",
    "judges",
    "judge-admission",
    "embed-endpoint",
    "embed-name",
    "concurrency",
    "mlflow-uri",
    "mlflow-model",
    "registry-uri",
)
"""Inputs that are options of `llmgate run` by the same name."""
RUNNER_FILES: Final = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
LONGEST_LINE: Final = 64 * 1024
LONGEST_SECRET: Final = 8 * 1024
READER_GRACE_S: Final = 10.0


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """The action's inputs by name, without surrounding white space."""
    return {
        name.removeprefix(PREFIX).lower().replace("_", "-"): value.strip()
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }


def words(inputs: Mapping[str, str], name: str) -> list[str]:
    """An input that is a list: words as a shell would cut them, over one line or many."""
    try:
        return shlex.split(inputs.get(name, ""))
    except ValueError as error:
        raise UsageError(f"cannot be read ({error})", where=f"input {name}", fix="Close the quotation") from error


def switch(inputs: Mapping[str, str], name: str) -> bool:
    """An input that is true or false."""
    value = inputs.get(name, "")
    if value not in {"true", "false"}:
        raise UsageError(f"is {value!r}", where=f"input {name}", fix="Give true or false")
    return value == "true"


def arguments(inputs: Mapping[str, str], out: Path) -> list[str]:
    """The arguments of `llmgate run`.

    Raises:
        UsageError: If an input cannot be read or no suite is named.
    """
    suites = words(inputs, "suites")
    if not suites:
        raise UsageError("names no suite", where="input suites", fix="Give files or folders, for example suites/")
    flags = [f"--{name}={inputs[name]}" for name in FLAGS if inputs.get(name)]
    if switch(inputs, "allow-inconclusive"):
        flags.append("--allow-inconclusive")
    # --out last, so that extra-args cannot lead the record to where the steps after this one do not look.
    return ["run", *flags, *words(inputs, "extra-args"), f"--out={out}", "--", *suites]


def scratch(environ: Mapping[str, str]) -> Path:
    """A new folder that the runner removes after the job."""
    return Path(tempfile.mkdtemp(prefix="llmgate-", dir=environ.get("RUNNER_TEMP")))


def run_folder(inputs: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    """The run's folder, made.

    Raises:
        UsageError: If it cannot be made, or holds a decision that is not this run's.
    """
    if not inputs.get("out"):
        return scratch(environ)
    folder = Path(inputs["out"]).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = [folder / name for name in RESULT_NAMES if (folder / name).exists()]
        if earlier and "--resume" not in words(inputs, "extra-args"):
            raise UsageError(
                f"{folder} holds the results of an earlier run",
                where="input out",
                fix="Choose another folder, or leave it empty",
            )
        for file in earlier:
            file.unlink()
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be used ({error.strerror})", where="input out", fix="Choose another folder"
        ) from error
    return folder


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What llmgate and the server that it starts get to see: nothing by which they could talk to the runner."""
    return {name: value for name, value in environ.items() if name not in RUNNER_FILES and not name.startswith(PREFIX)}


def shown(line: str) -> str:
    """One line for the log: no control character, no `##[` that the log viewer would take for markup."""
    return visible(line.rstrip("\r\n")).replace("##[", "# #[") + "\n"


def copy_lines(source: BinaryIO, redact: Redactor, *targets: TextIO) -> None:
    """Copy line by line, without secrets, until the source ends, then close it."""
    held = ""
    with source:
        while line := source.readline(LONGEST_LINE):
            text = redact.text(held + line.decode("utf-8", errors="replace"))
            # What a line of many goes on with may be the other half of a secret.
            held = "" if line.endswith(b"\n") else text[-LONGEST_SECRET:]
            write(text.removesuffix(held), targets)
    if held:
        write(held, targets)


def write(text: str, targets: Sequence[TextIO]) -> None:
    """Write a line to each target."""
    for target in targets:
        target.write(shown(text))
        target.flush()


def command(argv: list[str]) -> list[str]:
    """The command line of llmgate in the interpreter that runs this."""
    # -P: a file of the checkout that is called like a module must not run.
    return [sys.executable, "-P", "-c", "from llmgate.cli import main; main(prog_name='llmgate')", *argv]


def follow(started: list[str], environ: Mapping[str, str], log: TextIO) -> int:
    """Run a command to its end; what it prints goes to the job's log and to a file.

    Args:
        started: The command line.
        environ: This process's environment; the command gets what `child_environment` leaves of it.
        log: The file.

    Returns:
        Its exit code; 4 if a signal ended it.
    """
    redact = Redactor(tuple(environment_secrets(environ)))
    child = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        started,
        env=child_environment(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    # The runner signals one process only, and llmgate ends its server properly on an interrupt.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: child.send_signal(signal.SIGINT))
    reader = threading.Thread(
        name="log-reader", target=copy_lines, args=(child.stdout, redact, sys.stdout, log), daemon=True
    )
    reader.start()
    code = child.wait()
    # A process that outlives llmgate may hold the pipe open; it must not hold the job.
    reader.join(READER_GRACE_S)
    return code if code >= 0 else EXIT_CANNOT_RUN


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Run the gate and leave `folder` and `exit-code` as outputs for the steps that follow."""
    inputs = given(environ)
    outputs = Path(environ["GITHUB_OUTPUT"])
    try:
        folder = run_folder(inputs, environ)
        argv = arguments(inputs, folder)
    except UsageError as error:
        folder = scratch(environ)
        (folder / LOG_NAME).write_text(f"llmgate: {visible(str(error))}\n", encoding="utf-8")
        write_outputs({"folder": str(folder), "exit-code": str(EXIT_USAGE)}, outputs)
        return
    # Before the run, so that what a killed run leaves behind is found.
    write_outputs({"folder": str(folder)}, outputs)
    word = f"llmgate-{secrets.token_hex(16)}"
    sys.stdout.write(f"::stop-commands::{word}\n")
    sys.stdout.flush()
    try:
        with (folder / LOG_NAME).open("w", encoding="utf-8") as log:
            code = follow(command(argv), environ, log)
    finally:
        sys.stdout.write(f"\n::{word}::\n")
        sys.stdout.flush()
    write_outputs({"exit-code": str(code)}, outputs)


if __name__ == "__main__":
    main()
