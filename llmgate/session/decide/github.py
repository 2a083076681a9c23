"""A run's folder → what GitHub Actions shows: step outputs, the job summary, one annotation.

It reads only what is on disk, so it works after a gate that could not run. Such a gate has no decision, and what has
no decision, or a decision that contradicts the exit code, is an ERROR here, never a PASS.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import EXIT_CANNOT_RUN, EXIT_PASS, EXIT_USAGE, RecordError, UsageError
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.types import Verdict
from llmgate.record.disk import read_regular
from llmgate.record.run.loading import load_seal
from llmgate.report.formats.github import SUMMARY_BYTES, annotation, write_outputs
from llmgate.report.markdown_text import fenced
from llmgate.report.pieces import Piece
from llmgate.report.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.gate.decision.types import Decision

__all__ = ["LOG_NAME", "RESULT_NAMES", "SIGNED_NAMES", "GateResult", "announce", "job_summary", "read_result"]

LOG_NAME: Final = "llmgate.log"
"""What `llmgate run` printed, where a caller kept it beside the record."""
DECISION_NAME: Final = "decision.json"
PUBLISHED_NAME: Final = "published.json"
SUMMARY_NAME: Final = "summary.md"
REPORT_NAME: Final = "report.html"
VERDICT_NAME: Final = "verdict.json"
SIGNED_NAMES: Final = ("verdict.dsse.json", "svr.dsse.json")
"""The signed verdict, and the verification result beside a PASS."""
RESULT_NAMES: Final = (DECISION_NAME, VERDICT_NAME, PUBLISHED_NAME, SUMMARY_NAME, REPORT_NAME, *SIGNED_NAMES)
"""Files by which a folder says how its run ended."""

ERROR: Final = "ERROR"
LOG_TAIL_LINES: Final = 40
LOG_TAIL_CHARS: Final = 8_000
SENTENCE_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """How a gate ended.

    Attributes:
        verdict: PASS, FAIL or INCONCLUSIVE; ERROR if there is no decision that counts.
        sentence: Why, on one line, with nothing hidden in it.
        exit_code: What the job should end with; 0 only where the gate and its decision agree on it.
        folder: The run's folder, absolute.
        version: The registered version that was judged, "" without one.
        has_decision: Whether a decision was taken, even if an error followed it.
    """

    verdict: str
    sentence: str
    exit_code: int
    folder: Path
    version: str = ""
    has_decision: bool

    @property
    def outputs(self) -> dict[str, str]:
        """The action's outputs. Files that do not exist are empty."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "exit-code": str(self.exit_code),
            "record": str(self.folder),
            "report": existing(self.folder / REPORT_NAME),
            "summary": existing(self.folder / SUMMARY_NAME),
            "version": self.version,
        }

    @property
    def annotation(self) -> str:
        """The workflow command that shows the verdict at the top of the job."""
        title = f"llmgate: {self.verdict}"
        if self.exit_code != EXIT_PASS:
            return annotation("error", self.sentence, title=title)
        return annotation("notice" if self.verdict == Verdict.PASS else "warning", self.sentence, title=title)


def announce(folder: Path, *, exit_code: int, environ: Mapping[str, str] = os.environ) -> GateResult:
    """Write the outputs and the job summary of a run.

    Args:
        folder: The run's folder, which may be empty.
        exit_code: What `llmgate run` ended with.
        environ: Names the runner's files.

    Raises:
        UsageError: If this is no GitHub Actions step, or its files cannot be written.
    """
    outputs, summary = (runner_file(environ, name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))
    result = read_result(folder, exit_code=exit_code)
    write_outputs(result.outputs, outputs)
    try:
        used = summary.stat().st_size if summary.exists() else 0
        with summary.open("a", encoding="utf-8", newline="\n") as file:
            file.write(job_summary(result, max_bytes=SUMMARY_BYTES - used - 1))
    except OSError as error:
        raise UsageError(
            f"cannot write: {error.strerror}", where=str(summary), fix="Check what GITHUB_STEP_SUMMARY names"
        ) from error
    return result


