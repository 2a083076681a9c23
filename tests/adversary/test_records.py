"""Records that were edited, thinned out, copied or given twice."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite

if TYPE_CHECKING:
    from collections.abc import Callable

Damage = tuple[str, "Callable[[Path], object]"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records `champion` and `good`, all right, and `bad`, all wrong."""
    folder = tmp_path_factory.mktemp("runs")
    suite = write_suite(folder, cases=40)
    with FakeServer(answer=lambda body: WRONG if wrong else answer_right(body)) as server:
        for name in ("champion", "good", "bad"):
            wrong = name == "bad"
            words = ("--endpoint", server.url, "--deployment", name, "--retries", "0")
            llmgate("run", suite, *words, out=folder / name)
    return folder


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Path) -> Path:
    """Copies of the records, to be damaged."""
    for name in ("champion", "good", "bad"):
        shutil.copytree(runs / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> bool:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    return bool(path.write_text(json.dumps(value), encoding="utf-8"))


def forgive(run: Path) -> None:
    """Make the policy in a manifest let anything pass."""

    def loosen(manifest: dict[str, Any]) -> None:
        for metric in manifest["policy"]["metrics"]:
            metric.update(margin=0.999, min=None)

    edit(run / "manifest.json", loosen)


def unlist(run: Path, *names: str) -> None:
    edit(run / "seal.json", lambda seal: [seal["files"].pop(name) for name in names])


def reseal(run: Path, **fields: Any) -> bool:
    """Write the digests of what is there now."""

    def again(seal: dict[str, Any]) -> None:
        seal["files"] = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in seal["files"]}
        seal["journal_digest"] = hashlib.sha256((run / "journal.jsonl").read_bytes()).hexdigest()
        seal.update(fields)

    edit(run / "seal.json", again)
    return True


def set_seal(**fields: Any) -> Callable[[Path], object]:
    return lambda run: edit(run / "seal.json", lambda seal: seal.update(fields))


def list_also(name: str) -> Callable[[Path], object]:
    return lambda run: edit(run / "seal.json", lambda seal: seal["files"].update({name: "0" * 64}))


def drop_list(run: Path) -> None:
    edit(run / "seal.json", lambda seal: seal.pop("files"))


def test_honest_a_good_run_passes() -> None:
    assert llmgate("decide", "good", "champion").green


def test_honest_a_bad_run_fails() -> None:
    assert llmgate("decide", "bad", "champion").exit_code == 1


FORGIVEN: list[Damage] = [
    ("no list", drop_list),
    ("an empty list", set_seal(files={})),
    ("a list of null", set_seal(files=None)),
    ("a list in a list", set_seal(files=[])),
    ("manifest not listed", lambda run: unlist(run, "manifest.json")),
    ("manifest and cases not listed", lambda run: unlist(run, "manifest.json", "cases.jsonl")),
    ("list in capitals", lambda run: edit(run / "seal.json", lambda seal: seal.update(Files=seal.pop("files")))),
    ("name in capitals", lambda run: edit(run / "seal.json", lambda s: s["files"].update(M=s["files"].pop("manifest.json")))),
    ("name with a dot", lambda r: edit(r / "seal.json", lambda s: s["files"].update({"./manifest.json": s["files"].pop("manifest.json")}))),
    ("nothing else", lambda _: None),
    ("no seal", lambda run: (run / "seal.json").unlink()),
    ("empty seal", lambda run: (run / "seal.json").write_text("{}", encoding="utf-8")),
    ("seal is a folder", lambda run: (run / "seal.json").rename(run / "seal").with_name("seal.json").mkdir()),
]  # fmt: skip


@pytest.mark.parametrize("damage", [row[1] for row in FORGIVEN], ids=[row[0] for row in FORGIVEN])
@pytest.mark.parametrize("command", ["decide", "report"])
def test_a_policy_edited_in_the_manifest(
    attempt: Callable[[Ending], None], damage: Callable[[Path], object], command: str, project: Path
) -> None:
    forgive(project / "bad")
    damage(project / "bad")
    words = ("decide", "bad", "champion") if command == "decide" else ("report", "bad", "champion")
    attempt(llmgate(*words, out="bad"))


