"""Records hold prompts and answers: nobody else reads them, and no link that somebody planted is written through."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from support.adversary import llmgate
from support.fake_server import FakeServer
from support.project import answer_right, write_suite

from llmgate.errors import LlmgateError
from llmgate.record.judges.verdicts import Trial, VerdictLog
from llmgate.record.run.journal import Journal
from llmgate.record.run.watch import RunLock, RunWatch
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.identity import Identity


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(answer=answer_right) as server:
        yield server


def modes(folder: Path) -> dict[str, int]:
    """Names below a folder, itself included, and who may do what."""
    found = {path.relative_to(folder.parent).as_posix(): path for path in (folder, *folder.rglob("*"))}
    return {name: stat.S_IMODE(path.lstat().st_mode) for name, path in found.items()}


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_run_is_private_whatever_the_umask(
    server: FakeServer, tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    suite = write_suite(tmp_path / "project", cases=2)
    monkeypatch.chdir(tmp_path / "project")
    before = os.umask(umask)
    try:
        words = ("run", str(suite), "--endpoint", server.url, "--retries", "0")
        llmgate(*words, "--out", ".llmgate/runs/one")
        llmgate(*words, "--out", ".llmgate/runs/two", "--baseline", ".llmgate/runs/one")
    finally:
        os.umask(before)
    found = modes(tmp_path / "project" / ".llmgate")
    folders = {".llmgate", ".llmgate/runs", ".llmgate/runs/one", ".llmgate/runs/two"}
    kept = {name for name in found if name.startswith(".llmgate/attempts")}
    folders |= {name for name in kept if (tmp_path / "project" / name).is_dir()}
    assert kept > folders & kept > set()
    assert {".llmgate/runs/two/report.html", ".llmgate/runs/two/journal.jsonl"} <= set(found)
    assert {name for name, mode in found.items() if mode == 0o700} == folders
    assert {name: oct(mode) for name, mode in found.items() if name not in folders and mode != 0o600} == {}


def test_an_older_record_is_gone_on_with(server: FakeServer, tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path, cases=2), tmp_path / "run"
    words = ("run", str(suite), "--endpoint", server.url, "--retries", "0", "--out", str(out))
    llmgate(*words)
    (out / "seal.json").unlink()
    out.chmod(0o755)
    for path in out.iterdir():
        path.chmod(0o644)
    ended = llmgate(*words, "--resume")
    assert ended.exit_code == 3, ended.output
    found = modes(out)
    assert found["run"] == 0o755  # the user's own folder
    assert {found[f"run/{name}"] for name in ("journal.jsonl", "run.lock", "seal.json", "report.html")} == {0o600}


Writer = "Callable[[Path], object]"
WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "run.lock": ("run.lock", lambda folder: RunLock(folder).release()),
    "journal": ("journal.jsonl", lambda folder: Journal(folder / "journal.jsonl").close()),
    "verdicts": ("v.jsonl", lambda folder: VerdictLog(folder / "v.jsonl", Trial(), resume=True).__exit__()),
}


@pytest.mark.parametrize("what", ["link", "link to nothing", "hard link", "fifo", "folder"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_somebody_planted_is_not_written_through(tmp_path: Path, writer: str, what: str) -> None:
    name, write = WRITERS[writer]
    victim, folder = tmp_path / "victim", tmp_path / "run"
    folder.mkdir()
    victim.write_bytes(b"")
    match what:
        case "link":
            (folder / name).symlink_to(victim)
        case "link to nothing":
            (folder / name).symlink_to(tmp_path / "made")
        case "hard link":
            (folder / name).hardlink_to(victim)
        case "fifo":
            os.mkfifo(folder / name)
        case _:
            (folder / name).mkdir()
    with pytest.raises(LlmgateError, match="symbolic link|hard link|regular file|directory"):
        write(folder)
    assert victim.read_bytes() == b""
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644
    assert not (tmp_path / "made").exists()


def test_the_reason_of_an_end_goes_through_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    lock = RunLock(tmp_path / "run")
    (tmp_path / "run" / "aborted.txt").symlink_to(victim)
    lock.release("over")
    assert victim.read_bytes() == b"mine"
    assert RunWatch(tmp_path / "run").state().reason == "over"


def test_who_follows_a_run_waits_for_no_fifo(tmp_path: Path) -> None:
    for name in ("journal.jsonl", "run.lock", "aborted.txt"):
        os.mkfifo(tmp_path / name)
    watch = RunWatch(tmp_path)
    with pytest.raises((LlmgateError, OSError), match="no regular file"):
        watch.refresh()
    assert watch.state().reason == "the run ended before it was complete"


def test_a_draft_that_was_foreseen_is_not_followed(tmp_path: Path) -> None:
    rows, victim = tmp_path / "d.jsonl", tmp_path / "victim"
    rows.write_text('{"id": "a"}\n', encoding="utf-8")
    victim.write_bytes(b"mine")
    (tmp_path / f".d.lock.json.{os.getpid()}.tmp").symlink_to(victim)
    write_lock(rows)
    assert victim.read_bytes() == b"mine"


def test_an_import_goes_through_no_link_to_nothing(tmp_path: Path) -> None:
    config = tmp_path / "c" / "promptfooconfig.yaml"
    config.parent.mkdir()
    config.write_text(
        "description: x\nprompts: ['{{q}}']\ntests: [{vars: {q: a}, assert: [{type: contains, value: a}]}]",
        encoding="utf-8",
    )
    (tmp_path / "out" / "datasets").mkdir(parents=True)
    for name in ("x.yaml", "datasets/x.jsonl", "datasets/x.lock.json"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "made")
    assert llmgate("import", "promptfoo", str(config), "--out", str(tmp_path / "out")).exit_code in {0, 2}
    assert not (tmp_path / "made").exists()


PLANT = """
import os, pathlib, sys
from llmgate.errors import LlmgateError
from llmgate.record.disk import write_atomic
from llmgate.record.run.watch import RunLock
folder = pathlib.Path("run")
os.umask(0)
with RunLock(folder): write_atomic(folder / "cases.jsonl", b"private")
for path in (folder, *folder.iterdir()): print(oct(path.stat().st_mode & 0o777))
victim = pathlib.Path("victim"); victim.write_text("mine")
planted = pathlib.Path("other"); planted.mkdir(); (planted / "run.lock").symlink_to(victim.absolute())
try: RunLock(planted)
except LlmgateError as error: print("refused" if "symbolic link" in str(error) else error)
print(victim.read_text())
"""


def test_so_it_is_for_every_user(identity: Identity) -> None:
    done = identity.python("-c", PLANT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0o700", "0o600", "0o600", "refused", "mine"]


def test_nobody_else_reads_the_record_of_root(identity: Identity) -> None:
    if identity.uid is None:
        pytest.skip("as root everything can be read")
    folder = identity.folder / "of-root"
    with RunLock(folder):
        done = identity.python("-c", "print(open('of-root/run.lock').read())")
    assert done.returncode != 0
    assert "PermissionError" in done.stderr