def read_result(folder: Path, *, exit_code: int) -> GateResult:
    """Find out how a gate ended, believing neither its exit code nor its decision alone.

    Args:
        folder: The run's folder, which may be empty or missing.
        exit_code: What `llmgate run` ended with.
    """
    folder = folder.absolute()
    decision, damage = read_decision(folder / DECISION_NAME)
    if decision is not None and exit_code == EXIT_PASS and not is_of(decision, folder):
        decision, damage = None, f"{DECISION_NAME} is not of the run that lies here"
    if decision is not None and decision.exit_code == exit_code:
        return GateResult(
            verdict=str(decision.verdict),
            sentence=one_line(decision.sentence, SENTENCE_CHARS),
            exit_code=exit_code,
            folder=folder,
            version=read_version(folder / PUBLISHED_NAME),
            has_decision=True,
        )
    return GateResult(
        verdict=ERROR,
        sentence=one_line(damage or last_error(folder / LOG_NAME) or f"llmgate ended with exit code {exit_code}"),
        exit_code=exit_code if exit_code in {EXIT_USAGE, EXIT_CANNOT_RUN} else EXIT_CANNOT_RUN,
        folder=folder,
        has_decision=decision is not None,
    )


def job_summary(result: GateResult, *, max_bytes: int) -> str:
    """The job summary in Markdown: the report, or why there is none.

    Args:
        result: How the gate ended.
        max_bytes: Most bytes of UTF-8. A report that is longer is left out as a whole, so that no part of it can
            lose the fence around it.
    """
    report = read_text(result.folder / SUMMARY_NAME) if result.has_decision else ""
    if result.verdict != ERROR:
        whole = report or heading(result) + "The report's summary is missing; the outputs name the record.\n"
        return whole if len(whole.encode()) <= max_bytes else short(result, max_bytes)
    text = heading(result) + f"Exit code {result.exit_code}. There is no verdict.\n"
    tail = log_tail(result.folder / LOG_NAME)
    if tail:
        text += f"\n<details><summary>The last lines of the log</summary>\n\n{fence(tail)}\n</details>\n"
    if report:
        text += f"\nThe decision below was taken before the error, and does not count.\n\n{report}"
    return text if len(text.encode()) <= max_bytes else short(result, max_bytes)


def heading(result: GateResult) -> str:
    """The verdict and the sentence, as the first lines of a summary."""
    what = "⚠️ ERROR: the gate could not run" if result.verdict == ERROR else result.verdict
    return f"## {what}\n\n{fence(result.sentence)}\n"


def short(result: GateResult, max_bytes: int) -> str:
    """As much as fits where the report does not: the heading, or nothing."""
    text = heading(result) + "The report does not fit into this summary; the outputs name it.\n"
    return text if len(text.encode()) <= max_bytes else ""


def fence(text: str) -> str:
    """A code block that the text cannot end."""
    return fenced((Piece(text=text),))


def read_decision(path: Path) -> tuple[Decision | None, str]:
    """The decision, or None and what is wrong with the file; a file that is missing is not wrong."""
    try:
        return decision_from_json(read_regular(path).decode()), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, UnicodeDecodeError) as error:
        return None, f"{path.name} cannot be read ({error})"
    except RecordError as error:
        return None, f"{path.name}: {error.what}"


def is_of(decision: Decision, folder: Path) -> bool:
    """Whether a decision was taken on the record that lies beside it."""
    try:
        return load_seal(folder).journal_digest == decision.candidate_digest
    except RecordError:
        return False


def read_version(path: Path) -> str:
    """The registered version that `publish` noted, "" without one."""
    try:
        published = json.loads(read_regular(path))
        return str(published["version"] or "")
    except (OSError, ValueError, TypeError, KeyError):
        return ""  # a convenience for later steps; promotion looks it up itself


def read_text(path: Path) -> str:
    """A file's text, "" if there is none."""
    try:
        return read_regular(path).decode(errors="replace").replace("\r\n", "\n")
    except OSError:
        return ""


def last_error(log: Path) -> str:
    """The last error that llmgate printed, with the lines that belong to it; "" if there is none."""
    parts = re.split(r"^llmgate: ", read_text(log), flags=re.MULTILINE)
    return " ".join(parts[-1].split()) if len(parts) > 1 else ""


def log_tail(log: Path) -> str:
    """The end of the log, bounded, with nothing hidden in it."""
    lines = read_text(log)[-LOG_TAIL_CHARS:].splitlines()
    return visible("\n".join(lines[-LOG_TAIL_LINES:]).strip())


def runner_file(environ: Mapping[str, str], name: str) -> Path:
    """A file by which a step talks to the runner."""
    value = environ.get(name)
    if not value:
        raise UsageError(f"{name} is not set", fix="Call this in a step of a GitHub Actions workflow")
    return Path(value)


def existing(path: Path) -> str:
    """The path, "" if nothing is there."""
    return str(path) if path.exists() else ""