DAMAGES: list[Damage] = [
    ("no list", drop_list),
    ("cases not listed", lambda run: unlist(run, "cases.jsonl")),
    ("manifest not listed", lambda run: unlist(run, "manifest.json")),
    ("journal listed again", list_also("journal.jsonl")),
    ("journal listed again with its digest", lambda run: edit(run / "seal.json", lambda s: (s["files"].update({"journal.jsonl": s["journal_digest"]}), s.update(journal_digest="0" * 64)))),
    ("seal listed", list_also("seal.json")),
    ("unknown name", lambda run: ((run / "notes.txt").write_text("", encoding="utf-8"), edit(run / "seal.json", lambda s: s["files"].update({"notes.txt": hashlib.sha256(b"").hexdigest()})))),
    ("report listed", lambda run: edit(run / "seal.json", lambda s: s["files"].update({"report.html": hashlib.sha256((run / "report.html").read_bytes()).hexdigest()}))),
    ("name out of the folder", list_also("../good/manifest.json")),
    ("serving out of the folder", list_also("serving-/../x.json")),
    ("absolute name", list_also("/etc/hostname")),
    ("empty name", list_also("")),
    ("measurement that is not there", list_also("serving-words.json")),
    ("measurement added", lambda run: (run / "serving-x.json").write_text("{}", encoding="utf-8")),
    ("canaries added", lambda run: (run / "canaries.json").write_text("[]", encoding="utf-8")),
    ("anchors added", lambda run: (run / "anchors.json").write_text("{}", encoding="utf-8")),
    ("folder as measurement", lambda run: (run / "serving-x.json").mkdir()),
    ("fewer results counted", set_seal(results=39)),
    ("no results counted", set_seal(results=0)),
    ("no journal", lambda run: (run / "journal.jsonl").unlink()),
    ("empty journal", lambda run: (run / "journal.jsonl").write_bytes(b"")),
    ("shorter journal, sealed again", lambda run: ((run / "journal.jsonl").write_bytes(b"".join((run / "journal.jsonl").read_bytes().splitlines(keepends=True)[:20])), reseal(run))),
    ("journal of nothing, sealed again", lambda run: ((run / "journal.jsonl").write_bytes(b""), reseal(run, results=0))),
    ("fewer cases, sealed again", lambda run: ((run / "cases.jsonl").write_bytes(b"".join((run / "cases.jsonl").read_bytes().splitlines(keepends=True)[:20])), reseal(run))),
]  # fmt: skip


@pytest.mark.parametrize("damage", [row[1] for row in DAMAGES], ids=[row[0] for row in DAMAGES])
@pytest.mark.parametrize("side", ["good", "champion"])
def test_a_record_is_complete_or_none(
    attempt: Callable[[Ending], None], damage: Callable[[Path], object], side: str, project: Path
) -> None:
    damage(project / side)
    attempt(llmgate("decide", "good", "champion"))


@pytest.mark.parametrize("noise", ["champion", "champion-again"])
def test_noise_of_a_run_with_itself(attempt: Callable[[Ending], None], noise: str, project: Path) -> None:
    shutil.copytree(project / "champion", project / "champion-again")
    attempt(llmgate("decide", "good", "champion", "--noise", noise))


def test_power_of_a_run_with_itself(attempt: Callable[[Ending], None], project: Path) -> None:
    shutil.copytree(project / "champion", project / "copy")
    attempt(llmgate("power", "--aa", "champion", "copy"))


def test_honest_power_of_two_runs() -> None:
    assert llmgate("power", "--aa", "champion", "good").exit_code == 0


def linked(project: Path, run: str) -> str:
    (project / "link").symlink_to(project / run)
    return "link"


def copied(project: Path, run: str) -> str:
    shutil.copytree(project / run, project / "copy")
    return "copy"


def renamed(project: Path, run: str) -> str:
    """A copy that says that it is another run, under a seal of its own."""
    copy = project / copied(project, run)
    edit(copy / "manifest.json", lambda manifest: manifest.update(run_id="another-run"))
    reseal(copy, sealed_at="2026-01-01T00:00:00+00:00")
    return "copy"


def rebuilt(project: Path, run: str) -> str:
    """A copy with its lines in another order, under another name and a seal of its own."""
    copy = project / renamed(project, run)
    lines = (copy / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "journal.jsonl").write_bytes(b"".join(reversed(lines)))
    reseal(copy)
    return "copy"


@pytest.mark.parametrize(
    "again", [lambda _, run: run, lambda project, run: f"{project}/./{run}/", linked, copied, renamed, rebuilt],
    ids=["same", "another path", "link", "copy", "renamed", "rebuilt"],
)  # fmt: skip
@pytest.mark.parametrize("run", ["good", "bad"])
def test_a_run_against_itself(
    attempt: Callable[[Ending], None], again: Callable[[Path, str], str], run: str, project: Path
) -> None:
    forgive(project / run)
    reseal(project / run)
    ending = llmgate("decide", run, again(project, run))
    assert "same" in ending.output
    attempt(ending)


def test_a_run_against_its_own_folder(attempt: Callable[[Ending], None], runs: Path) -> None:
    with FakeServer(answer=answer_right) as server:
        words = ("--endpoint", server.url, "--deployment", "good", "--resume", "--baseline", "good")
        (Path("good") / "decision.json").unlink()
        ending = llmgate("run", runs / "words.yaml", *words, out="good")
    assert "the same run" in ending.output
    attempt(ending)


def test_a_policy_edited_before_the_run_is_resumed(
    attempt: Callable[[Ending], None], runs: Path, project: Path
) -> None:
    bad = project / "bad"
    with FakeServer(answer=lambda _: WRONG) as server:
        forgive(bad)
        for name in ("seal.json", "decision.json"):
            (bad / name).unlink()
        ending = llmgate(
            *("run", runs / "words.yaml", "--endpoint", server.url, "--deployment", "bad", "--resume"),
            *("--baseline", "champion"),
            out="bad",
        )
    assert "the run cannot be resumed: policy" in ending.output
    attempt(ending)


ROWS = [{"item_id": f"i{i}", "score": 1, "run": "r"} for i in range(100)]
NAMED = ("--id", "item_id", "--score", "score")


def table(path: str, rows: list[dict[str, Any]]) -> str:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path(path).write_text(text, encoding="utf-8")
    return path


def packed(path: str) -> str:
    Path("packed.jsonl.gz").write_bytes(gzip.compress(Path(path).read_bytes()))
    return "packed.jsonl.gz"


def written(change: Callable[[bytes], bytes]) -> Callable[[str], str]:
    def write(path: str) -> str:
        Path("other.jsonl").write_bytes(change(Path(path).read_bytes()))
        return "other.jsonl"

    return write


def link(path: str) -> str:
    Path("link.jsonl").symlink_to(path)
    return "link.jsonl"


SAME: dict[str, Callable[[str], str]] = {
    "same path": lambda path: path,
    "another path": lambda path: f"./{path}",
    "copy": written(lambda data: data),
    "link": link,
    "packed": packed,
    "no last line end": written(lambda data: data.rstrip(b"\n")),
    "other line ends": written(lambda data: data.replace(b"\n", b"\r\n")),
    "blank lines": written(lambda data: data.replace(b"\n", b"\n\n")),
    "other order": written(lambda data: b"\n".join(reversed(data.splitlines()))),
}


@pytest.mark.parametrize("how", SAME)
def test_a_table_against_itself(attempt: Callable[[Ending], None], how: str) -> None:
    path = table("b.jsonl", ROWS)
    ending = llmgate("decide", "--candidate", path, "--baseline", SAME[how](path), *NAMED)
    assert "the same rows" in ending.output
    attempt(ending)


def test_a_table_against_itself_with_the_same_selection(attempt: Callable[[Ending], None]) -> None:
    path = table("b.jsonl", ROWS)
    only = ("--candidate-only", "run=r", "--baseline-only", "run=r")
    attempt(llmgate("decide", "--candidate", path, "--baseline", path, *NAMED, *only))


def test_a_csv_table_against_itself(attempt: Callable[[Ending], None]) -> None:
    Path("a.csv").write_text("item_id,score\n" + "".join(f"i{i},1\n" for i in range(100)), encoding="utf-8")
    shutil.copy("a.csv", "b.csv")
    attempt(llmgate("decide", "--candidate", "a.csv", "--baseline", "b.csv"))


def test_honest_two_runs_that_say_which_they_are_may_score_alike() -> None:
    new, old = table("a.jsonl", ROWS), table("b.jsonl", [{**row, "run": "s"} for row in ROWS])
    assert llmgate("decide", "--candidate", new, "--baseline", old, *NAMED).green


def test_honest_one_file_may_hold_two_systems() -> None:
    both = table("both.jsonl", [*ROWS, *({**row, "run": "s"} for row in ROWS)])
    only = ("--candidate-only", "run=r", "--baseline-only", "run=s")
    assert llmgate("decide", "--candidate", both, "--baseline", both, *NAMED, *only).green


def test_a_row_without_a_score_is_not_asked_again_by_a_run(attempt: Callable[[Ending], None]) -> None:
    new = table("a.jsonl", [{**ROWS[0], "score": None}, *ROWS[1:]])
    ending = llmgate("decide", "--candidate", new, "--baseline", table("b.jsonl", ROWS), *NAMED)
    assert "--resume" not in ending.output
    assert "Score them again" in ending.output
    attempt(ending)
